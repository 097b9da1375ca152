"""Locks between processes: one process at a time does a run, and a measurement has the machine for itself.

A lock is a file that a process holds with flock(2): the kernel lets go of it however the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from matrix import paths
from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.runs.store import Run

LOCK = "lock"
"""The file in a run's folder that the process which does the run holds: a command, or a pytest started by hand."""

AT_WORK = "at-work"
"""The folder in a run's folder where every process that works on the run holds a file.

pytest and its workers may outlive the command that started them, and still write results then.
"""

BUSY = "busy"
"""The folder of the state folder where every process that builds something outside of any run holds a file."""

MEASURING = "measuring.lock"
"""The file of the state folder that a measurement holds."""

ENTRUSTED_VARIABLE = "PERF_MATRIX_ENTRUSTED"
"""The environment variable with the folder of the run whose lock the parent process holds for this one, too."""

LOOKERS_S = 1.0
"""How long a lock is tried for: a process that looks at a lock has it for some microseconds."""


@contextlib.contextmanager
def doing(run: Run) -> Iterator[None]:
    """Hold a run's lock, as the only process that does the run; nested in itself, or entrusted, this is nothing new.

    Raises:
        UsageError: another process does the run, or a process that one started has not ended yet.

    """
    if _run_lock(run).is_locked:
        yield
        return
    with contextlib.ExitStack() as stack:
        if os.environ.get(ENTRUSTED_VARIABLE) != _folder(run):
            stack.enter_context(_only_process(run))
        stack.enter_context(at_work(run))
        yield


@contextlib.contextmanager
def _only_process(run: Run) -> Iterator[None]:
    refusal = UsageError(f"run {run.name} is being done by another process", "Wait until it has ended.")
    try:
        held = _run_lock(run).acquire(timeout=LOOKERS_S)
    except Timeout as error:
        raise refusal from error
    with held:
        if _any_held(run.folder / AT_WORK):
            raise refusal
        yield


def at_work(run: Run) -> contextlib.AbstractContextManager[None]:
    """Let others see that this process works on a run, for one that holds its lock."""
    return _file_of_this_process(run.folder / AT_WORK)


def entrusted(run: Run) -> dict[str, str]:
    """Return the environment of a process that is to do a part of the run that this process holds."""
    return {ENTRUSTED_VARIABLE: _folder(run)}


def is_being_done(run: Run) -> bool:
    """Return whether a process, this one included, does a run."""
    return is_held(run.folder / LOCK) or _any_held(run.folder / AT_WORK)


def is_being_done_elsewhere(run: Run) -> bool:
    """Return whether another process does a run."""
    return not _run_lock(run).is_locked and is_being_done(run)


def measuring() -> FileLock:
    """Return the lock that a measurement holds, which needs the machine for itself."""
    path = paths.state() / MEASURING
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def refuse_beside_a_measurement() -> None:
    """Refuse to begin while a measurement has the machine; the caller holds a lock that measurements look at.

    A measurement that is itself refused holds its lock for a moment, so that one look is not enough.

    Raises:
        UsageError: a measurement is going on.

    """
    deadline = time.monotonic() + 2
    while is_held(paths.state() / MEASURING):
        if time.monotonic() > deadline:
            raise UsageError("a comparison is being measured, which needs the machine", "Wait until it has ended.")
        time.sleep(0.1)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Let measurements see that this process builds something that is no run.

    Raises:
        UsageError: a measurement is going on.

    """
    with _file_of_this_process(paths.state() / BUSY):
        refuse_beside_a_measurement()
        yield


def others_busy() -> bool:
    """Return whether a process builds something that is no run."""
    return _any_held(paths.state() / BUSY)


def is_held(path: Path) -> bool:
    """Return whether a process holds a lock; processes that look at the same time do not see each other.

    Raises:
        OSError: the file is there and cannot be read.

    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _run_lock(run: Run) -> FileLock:
    return FileLock(_folder(run) + "/" + LOCK, is_singleton=True)


def _folder(run: Run) -> str:
    return str(run.folder.resolve())


def _any_held(folder: Path) -> bool:
    return any(is_held(path) for path in folder.glob("*.lock"))


@contextlib.contextmanager
def _file_of_this_process(folder: Path) -> Iterator[None]:
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.lock"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path):
            yield
    finally:
        path.unlink(missing_ok=True)
