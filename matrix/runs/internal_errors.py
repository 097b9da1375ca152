"""Internal errors in a cell: the traceback is kept as a log of the cell, and the reason is one line."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING

from matrix.files import write
from matrix.untrusted import one_line, plain

if TYPE_CHECKING:
    from matrix.runs.store import Run

TRACEBACK = "internal-error.log"
"""The log of a cell that has the traceback of an internal error."""


def recorded(run: Run, cell_id: str, error: Exception) -> str:
    """Store an error's traceback as a log of a cell, where there is space for it; return the reason of the ERROR."""
    text = "".join(traceback.format_exception(error))
    with contextlib.suppress(OSError):
        write(run.cell(cell_id) / "logs" / TRACEBACK, plain(text))
    return f"internal error: {one_line(repr(error))}"
