"""The pytest side: one item per cell and check, grouped so that each cell's scenario runs once in one worker."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from matrix import untrusted
from matrix.checks import registry
from matrix.config import load, selection
from matrix.engine import backends, private_engine
from matrix.errors import MatrixError
from matrix.model.cell import Cell, Limits
from matrix.model.result import CellResult, CheckResult, Verdict
from matrix.reports.formats import text
from matrix.runs import cell_run, kept_builds, launch, ownership, run_report, schedule, store
from matrix.runs.run_kind import ClaimsRun, MutantsRun, SeriesRun
from matrix.verdicts import kept_build, mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matrix.config.load import Config
    from matrix.model.tree import Tree
    from matrix.verdicts.series import PatchTree

RUN_VARIABLE = "PERF_MATRIX_RUN"
QUIET_VARIABLE = "PERF_MATRIX_QUIET"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `pytest tests/cells`; `perf-matrix run` has the same and passes a run on instead."""
    group = parser.getgroup("perf-build-matrix")
    group.addoption("--select", action="append", default=[], metavar="GLOB", help="cells to run, by id")
    group.addoption("--exclude", action="append", default=[], metavar="GLOB", help="cells to leave out, by id")
    group.addoption("--profile", default="gate", metavar="NAME", help="a named selection")
    group.addoption("--tree", action="append", default=[], metavar="SPEC", help="source trees")
    group.addoption("--configs", action="append", default=[], metavar="DIR", help="a folder of more configuration")


