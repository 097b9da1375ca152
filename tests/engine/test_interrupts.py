"""Whatever ends a run early, results that there are stay, its containers go, and --resume does only the rest."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.engine import backends
from matrix.engine.api import Resource
from matrix.model.result import Verdict
from tests.engine.bench import PATIENCE_S, PLACE, Bench, descendants, edit, kill

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

MAKE = "tools/perf/Makefile.perf"
GOOD = "all: $(PROGRAM)"
HANGS = "all: hang\n.PHONY: hang\nhang:\n\tsleep 1000\n\nall: $(PROGRAM)"


class Interrupted:
    """A run, with one worker, of cells of which `a-good` has its result and `b-hangs` is in its build."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.tree("a-good")
        self.hanging = bench.tree("b-hangs", (MAKE, GOOD, HANGS))
        self.process = bench.popen(*bench.run_words("fake@a-good", "fake@b-hangs"), "-n", "1")
        bench.wait(lambda: bench.at("fake@b-hangs", "build") and self.builds("b-hangs"), self.process)
        self.kept = self.file("a-good").read_bytes()

    def builds(self, tree: str) -> bool:
        """Return whether make has begun: the step's own line is not all of its log."""
        log = self.file(tree).parent / "logs" / "build.log"
        return log.is_file() and b"make" in log.read_bytes().partition(b"\n")[2]

    def file(self, tree: str) -> Path:
        return self.bench.latest().cell(f"{PLACE}/fake@{tree}") / "result.json"

    def below(self) -> list[int]:
        return descendants(self.process.pid)

    def end(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out + err

    def mend(self) -> None:
        edit(self.hanging / MAKE, HANGS, GOOD)
        forget(self.bench, "b-hangs")


def forget(bench: Bench, tree: str) -> None:
    """Let the run take a tree anew, which else stays what it was when the run began."""
    (bench.latest().pins / f"{tree}.json").unlink()


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the workers of pytest-xdist below a run, whose first child is pytest."""
    return descendants(descendants(process.pid)[0])


def has_open(pid: int, path: str) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    try:
        return any(str(entry.readlink()).endswith(path) for entry in folder.iterdir())
    except OSError:
        return False


@pytest.fixture
def start(bench: Bench) -> Iterator[Callable[[], Interrupted]]:
    """Return what starts such a run; in the end none of its processes is there any more."""
    started: list[tuple[subprocess.Popen[str], list[int]]] = []

    def begin() -> Interrupted:
        made = Interrupted(bench)
        started.append((made.process, made.below()))
        return made

    yield begin
    for process, below in started:
        kill([process.pid] if process.poll() is None else [])
        process.communicate()
        left = [pid for pid in below if os.path.exists(f"/proc/{pid}/exe")]  # noqa: PTH110 - Path raises - a zombie has none
        kill(left)
        assert left == []


def interrupt(run: Interrupted, number: signal.Signals, engine: Engine) -> None:
    """Interrupt a run and see that it ends as it must."""
    assert run.bench.left(engine)
    run.process.send_signal(number)
    status, text = run.end()
    assert status == 130, text
    assert "interrupted: ending the cells that run" in text
    assert f"to go on: perf-matrix run --resume {run.bench.latest().name}" in text
    assert run.file("a-good").read_bytes() == run.kept
    assert run.bench.left(engine) == []


def test_sigint_ends_the_run_and_resume_does_what_is_lacking_and_nothing_else(
    start: Callable[[], Interrupted], engine: Engine
) -> None:
    run = start()
    interrupt(run, signal.SIGINT, engine)
    report = run.bench.command("report")
    assert report.status == 3
    assert f"{PLACE}/fake@b-hangs: ERROR: the cell was begun and did not end" in report.out
    assert "verdict: ERROR (1 PASS, 1 ERROR)" in report.out
    run.mend()
    name = run.bench.latest().name
    done = run.bench.command("run", "--resume", name)
    assert done.status == 0, done.text
    assert f"run {name}: 1 of 2 cells to do" in done.out
    assert "verdict: PASS (2 PASS)" in done.out
    assert run.file("a-good").read_bytes() == run.kept
    again = run.bench.command("run", "--resume", name)
    assert again.status == 0
    assert f"run {name}: 0 of 2 cells to do" in again.out


def test_sigterm_does_as_sigint_and_a_run_cannot_be_resumed_while_it_is_being_done(
    start: Callable[[], Interrupted], engine: Engine
) -> None:
    run = start()
    done = run.bench.command("run", "--resume", run.bench.latest().name)
    assert done.status == 2
    assert "is being done by another process" in done.err
    interrupt(run, signal.SIGTERM, engine)


def test_where_every_worker_was_killed_the_run_ends_with_status_3(
    start: Callable[[], Interrupted], engine: Engine
) -> None:
    run = start()
    kill(workers(run.process))
    status, text = run.end()
    assert status == 3, text
    assert "the last worker, was killed" in text
    assert run.file("a-good").read_bytes() == run.kept
    assert run.bench.left(engine) == []


def test_a_killed_worker_is_replaced_and_its_cell_done_again(bench: Bench, engine: Engine) -> None:
    hanging = {name: bench.tree(name, (MAKE, GOOD, HANGS)) for name in ("one", "two")}
    process = bench.popen(*bench.run_words("fake@one", "fake@two"), "-n", "2")
    below: list[int] = []
    try:
        bench.wait(lambda: all(bench.at(f"fake@{name}", "build") for name in hanging), process)
        edit(hanging["one"] / MAKE, HANGS, GOOD)
        forget(bench, "one")
        kill([pid for pid in workers(process) if has_open(pid, "fake@one/logs/build.log")])
        bench.wait(lambda: bench.at("fake@one", ""), process)
        assert bench.result("fake@one").verdict == Verdict.PASS
        below = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
    finally:
        kill([process.pid, *below] if process.poll() is None else [])
    assert bench.result("fake@one").verdict == Verdict.PASS
    assert bench.left(engine) == []


def test_where_only_the_run_was_killed_its_pytest_ends_by_itself_and_cleans_up(
    start: Callable[[], Interrupted], engine: Engine
) -> None:
    run = start()
    below = run.below()
    kill([run.process.pid])
    run.end()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if not any(os.path.exists(f"/proc/{pid}/exe") for pid in below):  # noqa: PTH110 - Path.exists raises at the end
            break
        time.sleep(0.1)
    assert run.bench.left(engine) == []
    assert run.file("a-good").read_bytes() == run.kept


def test_what_a_killed_run_left_is_found_and_removed_by_clean(start: Callable[[], Interrupted], engine: Engine) -> None:
    run = start()
    kill([run.process.pid, *run.below()])
    run.end()
    left = sorted(run.bench.left(engine), key=str)
    assert {item.kind for item in left} == {"container", "volume"}
    assert run.file("a-good").read_bytes() == run.kept
    shown = run.bench.command("clean", "--dry-run")
    assert all(f"would remove {item.kind} {item.name} (cell)" in shown.out for item in left)
    assert sorted(run.bench.left(engine), key=str) == left
    done = run.bench.command("clean")
    assert done.status == 0
    assert run.bench.left(engine) == []
    assert "nothing to remove" in run.bench.command("clean").err


def test_the_next_run_sweeps_what_a_killed_one_left_and_nothing_of_anybody_else(bench: Bench, engine: Engine) -> None:
    bench.tree("good")
    dead = backends.connect(session=f"{bench.owner()}.20000101T000000Z-dead")
    alive = backends.connect(session="someone-else.20000101T000000Z-dead")
    others = Resource("volume", "pbm-test-others", "script", "")
    try:
        dead.provide("pbm-test-dead", "script", lambda: iter(()))
        alive.provide(others.name, "script", lambda: iter(()))
        assert [item.name for item in bench.left(engine)] == ["pbm-test-dead"]
        done = bench.run("fake@good")
        assert done.status == 0, done.text
        assert "removing 1 leftover of runs that have ended" in done.out
        assert bench.left(engine) == []
        assert others.name in {item.name for item in engine.resources()}
    finally:
        engine.remove(others)
