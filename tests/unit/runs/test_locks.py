from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from matrix.errors import UsageError
from matrix.runs import locks, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("places")

HOLDS = """
import sys
from pathlib import Path
from matrix.runs import locks
from matrix.runs.store import Run
with getattr(locks, sys.argv[1])(Run(Path(sys.argv[2]))):
    print("held", flush=True)
    sys.stdin.read()
"""
PATIENCE_S = 60


@pytest.fixture
def run() -> store.Run:
    return store.new_run()


@pytest.fixture
def hold(run: store.Run) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Return what starts another process that does the run, or works on it."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", HOLDS, how, str(run.folder)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", ["doing", "at_work"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_run_is_being_done_until_the_process_that_does_it_has_ended(
    run: store.Run, hold: Callable[[str], subprocess.Popen[str]], how: str, *, killed: bool
) -> None:
    assert not locks.is_being_done(run)
    process = hold(how)
    assert locks.is_being_done(run)
    assert locks.is_being_done_elsewhere(run)
    with pytest.raises(UsageError, match=f"run {run.name} is being done by another process"), locks.doing(run):
        pass
    if killed:
        process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert not locks.is_being_done(run)
    with locks.doing(run):
        pass


def test_a_process_that_does_a_run_sees_itself_and_may_begin_a_part_of_it(run: store.Run) -> None:
    with locks.doing(run):
        with locks.doing(store.Run(run.folder)):
            assert locks.is_being_done(run)
        assert locks.is_being_done(run)
        assert not locks.is_being_done_elsewhere(run)
    assert not locks.is_being_done(run)


def test_a_process_to_which_a_run_is_entrusted_does_it_beside_the_one_that_holds_it(
    run: store.Run, hold: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = hold("doing")
    for name, value in locks.entrusted(run).items():
        monkeypatch.setenv(name, value)
    with locks.doing(run):
        holder.communicate(timeout=PATIENCE_S)
        assert locks.is_being_done(run)
    assert not locks.is_being_done(run)


def test_another_run_is_not_entrusted(
    run: store.Run, hold: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold("doing")
    monkeypatch.setenv(locks.ENTRUSTED_VARIABLE, f"{run.folder}-other")
    with pytest.raises(UsageError), locks.doing(run):
        pass


def test_two_that_look_at_a_lock_do_not_see_each_other(run: store.Run) -> None:
    with locks.doing(run):
        pass
    with (run.folder / locks.LOCK).open("rb") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        assert not locks.is_being_done(run)


def test_who_looks_at_a_lock_refuses_nobody_who_takes_it(run: store.Run) -> None:
    with locks.doing(run):
        pass
    looker = (run.folder / locks.LOCK).open("rb")
    fcntl.flock(looker, fcntl.LOCK_SH)
    ends = threading.Timer(0.2, looker.close)
    ends.start()
    with locks.doing(run):
        pass
    ends.join()


def test_a_thousand_looks_refuse_no_start(run: store.Run) -> None:
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            locks.is_being_done(run)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    try:
        for _ in range(20):
            with locks.doing(run):
                pass
    finally:
        ended.set()
        for thread in lookers:
            thread.join()


def test_a_lock_that_cannot_be_looked_at_is_no_free_one(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(IsADirectoryError):
        locks.is_held(tmp_path / "lock")


def test_what_builds_outside_of_a_run_is_seen_while_it_does() -> None:
    assert not locks.others_busy()
    with locks.busy():
        assert locks.others_busy()
    assert not locks.others_busy()


def test_nothing_is_built_beside_a_measurement() -> None:
    with locks.measuring(), pytest.raises(UsageError, match="a comparison is being measured"), locks.busy():
        pass
    assert not locks.others_busy()


def test_a_measurement_that_is_refused_itself_refuses_nobody(places: Path) -> None:
    path = places / "state" / "measuring.lock"
    lock = FileLock(path, thread_local=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock.acquire()
    ends = threading.Timer(0.3, lock.release)
    ends.start()
    began = time.monotonic()
    with locks.busy():
        assert time.monotonic() - began >= 0.2
    ends.join()
