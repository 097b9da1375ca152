"""One run of the fake tree with a fault in it, the run after it that goes on, and the questions after each."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.model.result import CellResult, Verdict
from matrix.runs.store import Run
from tests.engine.conftest import edit
from tests.engine.test_bad_trees import FORGETS, RELINKS
from tests.faults.boundaries import ENGINE, SIGNALS, Counts, Fault
from tests.faults.engine import EngineFault, FakeEngine
from tests.faults.recorded import PLACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.starter import Starter

DROPPED = ("PYTEST_", "PERF_MATRIX_", "COV_", "COVERAGE", "PYTHONDONTWRITEBYTECODE")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FAKE = ROOT / "tests" / "data" / "fake"
CELLS = (f"{PLACE}/fake@bad", f"{PLACE}/fake@good")
PATIENCE_S = 180
"""How long a command may take; with a fault that is waited for it is a minute on a loaded machine."""

GRACE_S = 60
"""How long processes may live after a command that was killed: it could not wait for them."""

Summary = tuple[str, tuple[tuple[str, str, tuple[str, ...]], ...]]
"""A cell's verdict and, of each check, its name, verdict and findings."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    text: str
    wall_s: float


@dataclass
class Outcome:
    """What a trial showed: where the fault was raised, if it was reached, and what was not as it must be."""

    fault: Fault
    fired: str = ""
    status: int | None = None
    resumed: int | None = None
    wrong: list[str] = field(default_factory=list)
    text: str = ""


class Trial:
    """A folder with a state, a cache, a temporary folder, configuration, the trees and an engine's socket."""

    def __init__(self, folder: Path, starter: Starter) -> None:
        self.folder = folder
        self.starter = starter
        for name in ("state", "cache", "runtime", "tmp", "configs/trees"):
            (folder / name).mkdir(parents=True)
        for tree, edits in (("good", ()), ("bad", (*RELINKS, *FORGETS))):
            path = folder / "trees" / tree
            shutil.copytree(FAKE / "tree", path)
            for place, old, new in edits:
                edit(path / place, old, new)
            (folder / "configs" / "trees" / f"{tree}.yaml").write_text(f"source: dir:{path}\n")
        self.engine = FakeEngine(folder / "engine.sock")

    def close(self) -> None:
        self.engine.close()

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
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE / "inject"), os.environ.get("PYTHONPATH", "")])),
            "MATRIX_FAULT_PLAN": str(self.folder / "plan.json"),
        }

    def plan(self, fault: Fault | None, *, counting: bool = False) -> None:
        """Arm the processes, or the engine, with a fault, or with none."""
        is_engine = fault is not None and fault.role == "engine"
        inside = None if is_engine else fault
        plan = {
            "below": [f"{self.folder}/{name}" for name in ("state", "cache", "tmp", "configs", "trees", "engine.sock")],
            "fired": str(self.folder / "fired"),
            "counts": str(self.folder / "counts") if counting else "",
            "role": inside.role if inside else "",
            "boundary": inside.boundary if inside else "",
            "number": inside.number if inside else 0,
            "how": inside.how if inside else "",
        }
        (self.folder / "plan.json").write_text(json.dumps(plan))
        (self.folder / "fired").unlink(missing_ok=True)
        self.engine.fault = EngineFault(fault.boundary, fault.number, fault.how) if fault and is_engine else None
        self.engine.fired = ""
        self.engine.requests.clear()

    def fired(self) -> str:
        path = self.folder / "fired"
        return self.engine.fired or (path.read_text() if path.is_file() else "")

    def command(self, *words: str) -> Ended:
        """Run a command of the matrix to its end, killing it when there is none."""
        began = time.monotonic()
        output = self.folder / "output"
        pid = self.starter.start(["-m", "matrix", *words], self.environment(), output)
        timer = threading.Timer(PATIENCE_S, os.kill, (pid, signal.SIGKILL))
        timer.start()
        status = self.starter.status()
        timer.cancel()
        return Ended(status, output.read_text(errors="replace"), time.monotonic() - began)

    def begin(self) -> Ended:
        trees = [word for tree in ("good", "bad") for word in ("--tree", tree)]
        configs = ["--configs", str(FAKE), "--configs", str(self.folder / "configs")]
        return self.command("run", *configs, *trees, "--select", f"{PLACE}/fake@*", "-n", "1")

    def resume(self) -> Ended:
        run = self.run
        return self.command("run", "--resume", run.name, "-n", "1") if run else self.begin()

    def counts(self) -> Counts:
        """Return how often the processes came to each boundary, and the engine's routes were asked."""
        lines = (self.folder / "counts").read_text().splitlines()
        found = Counter((role, boundary) for role, _, boundary in (line.partition("\t") for line in lines))
        return {**found, **{("engine", route): number for route, number in self.engine.requests.items()}}

    def results(self) -> dict[str, Summary]:
        """Return the summary of each stored result that is no ERROR."""
        run = self.run
        found: dict[str, Summary] = {}
        for cell in CELLS if run else ():
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

    def temporary(self) -> list[str]:
        """Return the temporary files that are left."""
        return [path.name for path in (self.folder / "tmp").iterdir()]


def summary(result: CellResult) -> Summary:
    checks = ((one.check, str(one.verdict), tuple(sorted(f.key for f in one.findings))) for one in result.checks)
    return str(result.verdict), tuple(checks)


