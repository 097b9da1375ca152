"""The pytest of a run, played by processes that are real: how it is started, ended and cleaned up after."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from matrix.config import load
from matrix.engine import private_engine
from matrix.engine.api import Resource
from matrix.errors import InfrastructureError, UsageError
from matrix.runs import launch, locks, ownership, store
from matrix.runs.engine_access import EngineAccess
from matrix.trees import volumes
from tests.unit import conftest as make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.config.load import Config

pytestmark = pytest.mark.usefixtures("places")

CELL = make.cell()
QUICK_S = 10
"""Well below END_S, and more than a process needs to end on a busy machine."""

ANSWERS = """
import os, signal, sys, time
worker = os.fork()
name, answer = ("leader", sys.argv[1]) if worker else ("worker", sys.argv[2])
def tell(word):
    os.write(1, f"{name} {word}\\n".encode())
def interrupted(*_):
    tell("interrupted")
    if worker and sys.argv[1:] == ["ends", "ends"]:
        os.waitpid(worker, 0)
    if answer == "ends":
        os._exit(0)
signal.signal(signal.SIGINT, interrupted)
tell("ready")
end = time.monotonic() + 50
while time.monotonic() < end:
    time.sleep(0.1)
"""
"""A process and its child, which is in its group; each ends at an interrupt or stays, as its argument says."""

HOLDS = """
import sys
from pathlib import Path
from matrix.runs import locks
from matrix.runs.store import Run
with locks.doing(Run(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""

Start = Callable[[str, str], subprocess.Popen[bytes]]


class FakeEngine:
    """An engine that has a volume of a run, and one of a process that lives."""

    def __init__(self, run: store.Run) -> None:
        self.there = [
            Resource("volume", "of-the-run", "cell", ownership.label(run.name)),
            Resource("volume", "of-another", "cell", ownership.label()),
        ]

    def resources(self) -> list[Resource]:
        return list(self.there)

    def remove(self, resource: Resource) -> None:
        self.there.remove(resource)

    @property
    def names(self) -> list[str]:
        return [resource.name for resource in self.there]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts the two processes in a group of their own, and waits until both heed interrupts."""
    started: list[subprocess.Popen[bytes]] = []

    def started_with(leader: str, worker: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", ANSWERS, leader, worker]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout is not None
        assert {process.stdout.readline() for _ in range(2)} == {b"leader ready\n", b"worker ready\n"}
        return process

    yield started_with
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def interrupt_soon() -> Iterator[Callable[[], None]]:
    """Return what interrupts this process in a second, as a user does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.cancel()
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def config() -> Config:
    return load.load()


@pytest.fixture
def run() -> store.Run:
    return store.begin([CELL], ("7.3",), [], 2)


def access() -> EngineAccess:
    return EngineAccess(None, Console(file=io.StringIO(), width=200))


def said(where: EngineAccess) -> str:
    assert isinstance(where.console.file, io.StringIO)
    return where.console.file.getvalue()


def last_words(process: subprocess.Popen[bytes]) -> str:
    """Return what a process and its child wrote until both had ended; raise TimeoutExpired where one goes on."""
    return process.communicate(timeout=QUICK_S)[0].decode()


def test_an_interrupt_reaches_pytest_and_its_workers_which_end_by_themselves(start: Start) -> None:
    process = start("ends", "ends")
    began = time.monotonic()
    launch._end(process)
    assert (process.returncode, time.monotonic() - began < QUICK_S) == (0, True)
    assert sorted(last_words(process).splitlines()) == ["leader interrupted", "worker interrupted"]


def test_a_worker_that_outlives_pytest_is_killed(start: Start) -> None:
    process = start("ends", "stays")
    launch._end(process)
    assert process.returncode == 0
    last_words(process)


def test_what_does_not_end_in_time_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "END_S", 1)
    process = start("stays", "stays")
    launch._end(process)
    assert process.returncode == -signal.SIGKILL
    assert "leader interrupted" in last_words(process)


def test_a_second_interrupt_ends_the_wait(start: Start, interrupt_soon: Callable[[], None]) -> None:
    process = start("stays", "stays")
    began = time.monotonic()
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        launch._end(process)
    assert (process.returncode, time.monotonic() - began < QUICK_S) == (-signal.SIGKILL, True)
    last_words(process)


def test_a_pytest_that_has_ended_need_not_be_ended(start: Start) -> None:
    process = start("ends", "ends")
    launch._end(process)
    last_words(process)
    launch._end(process)


def test_an_interrupt_of_the_command_is_passed_on_once_and_said(
    run: store.Run, interrupt_soon: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_pytest_words", lambda _: [sys.executable, "-c", ANSWERS, "ends", "ends"])
    where = access()
    interrupt_soon()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), locks.doing(run):
        launch._run_pytest(run, (CELL.id,), 1, where)
    assert time.monotonic() - began < QUICK_S
    assert "interrupted: ending the cells that run" in said(where)
    lines = (run.folder / launch.PYTEST_LOG).read_text().splitlines()
    assert sorted(lines) == ["leader interrupted", "leader ready", "worker interrupted", "worker ready"]


def test_the_terminals_interrupt_does_not_reach_pytest_which_is_in_a_session_of_its_own(
    run: store.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tells = "import os; print(os.getpid() == os.getpgid(0) == os.getsid(0))"
    monkeypatch.setattr(launch, "_pytest_words", lambda _: [sys.executable, "-c", tells])
    with locks.doing(run):
        launch._run_pytest(run, (CELL.id,), 1, access())
    assert (run.folder / launch.PYTEST_LOG).read_text() == "True\n"


@pytest.mark.parametrize("status", [0, 3])
def test_what_a_run_has_in_the_engine_is_removed_at_its_end_even_where_pytest_failed(
    run: store.Run, config: Config, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    engine = FakeEngine(run)

    def words(_: int) -> list[str]:
        assert engine.names == ["of-the-run", "of-another"]
        return [sys.executable, "-c", f"raise SystemExit({status})"]

    monkeypatch.setattr(private_engine, "ensure", lambda *_: engine)
    monkeypatch.setattr(volumes, "prepare", lambda *_: None)
    monkeypatch.setattr(launch, "_pytest_words", words)
    failure = pytest.raises(InfrastructureError, match="pytest ended with status 3")
    with failure if status else contextlib.nullcontext():
        launch.run(run, (CELL.id,), 1, access(), config)
    assert engine.names == ["of-another"]


def test_a_run_that_another_process_does_is_refused_and_kept(run: store.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_engine, "ensure", lambda *_: pytest.fail("the run is begun"))
    argv = [sys.executable, "-c", HOLDS, str(run.folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"run {run.name} is being done by another process"):
            launch.run(run, (CELL.id,), 1, access())
        other.communicate()
    assert run.settings().cells == (CELL.id,)
