"""What is shown while cells run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from matrix.model.result import Verdict

if TYPE_CHECKING:
    import subprocess

    from matrix.model.result import CellResult
    from matrix.runs.store import Run

POLL_S = 0.5
HEARTBEAT_S = 60


class Progress:
    """What is shown while cells run: a line per running cell on a terminal, a line per event elsewhere."""

    def __init__(self, run: Run, wanted: tuple[str, ...], console: Console) -> None:
        self.run = run
        self.wanted = wanted
        self.console = console
        self.began = time.time()
        self.said: dict[str, str] = {}

    def look(self) -> Group:
        """Return the present state; where there is no terminal, print what is new in it."""
        running = []
        done = 0
        for cell_id in self.wanted:
            at = self.run.at(cell_id)
            if at is None:
                continue
            step, since = at
            if not step:
                done += 1
                self._say(cell_id, "ended")
                continue
            running.append(Text(f"  {cell_id}  {step}  {time.time() - since:.0f} s"))
            self._say(cell_id, step)
        left = len(self.wanted) - done
        elapsed = time.time() - self.began
        head = Text(f"{done} of {len(self.wanted)} cells done, {left} left, {elapsed:.0f} s", style="bold")
        return Group(head, *running)

    def _word(self, result: CellResult | None) -> str:
        """Return what a cell came to; one that is to be held against a base is not judged by itself."""
        if result is None:
            return "no result"
        compared = self.run.settings().kind.reports_comparisons and result.verdict != Verdict.ERROR
        return "done" if compared else str(result.verdict)

    def _say(self, cell_id: str, step: str) -> None:
        if self.said.get(cell_id) == step:
            return
        self.said[cell_id] = step
        if step == "ended":
            result = self.run.result(cell_id)
            verdict = self._word(result)
            done = sum(said == "ended" for said in self.said.values())
            where = f"[{done}/{len(self.wanted)}]"
            self.console.print(Text(f"{where} {cell_id} {verdict} ({result.wall_s if result else 0:.0f} s)"))
        elif not self.console.is_terminal:
            self.console.print(Text(f"{time.time() - self.began:6.0f} s  {cell_id}  {step}"))


def wait(process: subprocess.Popen[bytes], progress: Progress, console: Console) -> None:
    """Show progress until the process ends: live on a terminal, a line for each event elsewhere."""
    if not console.is_terminal:
        said = time.monotonic()
        while process.poll() is None:
            now = progress.look()
            if time.monotonic() - said > HEARTBEAT_S:
                console.print(now)
                said = time.monotonic()
            time.sleep(POLL_S)
        progress.look()
        return
    with Live(progress.look(), console=console, refresh_per_second=2, transient=True) as live:
        while process.poll() is None:
            live.update(progress.look())
            time.sleep(POLL_S)
