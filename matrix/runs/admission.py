"""Admits a cell to this machine: it waits for memory that is free while other cells of its run go on."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.runs import schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

MEMORY_FACTS = Path("/proc/meminfo")
WAITING = f"wait for {schedule.CELL_BYTES >> 30} GiB of free memory"
"""The chapter of a cell that waits."""

PAUSE_S = 2.0
LONGEST_S = 1800.0
"""The longest wait: a cell of a process that was killed looks as if it ran."""


def wait(cell_id: CellId, run: Run, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return as soon as a cell may begin: there is memory for it, no other cell of its run goes on, or it waited long.

    Two cells that begin beside each other may both find the same memory; the kernel counts what a cell uses, not what
    it will use. The number of cells at once bounds that (see schedule.workers).
    """
    waited_s = 0.0
    while waited_s < LONGEST_S and _is_short() and _others_go_on(cell_id, run):
        if not waited_s:
            run.progress(cell_id, WAITING)
        sleep(PAUSE_S)
        waited_s += PAUSE_S


def _is_short() -> bool:
    available = available_bytes()
    return available is not None and available < schedule.CELL_BYTES


def available_bytes() -> int | None:
    """Return the memory that programs can have without swapping (proc(5), MemAvailable); None where nothing says so."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in MEMORY_FACTS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _others_go_on(cell_id: CellId, run: Run) -> bool:
    """Return whether another cell of the run is at work, and does not wait itself."""
    begun = [result.id for result in run.results() if result.id != cell_id and schedule.is_begun(result)]
    chapters = filter(None, map(run.at, begun))
    return any(chapter != WAITING for chapter, _ in chapters)
