"""Runs that real processes do: whoever does one holds it, and nobody else begins with it or sweeps what it has."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.runs import locks, ownership, store
from tests.replay.conftest import DATA, PLACE, ROOT
from tests.replay.fake_engine import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.in_process import Done
    from tests.replay.conftest import Replay

PATIENCE_S = 120
TREE = DATA / "fake" / "tree"
# --fresh, here and below: the first to ask for an image is to be a cell, and not the search for earlier results.
BY_HAND = ("pytest", "tests/cells", "-p", "no:cacheprovider")


class Live:
    """A command that does a run whose first cell does not end, and what others can do meanwhile."""

    def __init__(self, replay: Replay, engine: FakeEngine) -> None:
        self.replay = replay
        self.engine = engine
        self.runs = replay.folder / "state" / "runs"
        self.process: subprocess.Popen[str] | None = None
        self.run = store.Run(replay.run)

    def start(self, *words: str, options: tuple[str, ...] = (), **more: str) -> None:
        """Start what begins a run of two cells, or goes on with one, and wait until a cell is begun."""
        before = set(self.runs.iterdir())
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words, *options],
            cwd=ROOT,
            env={**self.replay.environment(), "DOCKER_HOST": self.engine.url, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + PATIENCE_S
        while not self.engine.asked_for_image.wait(0.1):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
        new = set(self.runs.iterdir()) - before
        self.run = store.Run(new.pop()) if new else self.run

    def cells(self) -> list[str]:
        tree = ["--tree", f"dir:{TREE}"]
        return [*self.replay.words, *tree, "--select", f"{PLACE}/fake", "--select", f"{PLACE}/fake-out"]

    def two_trees(self) -> list[str]:
        other = self.replay.folder / "other"
        shutil.copytree(TREE, other)
        return [*self.replay.words, "--base", f"dir:{TREE}", "--head", f"dir:{other}", "--select", f"{PLACE}/fake"]

    def end(self, number: signal.Signals) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        said = self.process.communicate(timeout=PATIENCE_S)[0]
        return self.process.returncode, said

    def ask(self, *words: str) -> Done:
        return self.replay(*words, DOCKER_HOST=self.engine.url)

    def leave(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the engine have a volume of the run."""
        monkeypatch.setenv("PERF_MATRIX_STATE", str(self.replay.folder / "state"))
        self.engine.volumes["pbm-of-the-run"] = ownership.label(self.run.name)


