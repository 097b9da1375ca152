"""Runs the cells of a run through pytest-xdist, with live progress, and cleans up whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from matrix.config import load, selection
from matrix.engine import private_engine
from matrix.errors import InfrastructureError, MatrixError, UsageError
from matrix.runs import ownership
from matrix.runs.interrupts import interruptible
from matrix.runs.progress import Progress, show
from matrix.runs.run_kind import MutantsRun
from matrix.trees import volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from matrix.engine.api import Engine
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run
FULL_BYTES = 16 << 10


def run(run: Run, wanted: tuple[CellId, ...], number: int, host: str | None, console: Console) -> None:
    """Run the cells that the run still lacks; every result is in the run directory as soon as there is one.

    Raises:
        UsageError: the run is being done already, or a tree cannot be.
        InfrastructureError: pytest or the engine could not do their work.
        KeyboardInterrupt: after everything of the run was removed from the engine.

    """
    say: Callable[[str], None] = console.print
    with discarding(run), _alone(run), interruptible():
        engine = private_engine.ensure(host, ownership.label(run.name), say)
        swept = ownership.sweep(engine)
        if swept:
            say(f"removed {swept} leftovers of runs that have ended")
        try:
            _get_trees(run, wanted, engine, say)
            _pytest(run, wanted, number, host, console)
        finally:
            ownership.sweep(engine, run.name)


@contextlib.contextmanager
def discarding(run: Run) -> Iterator[None]:
    """Leave no run behind that ended before its first cell was begun: it would be the newest, and say nothing."""
    try:
        yield
    except (MatrixError, KeyboardInterrupt):
        if not run.begun:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _alone(run: Run) -> Iterator[None]:
    try:
        lock = ownership.lock(run).acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"run {run.name} is being done by another process", "Wait until it has ended.") from error
    with lock:
        ownership.refuse_beside_a_measurement()
        yield


def _get_trees(run: Run, wanted: tuple[CellId, ...], engine: Engine, say: Callable[[str], None]) -> None:
    """Get every tree first: one that cannot be is told before the first cell; one that cannot be got, by its cells.

    Raises:
        UsageError: a tree does not exist, or is no kernel.

    """
    settings = run.settings()
    loaded = load.load([Path(folder) for folder in settings.configs])
    asked = [selection.tree(loaded, word) for word in settings.trees]
    plants = isinstance(settings.kind, MutantsRun)
    needed = [tree.unedited for tree in asked] if plants else asked
    for tree in {tree.name: tree for tree in needed}.values():
        if plants or any(cell_id.endswith(f"@{tree.name}") for cell_id in wanted):
            with contextlib.suppress(InfrastructureError):
                volumes.prepare(tree, engine, say, run.pins)


def _pytest(run: Run, wanted: tuple[CellId, ...], number: int, host: str | None, console: Console) -> None:
    folder = str(load.cell_tests())
    argv = [
        sys.executable, "-m", "pytest", "-p", "matrix.runs.plugin", "-p", "no:cacheprovider", "-q", "--tb=short",
        "-n", str(number), "--dist", "loadgroup", "-o", "addopts=", "-W", "default",
        "--rootdir", folder, "-c", os.devnull, "--import-mode=importlib", folder,
    ]  # fmt: skip
    environment = {**os.environ, "PERF_MATRIX_RUN": str(run.folder), "PERF_MATRIX_QUIET": "1"}
    if host:
        environment["DOCKER_HOST"] = host
    progress = Progress(run, wanted, console)
    log = run.folder / "pytest.log"
    with log.open("ab") as file, subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
    ) as process:  # fmt: skip
        try:
            show(progress, process, console)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                console.print("interrupted: ending the cells that run")
            _end(process)
            again = f"perf-matrix {run.settings().kind.command} --resume {run.name}"
            console.print(f"what is done is kept, cell by cell; to go on: {again}", soft_wrap=True)
            raise
    if shutil.disk_usage(run.folder).free < FULL_BYTES:
        hint = f"Free some; then `perf-matrix run --resume {run.name}` does what is lacking."
        raise InfrastructureError(f"No space left on device: {run.folder}", hint)
    if process.returncode not in (0, 1):
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-12:])
        raise InfrastructureError(f"pytest ended with status {process.returncode}", f"Its log, {log}, ends:\n  {tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest and its workers, which end their cells and remove their containers; kill what is slow at it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, patience_s in ((signal.SIGINT, 30), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
