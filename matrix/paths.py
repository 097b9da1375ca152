"""The folders of caches, runs and sockets on this machine, by the platform's rules or the user's variables.

Temporary folders are found again where the process that made them was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterator

_APP = "perf-build-matrix"
TEMPORARY_PREFIX = "perf-matrix-"


def cache() -> Path:
    """Return the folder of images, trees and downloads: PERF_MATRIX_CACHE or the platform's cache folder."""
    return Path(os.environ.get("PERF_MATRIX_CACHE") or platformdirs.user_cache_path(_APP))


def state() -> Path:
    """Return the folder of runs and locks: PERF_MATRIX_STATE or the platform's state folder."""
    return Path(os.environ.get("PERF_MATRIX_STATE") or platformdirs.user_state_path(_APP))


def runtime() -> Path:
    """Return the folder of sockets and pid files: PERF_MATRIX_RUNTIME or the platform's runtime folder.

    Its path must be short: a socket's may have 107 bytes (unix(7), `sun_path`).
    """
    named = os.environ.get("PERF_MATRIX_RUNTIME")
    if named:
        return Path(named)
    if os.geteuid() == 0:  # platformdirs would give root a folder below /tmp outside of a login session
        return Path("/run") / _APP
    # platformdirs takes another folder where this one's mode is not 0700, and a user's Podman makes it 0711.
    return Path(os.environ.get("XDG_RUNTIME_DIR") or platformdirs.user_runtime_path()) / _APP


def engine_socket() -> Path:
    """Return the path of the socket of the private engine that `perf-matrix engine up` starts."""
    return runtime() / "engine.sock"


@contextlib.contextmanager
def temporary(purpose: str) -> Iterator[Path]:
    """Give a new temporary folder, `perf-matrix-PURPOSE.PROCESS-TOKEN`, which is removed at the end.

    A killed process leaves it: a lock on it, which the kernel lets go of then (flock(2)), tells that nobody uses it.
    """
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY_PREFIX}{purpose}.{os.getpid()}-") as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


def abandoned_temporary() -> list[Path]:
    """Return the temporary folders that this user's processes have left, as they were killed."""
    found = Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}*.*-*")
    return sorted(path for path in found if _is_own_folder(path) and _is_abandoned(path))


def _is_own_folder(path: Path) -> bool:
    """Return whether a path is a folder of this user's, and no link to one: anybody may write to /tmp."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_abandoned(path: Path) -> bool:
    """Return whether no process has a temporary folder: that of its name has ended, and no lock is on it.

    Between the folder's begin and its lock there is the process alone, in a container of another number the lock alone.
    """
    number = path.name.rpartition(".")[2].partition("-")[0]
    if not number.isdecimal() or Path(f"/proc/{number}").exists():
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
