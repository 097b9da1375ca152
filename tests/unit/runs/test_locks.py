from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

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
HEIR = """
import os, sys
from pathlib import Path
from matrix.runs import locks
from matrix.runs.store import Run
if not sys.stdin.readline():
    sys.exit()
run = Run(Path(sys.argv[1]))
number = int(os.environ[locks.ENTRUSTED_VARIABLE].partition(":")[0])
with locks.doing(run):
    print(os.get_inheritable(number), "held", flush=True)
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


@pytest.fixture
def heir(run: store.Run) -> Iterator[subprocess.Popen[str]]:
    """Return a process that inherits the lock of a run from this one, which has ended by now as far as the run goes."""
    with locks.doing(run):
        lock = locks.inheritance(run)
        process = subprocess.Popen(
            [sys.executable, "-c", HEIR, str(run.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **lock.environment}, pass_fds=lock.descriptors,
        )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_a_child_inherits_the_lock_even_before_it_looks_at_it(run: store.Run, heir: subprocess.Popen[str]) -> None:
    assert locks.is_being_done_elsewhere(run)
    with pytest.raises(UsageError, match="is being done by another process"), locks.doing(run):
        pass
    heir.communicate(timeout=PATIENCE_S)
    assert not locks.is_being_done(run)


def test_a_child_does_the_run_whose_lock_it_inherits(run: store.Run, heir: subprocess.Popen[str]) -> None:
    assert heir.stdin is not None
    assert heir.stdout is not None
    heir.stdin.write("go on\n")
    heir.stdin.flush()
    assert heir.stdout.readline() == "False held\n"
    assert [path.name.partition("-")[0] for path in (run.folder / locks.AT_WORK).iterdir()] == [str(heir.pid)]


def test_a_child_that_has_done_the_run_leaves_its_parent_the_lock(run: store.Run) -> None:
    with locks.doing(run):
        lock = locks.inheritance(run)
        argv = [sys.executable, "-c", HEIR, str(run.folder)]
        environment = {**os.environ, **lock.environment}
        done = subprocess.run(
            argv,
            input="go on\n",
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            pass_fds=lock.descriptors,
        )
        assert done.stdout == "False held\n"
        assert locks.is_held(run.folder / locks.LOCK)


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(lambda run, _other: f"{run.folder}", id="no descriptor"),
        pytest.param(lambda run, _other: f"999:{run.folder}", id="descriptor not open"),
        pytest.param(lambda run, other: f"{other.fileno()}:{run.folder}", id="another file"),
        pytest.param(lambda run, _other: f"x:{run.folder}", id="no number"),
        pytest.param(lambda run, other: f"{other.fileno()}:{run.folder}-other", id="another run"),
    ],
)
def test_no_process_does_a_run_by_a_word_in_its_environment(
    run: store.Run,
    hold: Callable[[str], subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    claim: Callable[[store.Run, IO[str]], str],
) -> None:
    hold("doing")
    with (run.folder / "other").open("w") as other:
        monkeypatch.setenv(locks.ENTRUSTED_VARIABLE, claim(run, other))
        with pytest.raises(UsageError), locks.doing(run):
            pass


def test_an_open_lock_file_is_no_lock(
    run: store.Run, hold: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold("doing")
    with (run.folder / locks.LOCK).open("rb") as file:
        monkeypatch.setenv(locks.ENTRUSTED_VARIABLE, f"{file.fileno()}:{run.folder}")
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
