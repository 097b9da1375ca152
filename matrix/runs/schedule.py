"""Decisions about the cells of a run: which are lacking, how many run at once, which run in one worker. Pure."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, NamedTuple

from matrix.model.result import Verdict
from matrix.runs.run_kind import SeriesRun
from matrix.scenario import plan
from matrix.verdicts import kept_build

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from matrix.model.build import Build
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId, Place
    from matrix.model.result import CellResult
    from matrix.runs.run_settings import RunSettings
    from matrix.verdicts.series import PatchTree


BEGUN = "the cell was begun and did not end"
"""The reason of the ERROR that is a cell's result while the cell runs, and for good where its process was killed."""

USUAL_S = 180.0
"""The duration of a cell with a minimal build on two idle processors, in seconds."""

FEATURES_EFFORT, START_METHOD_EFFORT = 0.6, -0.84
"""The CPU time that all optional features, and a start method, add to a minimal cell, as parts of its own.

Cells of 7.3 on debian-trixie took 334 s (minimal) and 535 s (out-of-tree, every feature on) in November 2026. A cell
with a start method took 56 s of CPU time on a copy of its build, and a minimal one 350 s on the same busy machine.
"""


KEPT_BYTES = 400 << 20
"""The most of a machine's memory that firmware and kernel keep, so that a machine of 4 GiB has less to tell of."""

CELL_BYTES = 1 << 30
"""The memory that a cell mostly uses at most, with its output, which is in memory."""