@contextlib.contextmanager
def trial(folder: Path, starter: Starter) -> Iterator[Trial]:
    """Give a trial in a new folder, which is removed at the end."""
    folder.mkdir(parents=True)
    made = Trial(folder, starter)
    try:
        yield made
    finally:
        made.wait_for_processes(0)
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Undisturbed:
    """What a run without a fault does: its status, its results and its calls at each boundary."""

    status: int
    results: dict[str, Summary]
    counts: Counts
    wall_s: float


def undisturbed(folder: Path, starter: Starter) -> Undisturbed:
    """Do a run without a fault, counting its calls."""
    with trial(folder, starter) as one:
        one.plan(None, counting=True)
        ended = one.begin()
        found = Undisturbed(ended.status, one.results(), one.counts(), ended.wall_s)
        assert found.status == 1, ended.text
        assert {cell: result[0] for cell, result in found.results.items()} == dict(
            zip(CELLS, ("FAIL", "PASS"), strict=True)
        ), ended.text
        assert not one.engine.left(), one.engine.left()
        assert not one.litter() + one.temporary(), one.litter() + one.temporary()
        return found


def tried(folder: Path, starter: Starter, fault: Fault, base: Undisturbed) -> Outcome:
    """Do a run with a fault, ask the questions, go on with it, and ask them again."""
    outcome = Outcome(fault)
    with trial(folder, starter) as one:
        one.plan(fault)
        ended = one.begin()
        outcome.status, outcome.text = ended.status, ended.text
        _ask(one, ended, fault, base, outcome)
        outcome.fired = one.fired()
        before = one.results()
        if one.engine.fault and one.engine.fault.how in ("gone", "hang"):
            one.engine.close()
            one.engine.listen()
        one.plan(None)
        again = one.resume()
        outcome.resumed = again.status
        outcome.text += f"\n--- resumed\n{again.text}"
        _ask_again(one, again, base, before, outcome)
    return outcome


def _ask(one: Trial, ended: Ended, fault: Fault, base: Undisturbed, outcome: Outcome) -> None:
    was_killed = ended.status < 0
    wrong = outcome.wrong
    if ended.wall_s >= PATIENCE_S:
        wrong.append(f"it did not end in {PATIENCE_S} s")
    living = one.wait_for_processes(GRACE_S if was_killed else 2)
    if living:
        wrong.append(f"{len(living)} of its processes live on")
    wrong.extend(_wrong_status(ended.status, one, fault, base))
    wrong.extend(_wrong_results(one, base))
    if "Traceback (most recent call last)" in ended.text:
        wrong.append("a traceback on the terminal")
    if ended.status in (0, 1) and one.fired() and one.engine.left() and fault.kind != ENGINE:
        wrong.append(f"left in the engine: {one.engine.left()}")
    may_not_remove = fault.boundary == "remove" or fault.how == "EROFS lasting"
    # A signal may come while Python tries the temporary folder with a file of its own (tempfile._get_default_tempdir).
    if not may_not_remove and fault.kind != SIGNALS and one.temporary():
        wrong.append(f"temporary files: {one.temporary()}")
    if not may_not_remove and fault.how not in ("SIGKILL", "SIGTERM") and one.litter():
        wrong.append(f"unfinished files: {one.litter()}")


def _wrong_status(status: int, one: Trial, fault: Fault, base: Undisturbed) -> Iterator[str]:
    verdicts = {result[0] for result in one.results().values()}
    if one.results() == base.results and status == base.status:
        return
    # 3 also where every cell has its result, as the end of the run may have failed; a FAIL goes before an ERROR.
    allowed = {3, 1} if "FAIL" in verdicts else {3}
    if fault.how in ("EACCES", "ENOENT"):  # a mode that its user can mend, a git that its user can install
        allowed.add(2)
    if fault.role == "command" and fault.kind == SIGNALS:
        allowed = {"SIGINT": {130}, "SIGTERM": {130, -signal.SIGTERM}, "SIGKILL": {-signal.SIGKILL}}[fault.how]
    if status not in allowed:
        yield f"status {status} with {sorted(verdicts)}, and not one of {sorted(allowed)}"


def _wrong_results(one: Trial, base: Undisturbed) -> Iterator[str]:
    try:
        results = one.results()
    except ValueError as error:
        yield f"a result cannot be read: {error}"
        return
    for cell, found in results.items():
        if found != base.results[cell]:
            yield f"{cell} is another than undisturbed: {_difference(found, base.results[cell])}"


def _difference(found: Summary, wanted: Summary) -> Any:
    return found[0], sorted(set(found[1]) - set(wanted[1]))


def _ask_again(one: Trial, again: Ended, base: Undisturbed, before: dict[str, Summary], outcome: Outcome) -> None:
    wrong = outcome.wrong
    after = one.results()
    if lost := {cell for cell, found in before.items() if after.get(cell) != found}:
        wrong.append(f"stored results are gone or changed: {sorted(lost)}")
    if (again.status, after) != (base.status, base.results):
        wrong.append(f"resumed: status {again.status}, { ({cell: result[0] for cell, result in after.items()}) }")
    if "Traceback (most recent call last)" in again.text:
        wrong.append("resumed: a traceback on the terminal")
    if one.engine.left() or one.litter():
        cleaned = one.command("clean")
        if cleaned.status or one.engine.left():
            wrong.append(f"after clean there is left in the engine: {one.engine.left()}; {cleaned}")
        if one.litter():
            wrong.append(f"after clean there are unfinished files: {one.litter()}")
