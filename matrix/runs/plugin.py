"""pytest's hooks: an item for each cell and check, grouped so that one worker runs a cell's scenario once."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.checks import registry
from matrix.config import load, selection
from matrix.errors import MatrixError
from matrix.reports.formats import text
from matrix.runs import ownership, pytest_run, run_report
from matrix.runs.launch import COMMAND_PID_VARIABLE, RUN_VARIABLE
from matrix.runs.pytest_run import PytestRun
from matrix.runs.store import Run
from matrix.untrusted import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.model.cell import Cell
    from matrix.model.result import CellResult

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_RUN = pytest.StashKey[PytestRun]()
_HAS_BEGUN_RUN = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `pytest tests/cells`; `perf-matrix run` has the same and passes a run on instead."""
    group = parser.getgroup("perf-build-matrix")
    group.addoption("--select", action="append", default=[], metavar="GLOB", help="cells to run, by id")
    group.addoption("--exclude", action="append", default=[], metavar="GLOB", help="cells to leave out, by id")
    group.addoption("--profile", default="gate", metavar="NAME", help="a named selection")
    group.addoption("--tree", action="append", default=[], metavar="SPEC", help="source trees")
    group.addoption("--configs", action="append", default=[], metavar="DIR", help="a folder of more configuration")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of cells, and let an interrupt reach them.

    A background job of a shell, and so its children, would ignore one. The end of the command that started
    this pytest interrupts it, too, even where the command was killed.
    """
    config.addinivalue_line("markers", "cell: builds a real tree in a real container")
    if _is_worker(config):
        config.option.loadgroup = _worker_input(config)["loadgroup"]
    if not _started_by_command():
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not _is_worker(config):
        _end_with_command()


def _end_with_command() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT))
    if str(os.getppid()) != os.environ[COMMAND_PID_VARIABLE]:  # it ended before the kernel knew of the wish
        pytest.exit("the command that started this pytest has ended", pytest.ExitCode.INTERRUPTED)


@pytest.hookimpl(tryfirst=True)  # before xdist's own, which reads the option
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Keep the items of a cell in one worker where `-n` is given and no `--dist`, and the cells in their order."""
    if not getattr(config.option, "numprocesses", None):
        return
    config.option.loadscopereorder = False  # xdist would begin groups with more checks first, however long they take
    if config.option.dist == "no":
        config.option.dist = "loadgroup"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin the run, or take the command's, before xdist starts its workers: this process holds it until its end."""
    if not _is_worker(session.config) and _asks_for_cells(session.config):
        _run(session.config)


@pytest.hookimpl(optionalhook=True)  # xdist's: without `-p xdist` pytest does not know it
def pytest_configure_node(node: Any) -> None:
    """Give a worker of xdist its run and the way in which items are spread, which its command line may not name."""
    node.workerinput["loadgroup"] = node.config.option.dist == "loadgroup"
    if _RUN in node.config.stash:
        node.workerinput["matrix_run"] = str(node.config.stash[_RUN].run.folder)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """End the run where the last worker of xdist was killed: xdist 3.8 would wait for ever for one in its place.

    https://github.com/pytest-dev/pytest-xdist/issues/1323
    """
    controller = node.config.pluginmanager.getplugin("dsession")
    if error and controller and controller._active_nodes == {node}:  # noqa: SLF001 - xdist tells it nowhere else
        controller.shouldstop = f"{node.gateway.id}, the last worker, was killed"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make an item for each selected cell and each check.

    The id of an item ends in `@GROUP` for xdist (src/xdist/scheduler/loadgroup.py), which takes the last `@` for it, so
    that the `@` of a cell's id does no harm.
    """
    if "cell_check" not in metafunc.fixturenames:
        return
    run = _run(metafunc.config)
    items = [
        pytest.param((cell, check), id=f"{cell.id}:{check}", marks=pytest.mark.xdist_group(run.group(cell)))
        for cell in run.cells
        for check in registry()
    ]
    metafunc.parametrize("cell_check", items)


@pytest.fixture(scope="session")
def run_cell(request: pytest.FixtureRequest) -> Callable[[Cell], CellResult]:
    """Return the function that gives a cell's result, which is in the run directory before it returns."""
    return _run(request.config).result


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    """End with the table of cells by checks, where cells were run by hand."""
    yield
    if not _has_run_by_hand(config):
        return
    run = config.stash[_RUN].run
    if run.begun:
        terminalreporter.write(text.render(run_report.of_run(run)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the build that is kept for others, in the process that built it."""
    if _RUN in session.config.stash:
        session.config.stash[_RUN].close_kept_build()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind in the engine, and no run of which no cell was begun; then let go of the run."""
    if _RUN not in config.stash:
        return
    part = config.stash[_RUN]
    if _HAS_BEGUN_RUN in config.stash and not part.run.begun:
        shutil.rmtree(part.run.folder, ignore_errors=True)
    elif not _is_worker(config):
        part.sweep()
    part.close()


def _run(options: pytest.Config) -> PytestRun:
    """Return this process's part of the run, begun or taken up when it is first asked for."""
    if _RUN not in options.stash:
        try:
            options.stash[_RUN] = _taken_up(options)
        except MatrixError as error:
            raise pytest.UsageError(message(error.message, error.hint)) from error
    return options.stash[_RUN]


def _taken_up(options: pytest.Config) -> PytestRun:
    if _is_worker(options) and "matrix_run" in _worker_input(options):
        given = _worker_input(options)
        part = PytestRun(Run(Path(given["matrix_run"])), given["workercount"])
        part.work()
        return part
    if RUN_VARIABLE in os.environ:
        whole = PytestRun(Run(Path(os.environ[RUN_VARIABLE])))
        ownership.refuse_outside_of_the_state_folder(whole.run)
        whole.hold()
        return whole
    return _begun_by_hand(options)


def _begun_by_hand(options: pytest.Config) -> PytestRun:
    folders = [Path(folder) for folder in options.getoption("--configs")]
    config = load.load(folders)
    profile = selection.profile(config, options.getoption("--profile"))
    trees = options.getoption("--tree") or profile.trees
    cells = selection.of_profile(config, profile, trees, options.getoption("--select"), options.getoption("--exclude"))
    part = pytest_run.begin(config, cells, trees, [str(folder.resolve()) for folder in folders])
    options.stash[_HAS_BEGUN_RUN] = True
    return part


def _asks_for_cells(options: pytest.Config) -> bool:
    """Return whether the command line names the folder of the cell tests, something in it, or a folder above it."""
    cell_tests = load.cell_tests()
    asked = [(options.invocation_params.dir / word.partition("::")[0]).resolve() for word in options.args]
    return any(path in (cell_tests, *cell_tests.parents) or cell_tests in path.parents for path in asked)


def _has_run_by_hand(options: pytest.Config) -> bool:
    """Return whether this process does a run that no command began, and is no worker of xdist."""
    return _RUN in options.stash and not _is_worker(options) and not _started_by_command()


def _is_worker(options: pytest.Config) -> bool:
    return hasattr(options, "workerinput")


def _worker_input(options: pytest.Config) -> dict[str, Any]:
    """Return the values that xdist's controller gave to this worker."""
    found: dict[str, Any] = getattr(options, "workerinput")  # noqa: B009 - xdist adds the attribute
    return found


def _started_by_command() -> bool:
    return COMMAND_PID_VARIABLE in os.environ
