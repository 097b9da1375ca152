"""Builds that go on with one of another tree: which may, and whether what came of one is what one from scratch gives.

Pure.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix.derived import dependents
from matrix.makers import work
from matrix.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.observe import Process, StepFacts
    from matrix.result import CellResult

SOURCES = "tools/perf/*.c"
READ_BY_OTHERS = ("*.bpf.c", "*/bpf_skel/*", "tools/perf/pmu-events/*", "tools/perf/tests/shell/*")
"""Sources that more than a compiler of perf reads: rules of their own, whose prerequisites are not all declared."""


def is_source(path: str) -> bool:
    """Return whether a file of the tree is a C source that becomes one object of perf and nothing else."""
    return fnmatchcase(path, SOURCES) and not any(fnmatchcase(path, glob) for glob in READ_BY_OTHERS)


def may_go_on(changed: Mapping[str, str]) -> bool:
    """Return whether a change is of C sources alone, none new and none removed; `changed` maps paths to git's letter.

    Whoever includes a header is declared too, but not for the Python extension, skeletons and dlfilters; a makefile or
    a script can change anything.
    """
    return bool(changed) and all(letter == "M" and is_source(path) for path, letter in changed.items())


def differing(below: Mapping[str, Sequence[object]], index: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """Return the paths of a tree that are not the same in the one below it, sorted; both map paths to their entries."""
    return tuple(sorted(path for path, entry in index.items() if below.get(path) != entry))


def is_ground(result: CellResult | None) -> bool:
    """Return whether another build may go on with a cell's: make was seen to rebuild what a touched file is part of.

    That it rebuilds more than that, as is known of perf's, hides nothing; a known failure to rebuild would.
    """
    touch = next((check for check in result.checks if check.check == "touch"), None) if result else None
    return (
        touch is not None
        and touch.verdict in (Verdict.PASS, Verdict.XFAIL)
        and all(finding.kind == "rebuilt" for finding in touch.findings)
    )


def missed(below: StepFacts, build: StepFacts, sources: Iterable[str], output: str) -> str:
    """Return what a build that went on with `below` did not do, though its sources are others; nothing if it did all.

    Each of `sources` (paths inside the cell) must have been compiled as often as in `below`, each object whose command
    file names one built again, and then perf in the folder `output` linked. What `below` did not compile, as a feature
    is off, no build of this configuration does.
    """
    before = _compiled(below.processes)
    again = _compiled(process for process in build.processes if process.start >= build.commands[0].began)
    made = False
    for source in sources:
        if again[source] < before[source]:
            return f"{source} was not compiled"
        objects = dependents(build, source, output)
        old = [path for path in sorted(objects) if _same(below, build, path)]
        if old:
            return f"{old[0]} was not made of {source}"
        made = made or again[source] > 0 or bool(objects)
    program = f"{output}/perf"
    return f"{program} was not linked" if made and _same(below, build, program) else ""


def _compiled(processes: Iterable[Process]) -> Counter[str]:
    return Counter(done[1] for done in map(work, processes) if done and done[0] == "compiler")


def _same(below: StepFacts, build: StepFacts, path: str) -> bool:
    """Return whether a build left a file as it was, or did not make it at all."""
    before, after = below.files.get(path), build.files.get(path)
    return after is None or (before is not None and before.mtime_ns == after.mtime_ns)
