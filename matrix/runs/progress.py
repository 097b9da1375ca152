"""The progress of a run: a line for each running cell on a terminal, a line for each event elsewhere.

Each look takes CPU time from the cells, so a state file is read only when it has changed, and the terminal is redrawn
once a second.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from matrix import untrusted
from matrix.model.result import Verdict
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from rich.console import Console

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

LOOK_S = 1.0
HEARTBEAT_S = 60
"""The seconds after which a log gets the whole table, too: a step may take minutes, in which no event comes."""

ENDED = "ended"


class Progress:
    """The steps that the cells of a run are at, as their state files say, and which of them have been printed."""

    def __init__(self, run: Run, wanted: Sequence[CellId], console: Console) -> None:
        self.run = run
        self.wanted = wanted
        self.console = console
        self.began = time.monotonic()
        self._files = {cell_id: str(run.cell(cell_id) / "progress.json") for cell_id in wanted}
        self._compares = run.settings().kind.reports_comparisons
        self._versions: dict[CellId, tuple[int, int]] = {}  # of each state file at the last look: mtime and inode
        self._steps: dict[CellId, tuple[str, float]] = {}
        self._printed: dict[CellId, str] = {}

    def look(self) -> None:
        """Read the state files that have changed; print each cell that ended and, off a terminal, each step."""
        for cell_id in self.wanted:
            if self._has_changed(cell_id):
                self._read(cell_id)

    def _has_changed(self, cell_id: CellId) -> bool:
        """Return whether a cell's state file is another one than at the last look: each write makes a new file."""
        try:
            found = os.stat(self._files[cell_id])  # noqa: PTH116 - a Path takes longer than the system call
        except OSError:
            return False
        version = (found.st_mtime_ns, found.st_ino)
        changed = self._versions.get(cell_id) != version
        self._versions[cell_id] = version
        return changed

    def _read(self, cell_id: CellId) -> None:
        at = self.run.at(cell_id)
        if at is None:
            return
        # Since this look, by the steady clock: the time of day in the file may be set back or forth meanwhile.
        self._steps[cell_id] = untrusted.one_line(at[0]), time.monotonic()  # a title may hold the name of a cell's file
        step = self._steps[cell_id][0] or ENDED
        if self._printed.get(cell_id) == step:
            return
        self._printed[cell_id] = step
        if step == ENDED:
            self.console.print(self._ended(cell_id), soft_wrap=True)
        elif not self.console.is_terminal:
            self.console.print(Text(f"{time.monotonic() - self.began:6.0f} s  {cell_id}  {step}"), soft_wrap=True)

    def _ended(self, cell_id: CellId) -> Text:
        result = self.run.result(cell_id)
        where = f"[{self._done()}/{len(self.wanted)}]"
        if result is None:
            return Text(f"{where} {cell_id} no result (0 s)")
        # A cell that is compared with its base has no verdict of its own.
        verdict = "done" if self._compares and result.verdict != Verdict.ERROR else str(result.verdict)
        return Text(f"{where} {cell_id} {verdict} ({result.took_s:.0f} s)")

    def _done(self) -> int:
        return sum(not step for step, _ in self._steps.values())

    def table(self) -> Group:
        """Return the lines of progress: the numbers of cells done and left, and a line for each cell that runs."""
        now = time.monotonic()
        done = self._done()
        left = len(self.wanted) - done
        head = f"{done} of {count(len(self.wanted), 'cell')} done, {left} left, {now - self.began:.0f} s"
        running = [
            Text(f"  {cell_id}  {step}  {now - since:.0f} s")
            for cell_id in self.wanted
            for step, since in [self._steps.get(cell_id, ("", 0.0))]
            if step
        ]
        return Group(Text(head, style="bold"), *running)


def show(progress: Progress, process: subprocess.Popen[bytes], console: Console) -> None:
    """Show progress until the process ends."""
    show_until(progress, _end_of(process), console)


def show_until(progress: Progress, ended: threading.Event, console: Console) -> None:
    """Show progress until an event is set."""
    if console.is_terminal:
        _show_live(progress, ended, console)
    else:
        _print_events(progress, ended, console)


def _end_of(process: subprocess.Popen[bytes]) -> threading.Event:
    """Return an event that is set when a process ends.

    Popen.wait with a timeout would poll for the end, up to 20 times a second, all run long:
    https://docs.python.org/3/library/subprocess.html#subprocess.Popen.wait.
    """
    ended = threading.Event()

    def wait() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def _show_live(progress: Progress, ended: threading.Event, console: Console) -> None:
    with Live(console=console, auto_refresh=False, transient=True) as live:
        progress.look()
        live.update(progress.table(), refresh=True)
        while not ended.wait(LOOK_S):
            progress.look()
            live.update(progress.table(), refresh=True)
        progress.look()


def _print_events(progress: Progress, ended: threading.Event, console: Console) -> None:
    printed = time.monotonic()
    progress.look()
    while not ended.wait(LOOK_S):
        progress.look()
        if time.monotonic() - printed > HEARTBEAT_S:
            console.print(progress.table())
            printed = time.monotonic()
    progress.look()