@pytest.fixture
def live(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    engine = FakeEngine(replay.folder / "engine.sock")
    made = Live(replay, engine)
    # `clean` finds what any killed process left in the temporary folder, of other tests, too.
    with tempfile.TemporaryDirectory(prefix="live-") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        yield made
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.communicate()
        engine.close()


def wait_until_ended(run: store.Run) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while locks.is_being_done(run):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    """Return the processes whose parent a process is: proc(5) has its number after the name and the state."""
    found = []
    for folder in filter(lambda path: path.name.isdigit(), Path("/proc").iterdir()):
        with contextlib.suppress(OSError):  # it has just ended
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            found += [int(folder.name)] if int(parent) == pid else []
    return found


@contextlib.contextmanager
def stopped(processes: list[int]) -> Iterator[None]:
    """Let processes stand still."""
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(lambda live: live.start("matrix", "run", "--fresh", "-n", "2", *live.cells()), id="run"),
        pytest.param(lambda live: live.start(*BY_HAND, *live.cells()), id="pytest"),
        pytest.param(lambda live: live.start(*BY_HAND, "-n", "2", *live.cells()), id="pytest -n 2"),
        pytest.param(lambda live: live.start("matrix", "gate", "--fresh", *live.two_trees()), id="gate"),
    ],
)
def test_a_run_that_is_being_done_is_held_until_its_end(
    live: Live, begin: Callable[[Live], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(live)
    live.leave(monkeypatch)
    command = live.run.settings().kind.command
    for words in ((command, "--resume", live.run.name), ("report", live.run.name, "--check")):
        refused = live.ask(*words)
        assert (refused.status, refused.out.count("verdict:")) == (2, 0)
        assert f"run {live.run.name} is being done by another process\n  Wait until it has ended." in refused.err
    shown = live.ask("report", live.run.name)
    assert (shown.status, shown.out.startswith("going on: 0 of 2 cells done")) == (3, True), shown.out
    assert ("--resume" in shown.out, "did not end" in shown.out) == (False, False)
    assert "nothing to remove" in live.ask("clean").err
    beside = live.ask("clean", "--all")
    assert (beside.status, beside.out) == (2, "")
    assert f"run {live.run.name} is being done, which needs the caches" in beside.err
    assert locks.is_being_done(live.run)
    status, said = live.end(signal.SIGINT)
    assert status != 0, said
    assert not locks.is_being_done(live.run)
    assert live.engine.volumes == {}


def test_a_pytest_that_outlives_its_command_holds_the_run_until_it_has_cleaned_up(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.start("matrix", "run", "--fresh", "-n", "2", *live.cells())
    live.leave(monkeypatch)
    live.end(signal.SIGKILL)
    assert locks.is_being_done(live.run)
    wait_until_ended(live.run)
    assert live.engine.volumes == {}


def test_a_worker_that_outlives_its_killed_pytest_holds_the_run(live: Live) -> None:
    live.start(*BY_HAND, "-n", "2", *live.cells())
    assert live.process is not None
    workers = children(live.process.pid)
    assert len(workers) == 2
    with stopped(workers):
        live.process.kill()
        live.process.wait()
        assert locks.is_being_done(live.run)
        refused = live.ask("run", "--resume", live.run.name)
    assert refused.status == 2
    assert f"run {live.run.name} is being done by another process" in refused.err
    live.process.communicate(timeout=PATIENCE_S)
    wait_until_ended(live.run)


def test_what_a_killed_run_left_is_swept_once_none_of_its_processes_is_there(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.start(*BY_HAND, "-n", "2", *live.cells())
    live.leave(monkeypatch)
    live.end(signal.SIGKILL)
    wait_until_ended(live.run)
    assert "removing volume pbm-of-the-run (cell)" in live.ask("clean").out
    assert live.engine.volumes == {}


def test_a_run_that_is_refused_is_not_discarded(live: Live) -> None:
    settings = json.loads((live.run.folder / "run.json").read_text())
    folder = live.runs / "20260101T000000Z-0000"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({**settings, "run": folder.name}))
    with locks.doing(store.Run(folder)):
        done = live.replay.process("run", "--resume", folder.name, DOCKER_HOST=live.engine.url)
    assert done.status == 2
    assert (folder / "run.json").is_file()


def test_pytest_does_no_run_that_a_command_does(live: Live) -> None:
    live.start("matrix", "run", "--fresh", "-n", "1", *live.cells())
    done = live.replay.process(*BY_HAND[1:], module="pytest", PERF_MATRIX_RUN=str(live.run.folder))
    assert done.status != 0
    assert f"run {live.run.name} is being done by another process" in done.out + done.err


def test_pytest_discards_no_run_that_it_did_not_begin(live: Live) -> None:
    shutil.rmtree(live.run.folder / "cells")
    done = live.replay.process(*BY_HAND[1:], "--collect-only", module="pytest", PERF_MATRIX_RUN=str(live.run.folder))
    assert done.status == 0, done.out + done.err
    assert (live.run.folder / "run.json").is_file()


def test_pytest_does_no_run_outside_of_the_state_folder(live: Live) -> None:
    moved = live.replay.folder / live.replay.run.name
    shutil.copytree(live.replay.run, moved)
    done = live.replay.process(*BY_HAND[1:], "--collect-only", module="pytest", PERF_MATRIX_RUN=str(moved))
    assert done.status != 0
    assert f"run {moved} is not in the state folder" in done.out + done.err


def test_a_pytest_whose_command_has_ended_does_not_begin(live: Live) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    done = live.replay.process(
        *BY_HAND[1:],
        module="pytest",
        PERF_MATRIX_RUN=str(live.replay.run),
        PERF_MATRIX_COMMAND_PID=gone.stdout.decode().strip(),
    )
    assert "the command that started this pytest has ended" in done.out + done.err
    assert done.status == 2
