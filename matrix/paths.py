"""The folders of caches, runs and sockets on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_APP = "perf-build-matrix"


def cache() -> Path:
    """Return the folder of images, trees and downloads: PERF_MATRIX_CACHE or the platform's."""
    return Path(os.environ.get("PERF_MATRIX_CACHE") or platformdirs.user_cache_path(_APP))


def state() -> Path:
    """Return the folder of runs and locks: PERF_MATRIX_STATE or the platform's."""
    return Path(os.environ.get("PERF_MATRIX_STATE") or platformdirs.user_state_path(_APP))


def runtime() -> Path:
    """Return the folder of sockets and pid files, which must have a short path."""
    base = Path("/run") if os.geteuid() == 0 else platformdirs.user_runtime_path()
    return Path(os.environ.get("PERF_MATRIX_RUNTIME") or base / _APP)


def engine_socket() -> Path:
    """Return the socket of the private engine that `perf-matrix engine up` starts."""
    return runtime() / "engine.sock"
