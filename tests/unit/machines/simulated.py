"""Cells without engines: a process that only waits and then stores results, for many workers in one process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

import distributed

from matrix.machines import cells_process, known_results, possessions
from matrix.machines.messages import Possessions
from matrix.model.result import CellResult, StepResult, Verdict
from matrix.runs import cell_run
from matrix.runs.reuse import Surroundings
from matrix.trees import volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run


PASSED = (StepResult(name="build", command="make", verdict=Verdict.PASS, processes=3),)


class Cells:
    """Simulated cells: each takes its time, and its result is a PASS unless it is said to be another.

    `process_fails` names cells whose process ends without their result, each so many times. Workers have what
    `has_at` has for their addresses, the others what `has` is.
    """

    def __init__(self, cells: Mapping[CellId, Cell], duration_s: Callable[[CellId], float]) -> None:
        self.cells = cells
        self.duration_s = duration_s
        self.begun: list[CellId] = []
        self.process_fails: dict[CellId, int] = {}
        self.verdicts: dict[CellId, Verdict] = {}
        self.has = Possessions()
        self.has_at: dict[str, Possessions] = {}
        self.given: dict[CellId, bytes] = {}
        self.running = 0

    def start(self, run: Run, at_once: int, log: Path, on_end: Callable[[], None]) -> Process:
        del at_once
        log.touch()
        has = self.has_at.get(distributed.get_worker().address, self.has)
        return Process(self, run, has, on_end)

    def result(self, cell_id: CellId, run: str) -> CellResult:
        verdict = self.verdicts.get(cell_id, Verdict.PASS)
        return CellResult(
            id=cell_id, run=run, tool_version="0", verdict=verdict, definition=self.cells[cell_id], wall_s=1.0,
            reproduce=f"perf-matrix repro {cell_id} --run {run}",
        )  # fmt: skip

    def with_key(self, result: CellResult, run: Run, has: Possessions) -> CellResult:
        """Return a result with the facts and keys that it has where an engine built it, if workers have one."""
        cell = self.cells[result.id]
        if not has.images:
            return result
        part = known_results._Part(run, run.configuration(), cast("Engine", None))
        context = part.context(cell)
        tree = volumes.identify(cell.tree, context.engine, print, run.pins).identity
        found = Surroundings(has.images[cell.image.name], tree, has.host)
        begun = cell_run.identified(cell_run.begun(cell, context, time.gmtime()), found, context)
        own = {"verdict": result.verdict, "reason": "", "reproduce": result.reproduce, "steps": PASSED}
        return begun.model_copy(update=own)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(cells_process, "start", self.start)
        patch.setattr(possessions, "of_this_machine", lambda _: self.has)


class Process:
    """A thread in the place of a group's process."""

    def __init__(self, of: Cells, run: Run, has: Possessions, on_end: Callable[[], None]) -> None:
        self._of = of
        self._has = has
        self._on_end = on_end
        self._run = run
        self._stop = threading.Event()
        self._status: int | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def status(self) -> int | None:
        return self._status

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        self._of.running += 1
        try:
            self._status = self._take_all()
        finally:
            self._of.running -= 1
            self._on_end()

    def _take_all(self) -> int:
        base = self._run.settings().base
        for cell_id in sorted(self._run.settings().cells, key=lambda cell_id: cell_id.tree != base):
            if self._run.result(cell_id) is not None:
                self._of.given[cell_id] = self._run.transcript_path(cell_id).read_bytes()
                continue
            self._of.begun.append(cell_id)
            self._run.progress(cell_id, "build")
            until = time.monotonic() + self._of.duration_s(cell_id)
            if self._stop.wait(max(0.0, until - time.monotonic())):
                return 130
            if self._of.process_fails.get(cell_id, 0) > 0:
                self._of.process_fails[cell_id] -= 1
                return 1
            self._run.save_transcript(cell_id, [f"facts of {cell_id}".encode()])
            self._run.save(self._of.with_key(self._of.result(cell_id, self._run.name), self._run, self._has))
            self._run.progress(cell_id, "")
        return 0
