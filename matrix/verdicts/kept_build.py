"""Decides which builds may continue from a kept build, and whether such a build did all that one from scratch does."""

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
    from collections.abc import Container, Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult
    from matrix.scenario.step_facts import Process, StepFacts

# A string or character, in which a comment does not begin, or a comment (C11, 6.4.5, 6.4.4.4, 6.4.9).
# One that is not closed is a token to its line's end, as for a compiler; else each of its quotes would be looked after.
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*+"?|\'(?:\\.|[^\'\\\n])*+\'?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.S)
# `%:` is another spelling of `#` (C11, 6.4.6).
_DIRECTIVE = re.compile(r"^[ \t]*(?:#|%:).*$", re.M)
# Ways to read a file, or to depend on one, that no directive shows: the assembler's, and operators of the preprocessor.
_READS = re.compile(r"\.inc(?:bin|lude)\b|__has_include|_Pragma")


def may_continue(changed: Mapping[str, str]) -> bool:
    """Return whether the build of a change may continue from a kept build: it is of C sources alone, all there before.

    `changed` maps paths to git's letters. Headers are left out, as the files that include them are not declared for the
    Python extension, skeletons and dlfilters; a makefile or a script can change anything.
    """
    return bool(changed) and all(letter == "M" and perf.is_source(path) for path, letter in changed.items())


def reads_the_same(before: str, after: str) -> bool:
    """Return whether a C source includes the same files as before, so that no other file must be made first.

    A generated file is in the kept build already, so a rule that does not wait for it would not show. The comparison is
    of the preprocessor's directives, with comments and continued lines resolved as it does (C11, 5.1.1.2).
    """
    # The word itself is enough to be careful, in a string or comment, too: from scratch is slower and never wrong.
    return not _READS.search(before + after) and _directives(before) == _directives(after)


def _directives(source: str) -> list[str]:
    whole = source.replace("\\\r\n", "").replace("\\\n", "")  # continued lines come before comments (C11, 5.1.1.2)
    bare = _TOKEN.sub(lambda token: " " if token[0].startswith("/") else token[0], whole)
    return [" ".join(line.split()) for line in _DIRECTIVE.findall(bare)]


def differing(below: Mapping[str, object], index: Mapping[str, object]) -> tuple[str, ...]:
    """Return the paths of a tree that differ from the tree `below`, sorted; both map paths to their entries."""
    return tuple(sorted(path for path, entry in index.items() if below.get(path) != entry))


def may_be_kept_for_others(result: CellResult | None) -> bool:
    """Return whether other builds may continue from a cell's build.

    They may where the check `touch` passed: then make rebuilds all that is made from a touched file. A known failure of
    it is no bar, as `missed_work` examines each build that continues.
    """
    checks = result.checks if result else ()
    return any(check.check == "touch" and check.verdict in (Verdict.PASS, Verdict.XFAIL) for check in checks)


def are_judged_alike(result: CellResult, below: CellResult) -> bool:
    """Return whether two cells have the same verdicts and findings in every check, as far as all of them were kept."""
    is_cut = any(check.is_cut for check in result.checks)
    return not is_cut and _judgement(result) == _judgement(below)


def _judgement(result: CellResult) -> dict[str, tuple[Verdict, frozenset[str]]]:
    return {check.check: (check.verdict, check.finding_keys) for check in result.checks}


def missed_work(below: StepFacts, build: StepFacts, sources: Sequence[str], output: str) -> str:
    """Return the work that a build left undone which continued from the kept build `below`; nothing if it did all.

    Each of `sources`, the changed files (paths inside the cell), must have been compiled as often as in `below`, and
    all that `below` made of it, by command lines and command files, made again, perf in the folder `output` too. A
    source that `below` neither compiled nor read, as a feature is off, is part of no build of this configuration.
    """
    work_below = _Work(below, build, output)
    missed = next(filter(None, map(work_below.missed_of, sources)), "")
    return missed or work_below.missed_link(sources)


