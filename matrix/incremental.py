"""Builds that go on with one of another tree: which may, and whether what came of one is what one from scratch gives.

Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix.derived import dependents, graph, reachable
from matrix.makers import names, text, work
from matrix.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.observe import Process, StepFacts
    from matrix.result import CellResult

SOURCES = "tools/perf/*.c"
READ_BY_OTHERS = ("*.bpf.c", "*/bpf_skel/*", "tools/perf/pmu-events/*", "tools/perf/tests/shell/*")
"""Sources that more than a compiler of perf reads: rules of their own, whose prerequisites are not all declared."""

_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?(?:\*/|\Z)', re.S)
_DIRECTIVE = re.compile(r"^[ \t]*(?:#|%:).*$", re.M)
_READS = re.compile(r"\.inc(?:bin|lude)\b|__has_include|_Pragma")


def is_source(path: str) -> bool:
    """Return whether a file of the tree is a C source that becomes one object of perf and nothing else."""
    return fnmatchcase(path, SOURCES) and not any(fnmatchcase(path, glob) for glob in READ_BY_OTHERS)


def may_go_on(changed: Mapping[str, str]) -> bool:
    """Return whether a change is of C sources alone, none new and none removed; `changed` maps paths to git's letter.

    Whoever includes a header is declared too, but not for the Python extension, skeletons and dlfilters; a makefile or
    a script can change anything.
    """
    return bool(changed) and all(letter == "M" and is_source(path) for path, letter in changed.items())


def reads_the_same(before: str, after: str) -> bool:
    """Return whether a C source includes what it included before, so that it needs nothing else made first.

    A file that is generated lies there already where a build goes on: that its rule is not waited for would not show.
    Compared are the preprocessor's directives, comments and continued lines resolved as it does (C11, 5.1.1.2).
    """
    return not _READS.search(before + after) and _directives(before) == _directives(after)


def _directives(source: str) -> list[str]:
    whole = source.replace("\\\r\n", "").replace("\\\n", "")
    bare = _TOKEN.sub(lambda token: " " if token[0].startswith("/") else token[0], whole)
    return [" ".join(line.split()) for line in _DIRECTIVE.findall(bare)]


def differing(below: Mapping[str, Sequence[object]], index: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """Return the paths of a tree that are not the same in the one below it, sorted; both map paths to their entries."""
    return tuple(sorted(path for path, entry in index.items() if below.get(path) != entry))


def is_ground(result: CellResult | None) -> bool:
    """Return whether another build may go on with a cell's: make was seen to rebuild what a touched file is part of.

    What is known to stay stale is no bar: `missed` looks for it in each build that goes on.
    """
    checks = result.checks if result else ()
    return any(check.check == "touch" and check.verdict in (Verdict.PASS, Verdict.XFAIL) for check in checks)


def alike(result: CellResult, below: CellResult) -> bool:
    """Return whether two cells come to the same in every check, finding by finding."""
    return _said(result) == _said(below)


def _said(result: CellResult) -> dict[str, tuple[Verdict, frozenset[str]]]:
    return {check.check: (check.verdict, frozenset(one.key for one in check.findings)) for check in result.checks}


def missed(below: StepFacts, build: StepFacts, sources: Iterable[str], output: str) -> str:
    """Return what a build that went on with `below` did not do, though its sources are others; nothing if it did all.

    Each of `sources` (paths inside the cell) must have been compiled as often as in `below`, and all that was made of
    it there, by command lines and command files, made again, perf in the folder `output` too. What `below` neither
    compiled nor read otherwise, as a feature is off, no build of this configuration does.
    """
    edges = graph(below, shells=False)
    before = _compiled(below.processes)
    again = _compiled(build.processes) - before
    made = False
    for source in sources:
        if again[source] < before[source]:
            return f"{source} was not compiled"
        objects = dependents(build, source, output)
        products = (reachable(edges, {source, *objects}) - {source}) & below.files.keys()
        old = [path for path in sorted(products) if _same(below, build, path)]
        if old:
            return f"{old[0]} was not made anew of {source}"
        if not (before[source] or objects):
            readers = [text(process) for process in below.processes if names(process, source)]
            if readers:
                return f"{source} is read by {readers[0]}"
        made = made or bool(before[source] or objects)
    program = f"{output}/perf"
    return f"{program} was not linked" if made and _same(below, build, program) else ""


def _compiled(processes: Iterable[Process]) -> Counter[str]:
    return Counter(done[1] for done in map(work, processes) if done and done[0] == "compiler")


def _same(below: StepFacts, build: StepFacts, path: str) -> bool:
    """Return whether a build left a file as it was, or did not make it at all."""
    before, after = below.files.get(path), build.files.get(path)
    return after is None or (before is not None and before.mtime_ns == after.mtime_ns)
