"""Runs the cells of a run through pytest-xdist, with live progress, and cleans up whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.config import load, tree_words
from matrix.engine import private_engine
from matrix.errors import InfrastructureError, MatrixError
from matrix.files import last_lines
from matrix.runs import locks, order, ownership, progress
from matrix.runs.interrupts import interruptible
from matrix.runs.run_kind import MutantsRun
from matrix.trees import volumes
from matrix.verdicts.wording import count, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.config.load import Config
    from matrix.engine.api import Engine
    from matrix.model.cell_id import CellId
    from matrix.model.tree import Tree
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.run_settings import RunSettings
    from matrix.runs.store import Run

RUN_VARIABLE = "PERF_MATRIX_RUN"
"""The environment variable that names the run's folder to the pytest that runs its cells."""

COMMAND_PID_VARIABLE = "PERF_MATRIX_COMMAND_PID"
"""The environment variable with the process id of the command that started the pytest, and prints the report itself."""

RUN_COMMAND_VARIABLE = "PERF_MATRIX_RUN_COMMAND"
"""The environment variable with the words that stand for `perf-matrix run` where something else, as tox, calls it."""

PYTEST_LOG = "pytest.log"
"""The file in a run's folder with the output of the pytest that runs its cells."""

FULL_BYTES = 16 << 10
"""The free space of a disk, in bytes, below which it counts as full: a result no longer fits."""

NOTHING_KEPT = "no cell had begun, so nothing is kept: begin anew"

TREES_NAMED = 3
"""Trees whose names the heading of their preparation has; a series has as many trees as patches."""

END_S, KILL_S = 30, 5
"""How long pytest and its workers have to end after an interrupt, and after they are killed; tox.ini allows for it."""


def run(run: Run, wanted: tuple[CellId, ...], number: int, access: EngineAccess, config: Config | None = None) -> None:
    """Run the cells that the run still lacks; every result is in the run directory as soon as there is one.

    Args:
        run: the run; its lock is held meanwhile.
        wanted: its cells, those that have a result included.
        number: the number of cells to run at once, where this machine runs them.
        access: the command's access to an engine, its console for progress, and the way to run cells elsewhere.
        config: the run's configuration, where the caller has loaded it.

    Raises:
        UsageError: another process does the run, a measurement has the machine, or a tree cannot be had.
        InfrastructureError: pytest or the engine could not do their work.
        KeyboardInterrupt: after everything of the run was removed from the engine.

    """
    ownership.refuse_outside_of_the_state_folder(run)
    with locks.doing(run), discarding(run), _telling_what_is_kept(run, access), interruptible():
        locks.refuse_beside_a_measurement()
        _remove_abandoned_files(run)
        known = config or run.configuration()
        if access.way:
            access.way(run, wanted, access, known)
        else:
            _run_here(run, wanted, number, access, known)


def _run_here(run: Run, wanted: tuple[CellId, ...], number: int, access: EngineAccess, config: Config) -> None:
    """Run cells on this machine, `number` at once, by pytest-xdist."""
    engine = private_engine.ensure(access.host, ownership.label(run.name, access.say), access.say)
    ownership.sweep(engine, access.say)
    try:
        # Before pytest starts, so that a tree that cannot be had is one message and not one in each worker.
        _prepare_trees(needed_trees(run.settings(), wanted, config), run, engine, access)
        order.decide(run, config)
        access.say(f"running the cells; pytest's log is {run.folder / PYTEST_LOG}")
        _run_pytest(run, wanted, number, access)
    finally:
        ownership.sweep_run(engine, run.name, access.say)


def _remove_abandoned_files(run: Run) -> None:
    """Remove the unfinished files that killed processes left in the run's folder, as far as its disk allows."""
    for part in files.abandoned(run.folder):
        with contextlib.suppress(OSError):
            part.unlink()


def resume_command(run: Run) -> str:
    """Return the command that goes on with a run, as `perf-matrix gate --resume RUN`."""
    command = run.settings().kind.command
    words = os.environ.get(RUN_COMMAND_VARIABLE) if command == "run" else None
    return f"{words or f'perf-matrix {command}'} --resume {run.name}"


@contextlib.contextmanager
def discarding(run: Run) -> Iterator[None]:
    """Remove the folder of a run that ends before a cell was begun: the newest run would have nothing to report."""
    try:
        yield
    except (MatrixError, KeyboardInterrupt):
        if not run.begun:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _telling_what_is_kept(run: Run, access: EngineAccess) -> Iterator[None]:
    """Name the command that goes on with the run, as the last line before the reason why it ended.

    An interrupted run of which no cell was begun is discarded, so that there is no such command.
    """
    try:
        yield
    except BaseException as error:
        if run.begun:
            access.say(f"what is done is kept, cell by cell; to go on: {resume_command(run)}")
        elif isinstance(error, KeyboardInterrupt):
            access.say(NOTHING_KEPT)
        raise


