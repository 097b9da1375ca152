"""The process in which a worker runs a group of cells: `python -m matrix.machines.group_process FOLDER AT_ONCE PARENT`.

An interrupt, or the end of the worker that started it, ends the cells and removes their containers.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import ExitStatus, MatrixError
from matrix.runs import locks
from matrix.runs.interrupts import interruptible
from matrix.runs.pytest_run import PytestRun
from matrix.runs.store import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(words: list[str]) -> int:
    """Run the cells of the run in a folder, those that have a result left out, and return the exit status."""
    folder, at_once, parent = Path(words[0]), int(words[1]), int(words[2])
    # No SIGTERM, which would cut the end short: a dying process of many threads sends the signal several times.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT))
    if os.getppid() != parent:  # it ended before the kernel knew of the wish
        return ExitStatus.INTERRUPTED
    try:
        return _status(Run(folder), at_once)
    finally:
        if os.getppid() != parent:  # the worker, which would remove the folder, was killed
            shutil.rmtree(folder, ignore_errors=True)


def _status(run: Run, at_once: int) -> int:
    """Run the cells of a run, and return the exit status."""
    try:
        with interruptible(), locks.doing(run):
            _run_cells(run, at_once)
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except MatrixError as error:
        sys.stderr.write(f"{error}\n")
        return error.status
    return ExitStatus.OK


def _run_cells(run: Run, at_once: int) -> None:
    locks.refuse_beside_a_measurement()
    part = PytestRun(run, at_once)
    with _swept(part):
        for cell in part.cells:
            part.result(cell)


@contextlib.contextmanager
def _swept(part: PytestRun) -> Iterator[None]:
    """Leave nothing of the run in the engine."""
    try:
        yield
    finally:
        part.close_kept_build()
        part.sweep()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
