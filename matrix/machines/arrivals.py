"""The results that workers send: each is checked as a stranger's, and then stored in the run directory.

Cells that no worker could run have a result, too.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from matrix.errors import InfrastructureError, UsageError
from matrix.machines import packs
from matrix.runs import cell_files, cell_run
from matrix.runs.store import Run
from matrix.untrusted import one_line
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.machines.remaining import Remaining
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult


def store(path: Path, cell: Cell, content: str, run: Run) -> CellResult:
    """Store a packed cell in a run, and return its result.

    Args:
        path: the pack.
        cell: the cell that was asked for.
        content: the content hash of its tree's source.
        run: the run.

    Raises:
        UsageError: the pack is damaged, or has another cell's result.

    """
    scratch = Run(path.with_suffix(".cell"))
    try:
        packs.unpack(path, scratch, cell.id)
        result = scratch.result(cell.id)
        _check(result, cell, content, run.name)
        assert result is not None
        run.forget(cell.id)
        cell_files.copy(scratch, cell.id, run)
    finally:
        shutil.rmtree(scratch.folder, ignore_errors=True)
    return result


def fail(group: Remaining, run: Run) -> None:
    """Give the cells of a group that failed everywhere an ERROR, each with the reasons."""
    reasons = "; ".join(dict.fromkeys(group.failures))
    for cell in group.cells:
        if cell.id in group.lacking:
            error = InfrastructureError(f"{count(len(group.failures), 'worker')} failed at it: {reasons}")
            cell_run.failed(cell, run, error)


def _check(result: CellResult | None, cell: Cell, content: str, run: str) -> None:
    if result is None:
        raise _refused(cell, "it has no result")
    if result.run != run:
        raise _refused(cell, f"it is of run {one_line(result.run)}")
    if result.definition != cell:
        raise _refused(cell, "it is of another definition")
    is_changed = bool(cell.tree.edits or cell.tree.delta)  # another hash, of a definition that was compared
    if result.tree and not is_changed and result.tree.sha256 != content:
        raise _refused(cell, "it is of another tree")


def _refused(cell: Cell, reason: str) -> UsageError:
    return UsageError(f"what arrived for {cell.id} is not its result: {reason}", "The cell is run again.")