def _prepare_trees(trees: Sequence[Tree], run: Run, engine: Engine, access: EngineAccess) -> None:
    names = [tree.name for tree in trees]
    access.say(f"preparing {count(len(names), 'tree')}: {', '.join(cut(names, TREES_NAMED))}")
    for tree in trees:
        with contextlib.suppress(InfrastructureError):  # its cells say so, each in its result
            volumes.prepare(tree, engine, access.say, run.pins)


def needed_trees(settings: RunSettings, wanted: Sequence[CellId], config: Config) -> list[Tree]:
    """Return the trees to get before the first cell: that of each wanted cell, or that which faults are planted in.

    Raises:
        UsageError: there is no such tree.

    """
    asked = [tree_words.tree(config, word) for word in settings.trees]
    if isinstance(settings.kind, MutantsRun):
        return _each_once(tree.unedited for tree in asked)
    wanted_names = {cell_id.tree for cell_id in wanted}
    return _each_once(tree for tree in asked if tree.name in wanted_names)


def _each_once(trees: Iterable[Tree]) -> list[Tree]:
    return list({tree.name: tree for tree in trees}.values())


def _run_pytest(run: Run, wanted: tuple[CellId, ...], number: int, access: EngineAccess) -> None:
    shown = progress.Progress(run, wanted, access.console)
    log = run.folder / PYTEST_LOG
    lock = locks.inheritance(run)
    with log.open("ab") as file, subprocess.Popen(
        _pytest_words(number), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        env={**_environment(run, access.host), **lock.environment}, pass_fds=lock.descriptors,
    ) as process:  # fmt: skip
        try:
            with _ended_after(run.settings().run_s, process):
                progress.show(shown, process, access.console)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                access.say("interrupted: ending the cells that run")
            _end(process)
            raise
    if shutil.disk_usage(run.folder).free < FULL_BYTES:
        raise InfrastructureError(f"No space left on device: {run.folder}", "Free some, then go on with the run.")
    # 1 is pytest's status where items failed (pytest.ExitCode), which the cells' results say better.
    if process.returncode not in (0, 1):
        tail = "\n  ".join(last_lines(log, 12))
        raise InfrastructureError(f"pytest ended with status {process.returncode}", f"Its log, {log}, ends:\n  {tail}")


@contextlib.contextmanager
def _ended_after(limit_s: float, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End pytest where it still runs after a time, if there is one.

    Raises:
        InfrastructureError: pytest was ended.

    """
    passed = threading.Event()

    def end() -> None:
        passed.set()
        _end(process)

    timer = threading.Timer(limit_s, end)
    if limit_s:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if passed.is_set():
        timer.join()
        raise InfrastructureError(
            f"the run was ended after {limit_s} s, the limit on a run", "--run-timeout gives it more."
        )


def _pytest_words(number: int) -> list[str]:
    """Return the command line of the run's pytest, which nothing outside of the cell tests' folder can change.

    The options from `-o` on take away the addopts, warning filters, root folder, conftest.py and configuration file
    that pytest would find from a folder up; importlib mode leaves sys.path as it is; `no:cacheprovider` writes nothing
    into an installed package, and `no:tmpdir` leaves no `pytest-of-USER` in the temporary folder. Meaning of each:
    `pytest --help`, and https://pytest-xdist.readthedocs.io for `-n` and `--dist`.
    """
    folder = str(load.cell_tests())
    return [
        sys.executable, "-m", "pytest", "-p", "matrix.runs.plugin", "-p", "no:cacheprovider", "-p", "no:tmpdir", "-q",
        "--tb=short", "-n", str(number), "--dist", "loadgroup", "-o", "addopts=", "-W", "default",
        "--rootdir", folder, "--confcutdir", folder, "-c", os.devnull, "--import-mode=importlib", folder,
    ]  # fmt: skip


def _environment(run: Run, host: str | None) -> dict[str, str]:
    """Return the environment of the run's pytest, without variables that change its collection or its assertions."""
    inherited = {name: value for name, value in os.environ.items() if not _changes_pytest(name)}
    ours = {RUN_VARIABLE: str(run.folder), COMMAND_PID_VARIABLE: str(os.getpid())}
    if host:
        ours["DOCKER_HOST"] = host
    return {**inherited, **ours, **_import_path()}


def _import_path() -> dict[str, str]:
    """Return the variables by which the run's Python finds the modules that this one does.

    The current folder may be a tree from a mailing list, whose pytest.py `-m` would run; PYTHONSAFEPATH keeps it out. A
    checkout in which `python -m matrix` was typed is found only there, so it is named.
    """
    package = str(Path(__file__).resolve().parents[2])
    is_checkout = sys.path[0] == package
    wanted = [*([package] if is_checkout else []), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, wanted))}


def _changes_pytest(variable: str) -> bool:
    return variable.startswith("PYTEST_") or variable == "PYTHONOPTIMIZE"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest and its workers, which end their cells and remove their containers; kill those that are slow."""
    try:
        _signal_and_wait(process, signal.SIGINT, END_S)
    finally:  # a second interrupt ends the wait
        _signal_and_wait(process, signal.SIGKILL, KILL_S)


def _signal_and_wait(process: subprocess.Popen[bytes], number: signal.Signals, patience_s: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
