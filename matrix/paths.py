"""The folders of caches, runs and sockets on this machine, by the platform's rules or the user's variables."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_APP = "perf-build-matrix"


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
    # Outside of a login session (no XDG_RUNTIME_DIR) platformdirs would give root a folder below /tmp.
    base = Path("/run") if os.geteuid() == 0 else platformdirs.user_runtime_path()
    return Path(os.environ.get("PERF_MATRIX_RUNTIME") or base / _APP)


def engine_socket() -> Path:
    """Return the path of the socket of the private engine that `perf-matrix engine up` starts."""
    return runtime() / "engine.sock"
