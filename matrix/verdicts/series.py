"""Series: the trees that its patches make, and the result of each patch beside the base. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from matrix.errors import ExitStatus
from matrix.model.base import Frozen
from matrix.model.globs import selects_any
from matrix.model.result import CellResult, Verdict, worst
from matrix.verdicts.regressions import CellComparison, compare_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId, Place

BASE = "base"
"""The name of the tree that the series is applied to."""


class PatchTree(Frozen):
    """A patch of a series, and the name of the tree that it makes.

    The patch is applied after all patches before it or, if it is `alone`, after those that it `needs` (their numbers).
    An `idle` patch changes nothing that perf is built from. `may_go_on_with` is the tree whose kept build the builds of
    this one may continue from, if any; their results tell whether they did.
    """

    number: int
    subject: str
    tree: str
    idle: bool = False
    alone: bool = False
    needs: tuple[int, ...] = ()
    may_go_on_with: str = ""


class PatchResult(Frozen):
    """The result of a patch: the comparison of each cell that was run on its tree with the base."""

    step: PatchTree
    held: tuple[CellComparison, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL where a cell newly fails, ERROR where a cell is undecided, SKIP where no cell was run."""
        if not self.held:
            return Verdict.SKIP
        return worst([comparison.verdict for comparison in self.held])

    @property
    def examined(self) -> bool:
        """Whether a check examined something in a cell on the patch's tree."""
        return any(comparison.examined for comparison in self.held)

    def comparison(self, place: str) -> CellComparison | None:
        """Return the comparison of the cell at a place, if it was run."""
        return next((comparison for comparison in self.held if comparison.cell == place), None)

    def decided_comparison(self, place: str) -> CellComparison | None:
        """Return the comparison of the cell at a place, if it was run and is not undecided."""
        comparison = self.comparison(place)
        return None if comparison is None or comparison.undecided else comparison


class Break(Frozen):
    """Findings (`keys`, each as `CHECK KIND:SUBJECT`) that a cell (its place) newly has from one patch on.

    `suspects` are the numbers of the patches one of which is that patch: a single one, where all between were run.
    `mended` is the number of the first patch without the findings, 0 where the last patch has them.
    """

    cell: str
    keys: tuple[str, ...]
    suspects: tuple[int, ...]
    mended: int = 0


class SeriesResult(Frozen):
    """The result of a series: the result of each patch, and the breaks."""

    schema_version: Literal[1] = 1
    run: str
    base: str
    rows: tuple[PatchResult, ...]
    breaks: tuple[Break, ...]

    @property
    def exit_status(self) -> ExitStatus:
        """CELLS_FAILED where a cell newly fails; INFRASTRUCTURE where one is undecided, or no check examined any."""
        if self._has(Verdict.FAIL):
            return ExitStatus.CELLS_FAILED
        return ExitStatus.OK if self.is_decided else ExitStatus.INFRASTRUCTURE

    @property
    def is_decided(self) -> bool:
        """Whether no cell is undecided, and a check examined something on a patch's tree."""
        has_evidence = any(row.examined for row in self.rows)
        return has_evidence and not self._has(Verdict.ERROR)

    @property
    def has_patches_alone(self) -> bool:
        """Whether patches were applied by themselves, so that a break does not go on from patch to patch."""
        return any(row.step.alone for row in self.rows)

    def _has(self, verdict: Verdict) -> bool:
        return any(row.verdict == verdict for row in self.rows)


def manifest_globs(manifest: str) -> tuple[str, ...]:
    """Return the lines of tools/perf/MANIFEST: the files and folders, as globs, that perf is built from."""
    lines = [line.strip() for line in manifest.splitlines()]
    return tuple(line for line in lines if line)


def is_idle(files: Iterable[str], globs: Sequence[str]) -> bool:
    """Return whether perf is built from none of these files; `globs` are those of its MANIFEST.

    Without a MANIFEST (no globs) any file may be one that perf is built from.
    """
    changed = tuple(files)
    # Glob by glob: each is compiled once, however many a stranger's MANIFEST has.
    return bool(globs) and not any(_lists(glob, changed) for glob in globs)


def _lists(glob: str, files: Sequence[str]) -> bool:
    # A line of MANIFEST may be a folder. fnmatch's `*` matches slashes, too, so that too much rather than too little
    # counts as listed: an idle patch that is built costs time alone.
    return selects_any(glob, files) or selects_any(f"{glob}/*", files)


def needed_patches(numbers: Sequence[int], number: int, applies: Callable[[Sequence[int]], bool]) -> tuple[int, ...]:
    """Return the numbers of the patches before patch `number` without which it does not apply.

    `applies` tries to apply some patches, in order. Each earlier patch is left out in turn, the latest first, and stays
    out where the rest still applies.
    """
    earlier = _earlier(numbers, number)
    # The latest first: what an early patch is needed for is mostly another patch that may go itself.
    kept = earlier
    for other in reversed(earlier):
        rest = kept.copy()
        rest.remove(other)
        if applies([*rest, number]):
            kept = rest
    return tuple(kept)


def _earlier(numbers: Iterable[int], number: int) -> list[int]:
    return [other for other in numbers if other < number]


def patch_results(
    patches: Sequence[PatchTree], wanted: Sequence[CellId], results: Mapping[CellId, CellResult]
) -> tuple[PatchResult, ...]:
    """Return the result of each patch in those of the `wanted` cells that are on its tree."""
    return tuple(_patch_result(patch, wanted, results) for patch in patches)


def _patch_result(patch: PatchTree, wanted: Sequence[CellId], results: Mapping[CellId, CellResult]) -> PatchResult:
    places = [cell_id.place for cell_id in wanted if cell_id.tree == patch.tree]
    return PatchResult(step=patch, held=tuple(_comparison(place, patch.tree, results) for place in places))


def _comparison(place: Place, tree: str, results: Mapping[CellId, CellResult]) -> CellComparison:
    return compare_cell(place, tree, results.get(place.on(BASE)), results.get(place.on(tree)))