def workers(asked: int, cells: int, processors: int = 0, memory_bytes: int = 0) -> int:
    """Return the number of cells to run at once: `asked`, or one for each two processors, never more than cells.

    Two processors run two cells, as the serial parts of one cell's build leave room for the other's. Their memory is at
    most half of the machine's, as sources are read from the page cache. `processors` and `memory_bytes` are the
    machine's, 0 for this one's.
    """
    available = processors or os.cpu_count() or 1
    usual = max(min(2, available), available // 2)  # one where there is but one processor
    with_memory = int(((memory_bytes or _memory_bytes()) + KEPT_BYTES) / 2 / CELL_BYTES)
    return max(1, min(asked or min(usual, with_memory), cells))


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def jobs(asked: int, at_once: int, processors: int = 0) -> int:
    """Return make's parallel jobs in each of the cells that run at once: `asked`, or a share of the processors."""
    available = processors or os.cpu_count() or 2
    return asked or max(2, available // at_once)  # two at least: a serial make hides missing prerequisites


def jobs_of(cells: Iterable[Cell], base: str, number: int, asked: int) -> int:
    """Return make's parallel jobs in each cell of a run on a base tree, `number` cells at once (see jobs, workers)."""
    groups = {sharing_group_on(base, cell) for cell in cells}
    return jobs(asked, workers(number, len(groups)))


def at_once(settings: RunSettings, todo: Collection[Cell], asked: int, processors: int = 0) -> int:
    """Return the number of cells of a run to run at once: one worker runs those of a group."""
    groups = {group(settings, cell) for cell in todo}
    return workers(asked, max(1, len(groups)), processors)


def group(settings: RunSettings, cell: Cell) -> str:
    """Return the name of a group of cells that one worker runs, as they need each other's results or kept builds.

    They are those of one place in a run with a base, or of one tree in a run without, and the cells that force a start
    method on their build. In a series each build continues from that of another patch.
    """
    is_of_series = isinstance(settings.kind, SeriesRun)
    return group_on(settings.base, cell.id) if is_of_series else sharing_group_on(settings.base, cell)


def sharing_group_on(base: str, cell: Cell) -> str:
    """Return the name of the group of a cell and those that it shares its build with, in a run on a base tree."""
    return group_on(base, plan.without_start_method(cell).id)


def group_on(base: str, cell_id: CellId) -> str:
    """Return the name of a cell's group in a run whose base tree is `base`; no name is no base tree."""
    return cell_id.place if base else f"{cell_id.place} {cell_id.tree}"


class GroupDuration(NamedTuple):
    """The expected durations of a group of cells and of the one that comes first, in seconds."""

    whole_s: float
    first_s: float


def in_order(expected: Mapping[str, GroupDuration]) -> list[str]:
    """Return the names of groups in the order in which they are begun, by their expected durations.

    That with the shortest first cell is first, as its verdict is the run's first; then the longest come first, so that
    none of them is begun last and leaves the other workers idle (Graham, "Bounds on multiprocessing timing anomalies",
    1969).
    """
    earliest = min(expected, key=lambda name: (expected[name].first_s, name), default=None)
    longest_first = sorted(expected, key=lambda name: (-expected[name].whole_s, name))
    return sorted(longest_first, key=lambda name: name != earliest)


def expected(settings: RunSettings, todo: Iterable[Cell], known_s: Mapping[Place, float]) -> dict[str, GroupDuration]:
    """Return the expected durations of each group of cells, which `todo` has in the order in which they are begun.

    `known_s` are the durations of earlier cells, in seconds (see durations_s).
    """
    cells = list(todo)
    of_cells_s = durations_s(cells, known_s)
    found: dict[str, GroupDuration] = {}
    for cell in cells:
        name, duration_s = group(settings, cell), of_cells_s[cell.id]
        before = found.get(name, GroupDuration(0.0, duration_s))
        found[name] = before._replace(whole_s=before.whole_s + duration_s)
    return found


def durations_s(cells: Sequence[Cell], known_s: Mapping[Place, float]) -> dict[CellId, float]:
    """Return the expected duration of each cell, in seconds.

    `known_s` are the durations of earlier cells. A place without one has an estimate by its build, in proportion to the
    places that have one.
    """
    second = _second_of_effort(cells, known_s)
    return {cell.id: known_s.get(cell.place, _effort(cell.build) * second) for cell in cells}


def _second_of_effort(cells: Iterable[Cell], known_s: Mapping[Place, float]) -> float:
    """Return the duration of a minimal cell by the known ones, in seconds."""
    found = [known_s[cell.place] / _effort(cell.build) for cell in cells if cell.place in known_s]
    return statistics.median(found) if found else USUAL_S


def _effort(build: Build) -> float:
    """Return the CPU time of a cell with a build, as a multiple of a minimal one's."""
    options = build.expect.options
    features = sum(value == "on" for value in options.values()) / max(1, len(options))
    return 1 + FEATURES_EFFORT * features + START_METHOD_EFFORT * bool(build.start_method)


def lacking(wanted: Sequence[CellId], results: Mapping[CellId, CellResult]) -> tuple[CellId, ...]:
    """Return the wanted cells that have no result yet, or one that is an ERROR."""
    return tuple(cell_id for cell_id in wanted if is_lacking(results.get(cell_id)))


def is_lacking(result: CellResult | None) -> bool:
    """Return whether a cell with this result is still to be run."""
    return result is None or result.verdict == Verdict.ERROR


def is_begun(result: CellResult) -> bool:
    """Return whether a result is that of a cell which was begun and has not ended."""
    return result.verdict == Verdict.ERROR and result.reason == BEGUN


def predecessor(cell_id: CellId, patches: Sequence[PatchTree], results: Mapping[CellId, CellResult]) -> CellId | None:
    """Return the cell whose kept build a patch's cell continues from: the best one that was built from scratch.

    `results` are those of the same place, as far as there are any.
    """
    for tree in kept_build.predecessors(patches, cell_id.tree):
        candidate = cell_id.place.on(tree)
        if _may_be_kept(results.get(candidate)):
            return candidate
    return None


def _may_be_kept(result: CellResult | None) -> bool:
    # Copies of copies would pass a fault on that `missed_work` did not see.
    return result is not None and result.gone_on is None and kept_build.may_be_kept_for_others(result)


def is_awaited(cell_id: CellId, patches: Sequence[PatchTree], without_result: Collection[CellId]) -> bool:
    """Return whether a cell without a result may continue from the kept build of this one."""
    waiting = [other.tree for other in without_result if other.place == cell_id.place and other != cell_id]
    return any(cell_id.tree in kept_build.predecessors(patches, tree) for tree in waiting)
