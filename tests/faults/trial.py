"""A trial: its folders, engine, server and commands, and what there is after each command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.model.result import CellResult, Verdict
from matrix.runs.store import Run
from tests.faults import scenarios
from tests.faults.engine import EngineFault, FakeEngine
from tests.faults.flushes import Journal
from tests.faults.server import Server, ServerFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.boundaries import Counts, Fault
    from tests.faults.scenarios import Scenario
    from tests.faults.starter import Starter

DROPPED = ("PYTEST_", "PERF_MATRIX_", "COV_", "COVERAGE", "PYTHONDONTWRITEBYTECODE")
HERE = Path(__file__).resolve().parent
PATIENCE_S = 180
"""How long a command may take; with a fault that is waited for it is a minute on a loaded machine."""

INTERRUPTED_AT = 20
"""The program in a cell at whose start the run is interrupted, in scenarios that go on with such a run."""

OUTSIDE = ("engine", "server")
"""The roles of no process of a run, with faults of their own."""

Summary = tuple[str, tuple[tuple[str, str, tuple[str, ...]], ...]]
"""A cell's verdict and, of each check, its name, verdict and findings."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    text: str
    wall_s: float


class Trial:
    """A folder with a state, a cache, a temporary folder, configuration, the trees and an engine's socket."""

    def __init__(self, folder: Path, starter: Starter, scenario: Scenario) -> None:
        self.folder = folder
        self.starter = starter
        self.scenario = scenario
        for name in ("state", "cache", "runtime", "tmp", "configs/trees"):
            (folder / name).mkdir(parents=True)
        self.server = Server() if scenario.source == "tar" else None
        address = self.server.address if self.server else ""
        for tree, source in scenarios.sources(scenario, folder, address).items():
            (folder / "configs" / "trees" / f"{tree}.yaml").write_text(f"source: {source}\n")
        packages = {name: scenarios.package(name) for name in scenarios.TREES} if scenario.source == "deb" else {}
        self.engine = FakeEngine(folder / "engine.sock", packages=packages)
        self.journal = Journal(folder / "journal")

    def close(self) -> None:
        self.engine.close()
        if self.server:
            self.server.close()

    @property
    def run(self) -> Run | None:
        found = sorted((self.folder / "state" / "runs").glob("*/run.json"))
        return Run(found[0].parent) if found else None

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(DROPPED)}
        places = {f"PERF_MATRIX_{name.upper()}": str(self.folder / name) for name in ("state", "cache", "runtime")}
        return {
            **kept,
            **places,
            "DOCKER_HOST": self.engine.url,
            "TMPDIR": str(self.folder / "tmp"),
            "PATH": f"{HERE / 'programs'}{os.pathsep}{os.environ['PATH']}",  # no registry is asked, nor a mirror
            "COLUMNS": "160",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE / "inject"), os.environ.get("PYTHONPATH", "")])),
            "MATRIX_FAULT_PLAN": str(self.folder / "plan.json"),
        }

    def plan(self, fault: Fault | None, *, counting: bool = False) -> None:
        """Arm the processes, or the engine, with a fault, or with none."""
        inside = fault if fault and fault.role not in OUTSIDE else None
        plan = {
            "below": [f"{self.folder}/{name}" for name in ("state", "cache", "tmp", "configs", "trees", "engine.sock")],
            "fired": str(self.folder / "fired"),
            "counts": str(self.folder / "counts") if counting else "",
            "journal": str(self.journal.path),
            "kept": f"{self.folder}/state",
            "role": inside.role if inside else "",
            "boundary": inside.boundary if inside else "",
            "number": inside.number if inside else 0,
            "how": inside.how if inside else "",
        }
        (self.folder / "plan.json").write_text(json.dumps(plan))
        (self.folder / "fired").unlink(missing_ok=True)
        is_engine = fault is not None and fault.role == "engine"
        self.engine.arm(EngineFault(fault.boundary, fault.number, fault.how) if fault and is_engine else None)
        if self.server:
            is_server = fault is not None and fault.role == "server"
            self.server.arm(ServerFault(fault.number, fault.how) if fault and is_server else None)

    def fired(self) -> str:
        path = self.folder / "fired"
        of_others = self.engine.fired or (self.server.fired if self.server else "")
        return of_others or (path.read_text() if path.is_file() else "")

    def command(self, *words: str) -> Ended:
        """Run a command of the matrix to its end, killing it when there is none."""
        began = time.monotonic()
        output = self.folder / "output"
        pid = self.starter.start(["-m", "matrix", *words], self.environment(), output)
        self.engine.interrupt = lambda: os.kill(pid, signal.SIGINT)
        timer = threading.Timer(PATIENCE_S, os.kill, (pid, signal.SIGKILL))
        timer.start()
        status = self.starter.status()
        timer.cancel()
        return Ended(status, output.read_text(errors="replace"), time.monotonic() - began)

    def begin(self) -> Ended:
        return self.command(*scenarios.words(self.scenario, self.folder))

    def resume(self) -> Ended:
        run = self.run
        words = [self.scenario.command, "--resume", run.name if run else "", "-n", str(self.scenario.workers)]
        return self.command(*words) if run else self.begin()

    def interrupted(self) -> Ended:
        """Begin the run and interrupt it in its second cell, always at the same request to the engine."""
        self.plan(None)
        self.engine.arm(EngineFault("POST /exec/*/start", INTERRUPTED_AT, "interrupt"))
        ended = self.begin()
        assert (ended.status, len(self.results()), self.engine.left()) == (130, 1, []), ended.text
        return ended

    def counts(self) -> Counts:
        """Return how often the processes came to each boundary, and the engine's routes were asked."""
        lines = (self.folder / "counts").read_text().splitlines()
        of_each: Counter[tuple[str, ...]] = Counter(tuple(line.split("\t")) for line in lines)
        found: Counts = {}
        for (role, _, boundary), number in of_each.items():  # two workers count alone: the most of one process
            found[role, boundary] = max(number, found.get((role, boundary), 0))
        found |= {("engine", route): number for route, number in self.engine.requests.items()}
        if self.server:
            found |= {("server", route): number for route, number in self.server.requests.items()}
        return found

    def results(self) -> dict[str, Summary]:
        """Return the summary of each stored result that is no ERROR."""
        run = self.run
        found: dict[str, Summary] = {}
        for cell in self.scenario.cells if run else ():
            path = Path(str(run.folder)) / "cells" / cell / "result.json" if run else Path()
            if path.is_file():
                result = CellResult.model_validate_json(path.read_bytes())
                if result.verdict != Verdict.ERROR:
                    found[cell] = summary(result)
        return found

    def wait_for_processes(self, patience_s: float) -> list[int]:
        """Return the processes that have not ended in time, which are killed now."""
        deadline = time.monotonic() + patience_s
        while (left := self.starter.descendants()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def litter(self) -> list[str]:
        """Return the files in state and cache that were never finished."""
        parts = [path for name in ("state", "cache") for path in (self.folder / name).rglob("*.part")]
        return [str(path.relative_to(self.folder)) for path in parts]

    def temporary(self) -> list[Path]:
        """Return the temporary files that are left."""
        return sorted((self.folder / "tmp").iterdir())


def summary(result: CellResult) -> Summary:
    checks = ((one.check, str(one.verdict), tuple(sorted(f.key for f in one.findings))) for one in result.checks)
    return str(result.verdict), tuple(checks)


@contextlib.contextmanager
def trial(folder: Path, starter: Starter, scenario: Scenario) -> Iterator[Trial]:
    """Give a trial in a new folder, which is removed at the end."""
    folder.mkdir(parents=True)
    made = Trial(folder, starter, scenario)
    try:
        yield made
    finally:
        made.wait_for_processes(0)
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
