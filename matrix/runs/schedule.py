"""How many cells run at once, and which are left to do. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from matrix.model.result import Verdict

if TYPE_CHECKING:
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run


def workers(asked: int, cells: int) -> int:
    """Return how many cells to run at once: `asked`, or one for each two processors, never more than cells.

    Two processors run two cells, as the serial parts of one cell's build leave room for the other's.
    """
    processors = os.cpu_count() or 1
    return max(1, min(asked or max(min(2, processors), processors // 2), cells))


def at_once(run: Run, todo: tuple[CellId, ...], asked: int) -> int:
    """Return how many cells of a run to run at once: those that need each other's results are run by one worker."""
    settings = run.settings()
    places = {cell_id.place for cell_id in todo}
    return workers(asked, len(places if settings.base else todo) or 1)


def jobs(asked: int, at_once: int) -> int:
    """Return make's parallel jobs in each of the cells that run at once: `asked`, or a share of the processors."""
    return asked or max(2, (os.cpu_count() or 2) // at_once)


def lacking(run: Run, wanted: tuple[CellId, ...]) -> tuple[CellId, ...]:
    """Return the cells of a run that have no result yet, or one that is an ERROR."""
    results = {cell_id: run.result(cell_id) for cell_id in wanted}
    return tuple(cell_id for cell_id, result in results.items() if result is None or result.verdict == Verdict.ERROR)
