"""Locks between processes: one process at a time does a run, and a measurement has the machine for itself.

A lock is a file that a process holds with flock(2): the kernel lets go of it however the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock, lock_descriptor

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
"""The environment variable of a process that inherits a run's lock: `DESCRIPTOR:FOLDER`, its open file and its run."""

RUNNING = "running"
"""The folder of the state folder where each cell that runs its steps has a file, which its process holds."""

DECIDING = "admission.lock"
"""The file of the state folder that the process holds which decides whether a cell may begin."""

LOOKERS_S = 1.0
"""The seconds for which a lock is tried: a process that only looks at it has it for some microseconds."""

_descriptors: dict[str, int] = {}
"""The open lock files of the runs that this process does, by the run's folder."""


class Inheritance(NamedTuple):
    """The means by which a child process holds the lock that its parent holds: an open file, and where to look for it.

    flock(2): a lock belongs to the open file, which parent and child share, and ends when the last of them closes it.
    """

    environment: dict[str, str]
    descriptors: tuple[int, ...]


@contextlib.contextmanager
def doing(run: Run) -> Iterator[None]:
    """Hold a run's lock, as the only process that does the run; nested in itself, or inherited, this is nothing new.

    Raises:
        UsageError: another process does the run, or a process that one started has not ended yet.

    """
    if _is_held_here(run):
        yield
        return
    with _run_lock(run), at_work(run):
        yield


@contextlib.contextmanager
def _run_lock(run: Run) -> Iterator[None]:
    descriptor = _inherited_lock(run)
    if descriptor is None:
        descriptor = _new_lock(run)
    folder = _folder(run)
    _descriptors[folder] = descriptor
    try:
        yield
    finally:
        del _descriptors[folder]
        os.close(descriptor)


def _inherited_lock(run: Run) -> int | None:
    """Return the open lock file that the parent process let this one inherit, or nothing.

    The environment is not believed: the number must be that of an open file which is the run's lock file, and the
    kernel must grant the lock through it, as it does where parent and child share it.
    """
    number, _, folder = os.environ.get(ENTRUSTED_VARIABLE, "").partition(":")
    if folder != _folder(run) or not number.isdecimal():
        return None
    descriptor = int(number)
    try:
        is_lock_file = os.path.samestat(os.fstat(descriptor), _lock_file(run).stat())
    except OSError:
        return None
    if not is_lock_file or not lock_descriptor(descriptor, blocking=False):
        return None
    # A daemon that this process starts, as dockerd, would hold the lock for ever.
    fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return descriptor


def _new_lock(run: Run) -> int:
    """Open and lock a run's lock file; whoever closes the descriptor lets go of the lock."""
    with contextlib.ExitStack() as undo:
        descriptor = os.open(_lock_file(run), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        undo.callback(os.close, descriptor)
        if not _is_locked_in_time(descriptor) or _any_held(run.folder / AT_WORK):
            raise UsageError(f"run {run.name} is being done by another process", "Wait until it has ended.")
        undo.pop_all()
    return descriptor


def _is_locked_in_time(descriptor: int) -> bool:
    deadline = time.monotonic() + LOOKERS_S
    while not lock_descriptor(descriptor, blocking=False):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def at_work(run: Run) -> contextlib.AbstractContextManager[None]:
    """Let others see that this process works on a run, for one that holds its lock."""
    return _file_of_this_process(run.folder / AT_WORK)


def inheritance(run: Run) -> Inheritance:
    """Return the means by which a child process inherits the lock of a run that this process does."""
    folder = _folder(run)
    descriptor = _descriptors[folder]
    return Inheritance({ENTRUSTED_VARIABLE: f"{descriptor}:{folder}"}, (descriptor,))


def is_being_done(run: Run) -> bool:
    """Return whether a process, this one included, does a run."""
    return is_held(_lock_file(run)) or _any_held(run.folder / AT_WORK)


def is_being_done_elsewhere(run: Run) -> bool:
    """Return whether another process does a run."""
    return not _is_held_here(run) and is_being_done(run)


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
    """Let measurements see that this process builds outside of any run.

    Raises:
        UsageError: a measurement is going on.

    """
    with _file_of_this_process(paths.state() / BUSY):
        refuse_beside_a_measurement()
        yield


def others_busy() -> bool:
    """Return whether a process builds outside of any run."""
    return _any_held(paths.state() / BUSY)


def deciding() -> FileLock:
    """Return the lock of the process that decides whether a cell may begin."""
    path = paths.state() / DECIDING
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def running() -> contextlib.AbstractContextManager[None]:
    """Let others see that a cell runs its steps; the caller holds `deciding` when it enters."""
    return _file_of_this_process(paths.state() / RUNNING)


def running_for_s() -> list[float]:
    """Return the seconds since each cell that runs its steps began; the caller holds `deciding`.

    Files of killed processes are removed: while `deciding` is held, nobody makes one.
    """
    ages_s = []
    for path in (paths.state() / RUNNING).glob("*.lock"):
        if not is_held(path):
            path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(FileNotFoundError):  # the cell has ended meanwhile
            ages_s.append(max(0.0, time.time() - path.stat().st_mtime))
    return ages_s


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


def _is_held_here(run: Run) -> bool:
    return _folder(run) in _descriptors


def _lock_file(run: Run) -> Path:
    return run.folder / LOCK


def _folder(run: Run) -> str:
    return str(run.folder.resolve())


def _any_held(folder: Path) -> bool:
    return any(is_held(path) for path in folder.glob("*.lock"))


@contextlib.contextmanager
def _file_of_this_process(folder: Path) -> Iterator[None]:
    path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.lock"  # one process may hold several, one in the other
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path):
            yield
    finally:
        path.unlink(missing_ok=True)
