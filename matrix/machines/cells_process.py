"""The process of a group's cells on a worker, which is ended whatever becomes of the group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.runs.store import Run

END_S, KILL_S = 30, 5
"""The seconds that a process may take to end its cells after an interrupt, and to end after it was killed."""


class CellsProcess(Protocol):
    """A process that runs a group's cells, and stores each result in the run's folder."""

    def status(self) -> int | None:
        """Return the process's exit status, None while it runs."""

    def close(self) -> None:
        """End the process: it ends its cells and removes their containers; one that is slow is killed."""


class _OwnProcess:
    """A process of `python -m matrix.machines.group_process`, and those that it has started."""

    def __init__(self, process: subprocess.Popen[bytes], on_end: Callable[[], None]) -> None:
        self._process = process
        self._on_end = on_end
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        self._process.wait()
        self._on_end()

    def status(self) -> int | None:
        return self._process.poll()

    def close(self) -> None:
        for number, patience_s in ((signal.SIGINT, END_S), (signal.SIGKILL, KILL_S)):
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience_s)


def start(run: Run, at_once: int, log: Path, on_end: Callable[[], None]) -> CellsProcess:
    """Start the process that runs the cells of a run.

    Args:
        run: the run.
        at_once: the number of cells that the machine runs at once.
        log: the file for the process's output.
        on_end: called, in another thread, when the process has ended.

    """
    words = [sys.executable, "-m", "matrix.machines.group_process", str(run.folder), str(at_once), str(os.getpid())]
    with log.open("ab") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    return _OwnProcess(process, on_end)
