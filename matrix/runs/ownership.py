"""Who is using the engine: a run or another command, alive or gone; and the removal of what the gone ones left."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from matrix import files, paths
from matrix.engine.cache import KEPT
from matrix.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine, Resource
    from matrix.runs.store import Run

LOCK, PYTEST_LOCK = "lock", "pytest.lock"
"""Held by `perf-matrix run` and by the pytest that it started, which may outlive it."""

BUSY = "busy"
"""The folder of the locks of those that build something outside of any run."""


def owner() -> str:
    """Return what tells our things in an engine from those of another state folder: a random id that is kept there."""
    path = paths.state() / "owner"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            files.write(path, secrets.token_hex(6))
        return path.read_text()


def label(run: str = "") -> str:
    """Return the label of what belongs to a run, or else to this process."""
    return f"{owner()}.{run or f'pid-{os.getpid()}'}"


def lock(run: Run) -> FileLock:
    """Return the lock that a run's first process holds while it lives."""
    return FileLock(run.folder / LOCK)


def gone(text: str) -> bool:
    """Return whether a label is one of ours and its run or process has ended."""
    mine, _, name = text.partition(".")
    if mine != owner() or not name:
        return False
    if name.startswith("pid-"):
        return not Path(f"/proc/{name.removeprefix('pid-')}").exists()
    folder = paths.state() / "runs" / name
    return not folder.is_dir() or not _held(folder)


def measuring() -> FileLock:
    """Return the lock that a measurement holds, which needs the machine for itself."""
    path = paths.state() / "measuring.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def refuse_beside_a_measurement() -> None:
    """See that nothing is being measured, which needs the machine; whoever asks holds a lock that measurements look at.

    Raises:
        UsageError: something is.

    """
    if held(measuring(), patience_s=2):
        raise UsageError("a comparison is being measured, which needs the machine", "Wait until it has ended.")


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Build something that is no run: a measurement waits for that, too.

    Raises:
        UsageError: something is being measured.

    """
    path = paths.state() / BUSY / f"{os.getpid()}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path):
            refuse_beside_a_measurement()
            yield
    finally:
        path.unlink(missing_ok=True)


def others_busy() -> bool:
    """Return whether another process builds something that is no run."""
    return any(held(FileLock(path)) for path in (paths.state() / BUSY).glob("*.lock"))


def going_on(run: Run) -> bool:
    """Return whether a process is at work on a run."""
    return _held(run.folder)


def held(lock: FileLock, patience_s: float = 0) -> bool:
    """Return whether another process holds a lock, and still does after `patience_s` seconds: others may look, too."""
    try:
        with lock.acquire(timeout=patience_s):
            return False
    except Timeout:
        return True


def _held(folder: Path) -> bool:
    return held(FileLock(folder / LOCK)) or held(FileLock(folder / PYTEST_LOCK))


def left_over(engine: Engine, run: str = "") -> list[Resource]:
    """Return what sessions that have ended left in the engine; with `run`, what that run has there."""
    wanted = label(run)
    return [
        resource
        for resource in engine.resources()
        if resource.purpose not in KEPT and (resource.run == wanted if run else gone(resource.run))
    ]


def sweep(engine: Engine, run: str = "") -> int:
    """Remove what is left over and return how many things that were."""
    found = left_over(engine, run)
    failures = []
    for resource in found:
        try:
            engine.remove(resource)
        except InfrastructureError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return len(found)
