"""Builds that go on with one of another tree: which may, and whether what came of one is what one from scratch gives.

Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from matrix.model.result import CellResult, Verdict
from matrix.scenario import perf
from matrix.trace.command_lines import names, text
from matrix.trace.products import dependents, graph, reachable
from matrix.trace.work import work
from matrix.verdicts.series import BASE, PatchTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult
    from matrix.scenario.observations import Process, StepFacts
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?(?:\*/|\Z)', re.S)
_DIRECTIVE = re.compile(r"^[ \t]*(?:#|%:).*$", re.M)
_READS = re.compile(r"\.inc(?:bin|lude)\b|__has_include|_Pragma")


def may_go_on(changed: Mapping[str, str]) -> bool:
    """Return whether a change is of C sources alone, none new and none removed; `changed` maps paths to git's letter.

    Whoever includes a header is declared too, but not for the Python extension, skeletons and dlfilters; a makefile or
    a script can change anything.
    """
    return bool(changed) and all(letter == "M" and perf.is_source(path) for path, letter in changed.items())


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


def differing(below: Mapping[str, object], index: Mapping[str, object]) -> tuple[str, ...]:
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
    program = f"{output}/{perf.PROGRAM}"
    return f"{program} was not linked" if made and _same(below, build, program) else ""


def _compiled(processes: Iterable[Process]) -> Counter[str]:
    return Counter(done[1] for done in map(work, processes) if done and done[0] == "compiler")


def _same(below: StepFacts, build: StepFacts, path: str) -> bool:
    """Return whether a build left a file as it was, or did not make it at all."""
    before, after = below.files.get(path), build.files.get(path)
    return after is None or (before is not None and before.mtime_ns == after.mtime_ns)


def going_on(steps: Sequence[PatchTree], alike: Container[int]) -> tuple[PatchTree, ...]:
    """Return the steps of a series with the tree that each goes on with, so that less is built anew.

    `alike` are the numbers of the patches after which a build can go on with one before them, or with the base's if
    they are alone. It is that of the last patch of another kind. The end of a series is built from scratch.
    """
    found: list[PatchTree] = []
    ground = BASE
    busy = [step.number for step in steps if not step.idle]
    for step in steps:
        goes_on = step.number in alike and not step.idle and (step.alone or step.number != busy[-1])
        found.append(step.model_copy(update={"may_go_on_with": ground if goes_on else ""}))
        if not (goes_on or step.idle or step.alone):
            ground = step.tree
    return tuple(found)


def grounds(steps: Sequence[PatchTree], tree: str) -> tuple[str, ...]:
    """Return the trees whose builds that of a tree may go on with, the best first.

    It is the last patch before it that can be told from the one it may go on with by C sources alone: what was built
    from scratch after all, as a build that went on had missed something, is less to make anew.
    """
    at = next((number for number, step in enumerate(steps) if step.tree == tree), None)
    if at is None or not (ground := steps[at].may_go_on_with):
        return ()
    between = [] if steps[at].alone else [step.tree for step in steps[:at] if step.may_go_on_with == ground]
    return (*reversed(between), ground)


def doubtful(results: Mapping[CellId, CellResult]) -> tuple[CellId, ...]:
    """Return each cell whose build went on with one that came to something else: to be done from scratch.

    What changes a C source alone is not expected to break, or mend, anything that these checks see; where it does, or
    where a copy hides what is only seen of a build from scratch, that is to be seen of one.
    """
    found = []
    for cell_id, result in results.items():
        below = results.get(cell_id.place.on(result.gone_on.tree)) if result.gone_on else None
        if below is not None and result.verdict != Verdict.ERROR and not alike(result, below):
            found.append(cell_id)
    return tuple(found)