class Matrix:
    """What a pytest process needs to run cells: configuration, selection, run directory, engine."""

    def __init__(self, options: pytest.Config) -> None:
        run_name = os.environ.get(RUN_VARIABLE)
        if run_name:
            self.run = store.Run(Path(run_name))
            settings = self.run.settings()
            self.config: Config = load.load([Path(folder) for folder in settings.configs])
            trees: Sequence[str] = settings.trees
            found = selection.every(self.config, [selection.tree(self.config, word) for word in trees])
            wanted = [cell for cell in found if cell.id in settings.cells]
            self.cells = tuple(sorted(wanted, key=lambda cell: cell.tree.name != settings.base))
        else:
            self.config = load.load([Path(folder) for folder in options.getoption("--configs")])
            profile = selection.profile(self.config, options.getoption("--profile"))
            trees = options.getoption("--tree") or profile.trees
            self.cells = selection.of_profile(
                self.config, profile, trees, options.getoption("--select"), options.getoption("--exclude")
            )
            folders = tuple(str(Path(folder).resolve()) for folder in options.getoption("--configs"))
            self.run = store.begin(self.cells, trees, folders, jobs=0)
            self.lock = ownership.lock(self.run)
            self.lock.acquire(timeout=0)
            with launch.discarding(self.run):
                ownership.refuse_beside_a_measurement()
            os.environ[RUN_VARIABLE] = str(self.run.folder)
            settings = self.run.settings()
        self.jobs = schedule.jobs(settings.jobs, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
        self.limits = Limits(**settings.limits)
        self.settings = settings
        self.ground: kept_builds.KeptBuilds | None = None
        self.results: dict[str, CellResult] = {}
        self.lock = FileLock(self.run.folder / ownership.PYTEST_LOCK)
        if not hasattr(options, "workerinput"):
            self.lock.acquire(timeout=10)

    def result(self, cell: Cell) -> CellResult:
        """Return a cell's result, from this process, from the run, or by running it now."""
        if cell.id not in self.results:
            kept = self.run.result(cell.id)
            if kept is None or kept.verdict == Verdict.ERROR:
                kept = cell_run.run(cell, self._context(cell))
            self.results[cell.id] = kept
        return self.results[cell.id]

    def _context(self, cell: Cell) -> cell_run.Context:
        say = functools.partial(self.run.progress, cell.id)
        engine = private_engine.ensure(None, ownership.label(self.run.name), say)
        kind = self.settings.kind
        checks = kind.checks if isinstance(kind, ClaimsRun) else ()
        self.ground = self.ground or kept_builds.KeptBuilds(engine, self.run, self.jobs, self.limits)
        if isinstance(kind, MutantsRun):
            chosen = cell.tree.edits or [self.config.edits[name] for name in kind.planted]
            checks = mutants.checks_at(_place(cell), chosen)
        return cell_run.Context(
            run=self.run, engine=engine, jobs=self.jobs, limits=self.limits, known=self.config.known, say=say,
            ground=self.ground, checks=checks, below=self._below(cell), kept=self._is_awaited(cell),
            base=self.settings.base,
        )  # fmt: skip

    @property
    def _patches(self) -> tuple[PatchTree, ...]:
        kind = self.settings.kind
        return kind.patches if isinstance(kind, SeriesRun) else ()

    def _below(self, cell: Cell) -> Tree | None:
        """Return the tree whose built cell this one goes on with: what it is planted on, or an earlier patch's."""
        if isinstance(self.settings.kind, MutantsRun):
            return None if any(edit.from_scratch for edit in cell.tree.edits) else cell.tree.unedited
        here = {other.tree.name: other for other in self.cells if other.id.startswith(f"{_place(cell)}@")}
        for name in kept_build.grounds(self._patches, cell.tree.name):
            result = self.run.result(here[name].id) if name in here else None
            if result and result.gone_on is None and kept_build.is_ground(result):
                return here[name].tree
        return None

    def _is_awaited(self, cell: Cell) -> bool:
        """Return whether a cell that has no result yet may go on with what this one builds."""
        waiting = {
            other.tree.name
            for other in self.cells
            if other.id != cell.id and _place(other) == _place(cell) and self.run.result(other.id) is None
        }
        return any(cell.tree.name in kept_build.grounds(self._patches, name) for name in waiting)

    def group(self, cell: Cell) -> str:
        """Return what keeps cells in one worker: each by itself, or with those it is planted on or held against."""
        place = _place(cell)
        return place if self.settings.base else f"{place} {cell.tree.name}"


def _place(cell: Cell) -> str:
    return cell.place


_MATRIX = pytest.StashKey[Matrix]()


def _matrix(options: pytest.Config) -> Matrix:
    if _MATRIX not in options.stash:
        try:
            options.stash[_MATRIX] = Matrix(options)
        except MatrixError as error:
            raise pytest.UsageError(str(error)) from error
    return options.stash[_MATRIX]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist how items are spread: it reads the command line, which may not say it."""
    node.workerinput["loadgroup"] = node.config.option.dist == "loadgroup"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """End where the last worker of xdist was killed: it would wait for the one that takes its place for ever."""
    controller = node.config.pluginmanager.getplugin("dsession")
    if error and controller and controller._active_nodes == {node}:  # noqa: SLF001 - xdist tells it nowhere else
        controller.shouldstop = f"{node.gateway.id}, the last worker, was killed"


def pytest_configure(config: pytest.Config) -> None:
    """Let an interrupt reach the cells: a shell's background job, and so its children, would ignore it.

    The end of `perf-matrix run`, which started this pytest, is one too, even if it was killed.
    """
    if hasattr(config, "workerinput"):
        config.option.loadgroup = config.workerinput["loadgroup"]
    if os.environ.get(QUIET_VARIABLE) == "1":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not hasattr(config, "workerinput"):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT))


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Keep the items of a cell in one worker where `-n` is given and nothing about how to spread them."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "loadgroup"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin the run before xdist starts its workers, which take it from the environment."""
    if not hasattr(session.config, "workerinput") and _asks_for_cells(session.config):
        _matrix(session.config)


def _asks_for_cells(options: pytest.Config) -> bool:
    cell_tests = load.cell_tests()
    asked = [(options.invocation_params.dir / word.partition("::")[0]).resolve() for word in options.args]
    return RUN_VARIABLE not in os.environ and any(
        path in (cell_tests, *cell_tests.parents) or cell_tests in path.parents for path in asked
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make an item for each selected cell and each check; xdist takes what follows an `@` for the group's name."""
    if "cell_check" not in metafunc.fixturenames:
        return
    matrix = _matrix(metafunc.config)
    items = [
        pytest.param((cell, check), id=f"{cell.id}:{check}", marks=pytest.mark.xdist_group(matrix.group(cell)))
        for cell in matrix.cells
        for check in registry()
    ]
    metafunc.parametrize("cell_check", items)


@pytest.fixture(scope="session")
def run_cell(request: pytest.FixtureRequest) -> Callable[[Cell], CellResult]:
    """Return the function that gives a cell's result, which is in the run directory before it returns."""
    return _matrix(request.config).result


def assert_check(result: CellResult, name: str) -> None:
    """Pass, skip, xfail or fail as a check of a cell did; an ERROR is named as the infrastructure's."""
    check: CheckResult | None = next((check for check in result.checks if check.check == name), None)
    if check is None:
        if result.verdict == Verdict.SKIP:
            pytest.skip(result.reason)
        pytest.fail(f"ERROR (the infrastructure's, not perf's): {result.reason}", pytrace=False)
    if check.verdict == Verdict.SKIP:
        pytest.skip(check.reason)
    if check.verdict == Verdict.XFAIL:
        pytest.xfail("; ".join(sorted({finding.known for finding in check.findings})))
    if check.verdict != Verdict.PASS:
        new = [finding for finding in check.findings if not finding.known]
        lines = [f"{finding.key}: expected {finding.expected}, actual {finding.actual}" for finding in new]
        message = "\n".join([f"{check.verdict} {check.reason}".strip(), *lines, f"to reproduce: {result.reproduce}"])
        pytest.fail(untrusted.plain(message), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    """End with the table of cells by checks, where cells were run by hand."""
    yield
    if _MATRIX in config.stash and not hasattr(config, "workerinput") and os.environ.get(QUIET_VARIABLE) != "1":
        run = config.stash[_MATRIX].run
        if run.begun:
            terminalreporter.write(text.render(run_report.of_run(run)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let go of what faults were planted on, in the process that built it."""
    if _MATRIX in session.config.stash and (ground := session.config.stash[_MATRIX].ground):
        ground.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind: what this run still has in the engine, after an interrupt say, is removed."""
    if _MATRIX in config.stash and not hasattr(config, "workerinput"):
        run = config.stash[_MATRIX].run
        if not run.begun and os.environ.get(QUIET_VARIABLE) != "1":
            shutil.rmtree(run.folder, ignore_errors=True)
            return
        try:
            ownership.sweep(backends.connect(), run.name)
        except MatrixError:
            return
