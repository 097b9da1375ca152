"""Admits a cell to this machine: while other cells run their steps, it waits until there is memory for one more."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.runs import locks, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

MEMORY_FACTS = Path("/proc/meminfo")
WAITING = f"wait for {schedule.CELL_BYTES >> 30} GiB of free memory"
"""The chapter of a cell that waits."""

PAUSE_S = 2.0
YOUNG_S = 60.0
"""The time in which a cell that has begun does not use yet what it is going to."""


@contextlib.contextmanager
def admitted(cell_id: CellId, run: Run, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[float]:
    """Wait until a cell may begin, and yield the seconds that it waited; it counts as running until the end.

    The cells of all runs of the state folder count, each as long as its process lives.
    """
    waited_s = 0.0
    with contextlib.ExitStack() as stack:
        while not _is_admitted(stack):
            if not waited_s:
                run.progress(cell_id, WAITING)
            sleep(PAUSE_S)
            waited_s += PAUSE_S
        yield waited_s


def _is_admitted(stack: contextlib.ExitStack) -> bool:
    """Return whether a cell may begin; it then counts as running until the stack is closed."""
    # One decides at a time: the next one sees this cell, which does not use its memory yet.
    with contextlib.suppress(OSError), locks.deciding():  # OSError: on a full disk the cell itself says so
        if not _has_room():
            return False
        stack.enter_context(locks.running())
    return True


def _has_room() -> bool:
    ages_s = locks.running_for_s()
    available = available_bytes()
    if not ages_s or available is None:
        return True
    young = sum(age_s < YOUNG_S for age_s in ages_s)
    return available >= schedule.CELL_BYTES * (1 + young)


def available_bytes() -> int | None:
    """Return the memory that programs can have without swapping (proc(5), MemAvailable); None where nothing says so."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in MEMORY_FACTS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None