class _Work:
    """The work of the kept build `below`, and the part of it that the build which continued from it did again."""

    def __init__(self, below: StepFacts, build: StepFacts, output: str) -> None:
        self.below = below
        self.build = build
        self.output = output
        self.edges = graph(below, shells=False)
        self.before = _compiled(below.processes)
        self.again = _compiled(build.processes) - self.before  # the record of a continued build has both builds' ones

    def uses(self, source: str) -> bool:
        """Return whether a build of this configuration compiles a source, or includes it into an object."""
        return bool(self.before[source] or self._objects(source))

    def missed_of(self, source: str) -> str:
        """Return the work on one source that was not done again."""
        if self.again[source] < self.before[source]:
            return f"{source} was not compiled"
        old = self._old_product(source)
        if old:
            return f"{old} was not made anew of {source}"
        return "" if self.uses(source) else self._reader(source)

    def missed_link(self, sources: Iterable[str]) -> str:
        """Return a sentence if perf was not linked again; empty if it was, or if none of the sources is part of it."""
        program = f"{self.output}/{perf.PROGRAM}"
        is_used = any(map(self.uses, sources))
        return f"{program} was not linked" if is_used and _same(self.below, self.build, program) else ""

    def _objects(self, source: str) -> set[str]:
        return set(dependents(self.build, source, self.output))

    def _old_product(self, source: str) -> str:
        made_of_it = reachable(self.edges, {source, *self._objects(source)}) - {source}
        products = sorted(made_of_it & self.below.files.keys())
        return next((path for path in products if _same(self.below, self.build, path)), "")

    def _reader(self, source: str) -> str:
        """Return the command that read a source without compiling it: its product cannot be told."""
        reader = next((text(process) for process in self.below.processes if names(process, source)), "")
        return f"{source} is read by {reader}" if reader else ""


def _compiled(processes: Iterable[Process]) -> Counter[str]:
    return Counter(done[1] for done in map(work, processes) if done and done[0] == "compiler")


def _same(below: StepFacts, build: StepFacts, path: str) -> bool:
    """Return whether a build left a file as it was, or did not make it at all."""
    before, after = below.files.get(path), build.files.get(path)
    return after is None or (before is not None and before.mtime_ns == after.mtime_ns)


def with_predecessors(patches: Sequence[PatchTree], continuable: Container[int]) -> tuple[PatchTree, ...]:
    """Return a series' patches, each with the tree whose kept build its own build may continue from, if any.

    `continuable` are the numbers of the patches that change C sources alone. The build of such a one continues from
    that of the last patch before it of another kind, or from the base's where patches stand alone. The last patch that
    is not idle is built from scratch: its tree is the whole series, whose result must not rest on a kept build.
    """
    found: list[PatchTree] = []
    continuing = _continuing(patches, continuable)
    kept = BASE
    for patch in patches:
        continues = patch.number in continuing
        found.append(patch.model_copy(update={"may_go_on_with": kept if continues else ""}))
        if not continues and _may_be_followed(patch):
            kept = patch.tree
    return tuple(found)


def _continuing(patches: Sequence[PatchTree], continuable: Container[int]) -> set[int]:
    """Return the numbers of the patches whose builds may continue from a kept build."""
    busy = [patch for patch in patches if not patch.idle]
    from_scratch = {patch.number for patch in busy[-1:] if not patch.alone}
    return {patch.number for patch in busy if patch.number in continuable} - from_scratch


def _may_be_followed(patch: PatchTree) -> bool:
    """Return whether a later patch may continue from this one's build: it changes perf, and later ones are on top."""
    return not patch.idle and not patch.alone


def predecessors(patches: Sequence[PatchTree], tree: str) -> tuple[str, ...]:
    """Return the trees whose kept builds the build of `tree` may continue from, the best first.

    The best is the last patch before it that differs from its predecessor by C sources alone: where such a patch was
    built from scratch after all, the least is left to make anew.
    """
    patch = _patch_of(patches, tree)
    if patch is None or not patch.may_go_on_with:
        return ()
    return (*reversed(_between(patches, patch)), patch.may_go_on_with)


def _patch_of(patches: Iterable[PatchTree], tree: str) -> PatchTree | None:
    """Return the patch that makes the tree of this name, if there is one."""
    return next((patch for patch in patches if patch.tree == tree), None)


def _between(patches: Sequence[PatchTree], patch: PatchTree) -> list[str]:
    """Return the trees of earlier patches that continue from the same kept build; a patch alone is on top of none."""
    if patch.alone:
        return []
    before = patches[: patches.index(patch)]
    return [other.tree for other in before if other.may_go_on_with == patch.may_go_on_with]


def to_do_from_scratch(results: Mapping[CellId, CellResult]) -> tuple[CellId, ...]:
    """Return each cell whose build continued from a kept build that is judged otherwise: it is to be built anew.

    A change of C sources alone is not expected to break, or to mend, anything that the checks see. Where it does, or
    where the copy of a kept build hides a fault, a build from scratch has to show it.
    """
    return tuple(cell_id for cell_id, result in results.items() if _is_doubtful(result, results))


def _is_doubtful(result: CellResult, results: Mapping[CellId, CellResult]) -> bool:
    if result.gone_on is None or result.verdict == Verdict.ERROR:
        return False
    below = results.get(result.id.place.on(result.gone_on.tree))
    return below is not None and not are_judged_alike(result, below)
