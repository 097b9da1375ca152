"""Measures the processor time that a run's progress display takes, over a minute of a run of 18 cells.

`python benchmarks/progress.py` prints it with a terminal and without one. The cells are state files that this script
writes: two run at a time, and each begins a step every four seconds.
"""

from __future__ import annotations

import argparse
import inspect
import os
import pty
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console

from matrix.model.cell_id import CellId
from matrix.runs import progress, store
from matrix.runs.run_settings import RunSettings

CELLS = tuple(CellId(f"debian-trixie/gcc/build-{number:02}@7.3") for number in range(18))
STEPS = ("prepare", "build", "rebuild", "touch", "clean", "build-again", "")
STEP_S = 4.0


def run_in(folder: Path) -> store.Run:
    """Return a run of these cells, none of which has begun."""
    run = store.Run(folder)
    run.save_settings(RunSettings(run="benchmark", started="", tool_version="0", trees=("7.3",), cells=CELLS, jobs=2))
    return run


def write_states(run: store.Run, seconds: float) -> None:
    """Take the cells through their steps, two at a time, as the workers of a run would."""
    began = time.monotonic()
    for first in range(0, len(CELLS), 2):
        for step in STEPS:
            for cell_id in CELLS[first : first + 2]:
                run.progress(cell_id, step)
            if time.monotonic() - began > seconds:
                return
            time.sleep(STEP_S)


def display(run: store.Run, seconds: float, *, terminal: bool) -> float:
    """Return the share of one processor that the display of a run took, in percent."""
    console = Console(force_terminal=terminal, width=120, height=40)
    with subprocess.Popen(["sleep", str(seconds)]) as process:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        shown = progress.Progress(run, CELLS, console)
        progress.show(shown, process, console)
        after, took_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 100 * used_s / took_s


def measured(seconds: float, *, terminal: bool) -> str:
    """Return what a process of its own says of a display, whose output goes to a pseudo terminal or a file."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_in(Path(folder) / "run")
        writer = threading.Thread(target=write_states, args=(run, seconds))
        words = [sys.executable, __file__, "--seconds", str(seconds), "--display", str(run.folder)]
        ours, theirs = pty.openpty() if terminal else (0, os.open(os.devnull, os.O_WRONLY))
        with subprocess.Popen(
            words + (["--terminal"] if terminal else []), stdout=theirs, stderr=subprocess.PIPE, text=True
        ) as process:
            os.close(theirs)
            writer.start()
            if terminal:
                threading.Thread(target=drain, args=(ours,), daemon=True).start()
            assert process.stderr is not None
            said = process.stderr.read().strip()
        writer.join()
    return said


def drain(descriptor: int) -> None:
    """Read what is drawn, as a terminal does."""
    try:
        while os.read(descriptor, 1 << 16):
            pass
    except OSError:
        return


def main() -> None:
    """Measure both, or be the display that is measured."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--display", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--terminal", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.display:
        share = display(store.Run(options.display), options.seconds, terminal=options.terminal)
        sys.stderr.write(f"{share:.2f} %\n")
        return
    for terminal in (True, False):
        name = "on a terminal" if terminal else "without one"
        sys.stdout.write(f"{name}: {measured(options.seconds, terminal=terminal)} of a processor\n")


if __name__ == "__main__":
    main()
