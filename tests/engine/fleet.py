"""A fleet: a scheduler of Dask's and workers, each a process with a state folder of its own, on a real engine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from matrix import paths
from tests.engine.bench import PATIENCE_S, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


class Fleet:
    """A scheduler and its workers; `folder` has their logs, states and caches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.python: tuple[str, ...] = ()
        folder.mkdir()

    def start_scheduler(self, address: str = "tcp://127.0.0.1:0", words: Sequence[str] = (), **variables: str) -> None:
        """Start a scheduler, and learn its address."""
        log = self.folder / "scheduler.log"
        begun = len(log.read_text()) if log.exists() else 0
        argv = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address]
        self.scheduler = self._popen([*argv, "--dashboard-address", "127.0.0.1:0", *words], log, variables)
        found = wait(lambda: re.search(r"Scheduler at:\s+(\S+)", log.read_text()[begun:]))
        assert isinstance(found, re.Match)
        self.address = found[1]

    def start_worker(self, name: str, *words: str, **more: str) -> None:
        """Start a worker, and wait until it is connected; its images are those of the user's cache."""
        (self.folder / name / "cache").mkdir(parents=True, exist_ok=True)
        images = self.folder / name / "cache" / "images"
        if not images.exists():
            images.symlink_to(paths.cache() / "images")
        log = self.log(name)
        begun = len(log.read_text()) if log.exists() else 0
        variables = {
            "PERF_MATRIX_STATE": str(self.state(name)), "PERF_MATRIX_CACHE": str(self.folder / name / "cache"), **more
        }  # fmt: skip
        argv = [*self.python, sys.executable, "-m", "matrix", "worker", self.address, "-n", "1", "--name", name, *words]
        self.workers[name] = self._popen(argv, log, variables)
        wait(lambda: "connected, 1 at once" in log.read_text()[begun:])

    def _popen(self, argv: list[str], log: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        with log.open("ab") as file:
            return subprocess.Popen(
                argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )  # fmt: skip

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def state(self, name: str) -> Path:
        return self.folder / name / "state"

    def owner(self, name: str) -> str:
        """Return the mark of all that a worker makes in an engine."""
        return (self.state(name) / "owner").read_text()

    def runs(self, name: str) -> list[Path]:
        """Return the run directories that a worker has."""
        return sorted((self.state(name) / "runs").glob("*"))

    def is_at_work(self, name: str) -> bool:
        """Return whether a worker runs a cell now."""
        return any((self.state(name) / "runs").glob("*/cells/**/progress.json"))

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process, without a word."""
        process.kill()
        process.wait()

    def end(self) -> None:
        """End all that was started."""
        started = [*self.workers.values(), *([self.scheduler] if self.scheduler else [])]
        for process in started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            process.wait()


def wait(reached: Callable[[], object], patience_s: float = PATIENCE_S) -> object:
    """Wait for what must happen, and return it."""
    deadline = time.monotonic() + patience_s
    while not (found := reached()):
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.1)
    return found
