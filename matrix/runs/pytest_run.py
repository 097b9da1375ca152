"""A run in one pytest process: its configuration, its cells, and the result of each."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from matrix.engine import backends, private_engine
from matrix.errors import MatrixError
from matrix.runs import cell_run, kept_builds, launch, locks, order, ownership, schedule, store
from matrix.runs.judgement import BaseCells
from matrix.runs.run_kind import ClaimsRun, MutantsRun, SeriesRun
from matrix.scenario import plan
from matrix.verdicts import mutants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matrix.config.load import Config
    from matrix.engine.api import Engine
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId, Place
    from matrix.model.result import CellResult
    from matrix.model.tree import Tree
    from matrix.runs.store import Run
    from matrix.verdicts.series import PatchTree


class PytestRun:
    """A run in one pytest process: the run's settings, configuration and cells, and the process's kept build.

    The process is the only one, or with pytest-xdist the controller or one of its workers. A controller holds the
    run's lock and runs no cell, so that configuration and cells are read where they are asked for.
    """

    def __init__(self, run: Run, workers: int = 1, config: Config | None = None, host: str | None = None) -> None:
        self.run = run
        self.settings = run.settings()
        self.jobs = schedule.jobs(self.settings.jobs, workers)
        self.limits = self.settings.limits
        self._base_cells = BaseCells(run, self.settings.base)
        self._config = config
        self._host = host
        self._kept_builds: kept_builds.KeptBuilds | None = None
        self._results: dict[CellId, CellResult] = {}
        self._locks = contextlib.ExitStack()

    def hold(self) -> None:
        """Hold the run's lock until `close`.

        Raises:
            UsageError: another process does the run.

        """
        self._locks.enter_context(locks.doing(self.run))

    def work(self) -> None:
        """Let others see until `close` that this process works on the run, whose lock the controller holds."""
        self._locks.enter_context(locks.at_work(self.run))

    def close(self) -> None:
        """Let go of the run."""
        self._locks.close()

    @property
    def config(self) -> Config:
        """The configuration that the run was begun with."""
        if self._config is None:
            self._config = self.run.configuration()
        return self._config

    @functools.cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The run's cells, in the order in which they are begun."""
        return order.cells(self.run, self.settings, self.config)

    @property
    def _patches(self) -> tuple[PatchTree, ...]:
        kind = self.settings.kind
        return kind.patches if isinstance(kind, SeriesRun) else ()

    def group(self, cell: Cell) -> str:
        """Return the name of the group of cells that one worker runs (see schedule.group)."""
        return schedule.group(self.settings, cell)

    def result(self, cell: Cell) -> CellResult:
        """Return a cell's result: from this process, from the run directory, or by running the cell now."""
        if cell.id not in self._results:
            self._results[cell.id] = self._kept_result(cell) or self._run(cell)
        return self._results[cell.id]

    def _kept_result(self, cell: Cell) -> CellResult | None:
        found = self.run.result(cell.id)
        return None if schedule.is_lacking(found) else found

    def _run(self, cell: Cell) -> CellResult:
        """Run a cell now; every error of it is its result, as the cell would be run again for each of its checks."""
        try:
            return cell_run.run(cell, self.context(cell))
        except Exception as error:  # noqa: BLE001 - the engine, the disk or we
            return cell_run.failed(cell, self.run, error)

    def engine(self, say: Callable[[str], None]) -> Engine:
        """Return the engine that the process works with."""
        return private_engine.ensure(self._host, ownership.label(self.run.name), say)

    def context(self, cell: Cell) -> cell_run.Context:
        """Return the circumstances in which a cell is run now."""
        say = functools.partial(self.run.progress, cell.id)
        engine = self.engine(say)
        self._kept_builds = self._kept_builds or kept_builds.KeptBuilds(engine, self.run, self.jobs, self.limits)
        here = self._at_place[cell.place]
        results = {other: result for other in here if (result := self.run.result(other))}
        return cell_run.Context(
            run=self.run,
            engine=engine,
            jobs=self.jobs,
            limits=self.limits,
            known=self.config.known,
            say=say,
            kept_builds=self._kept_builds,
            checks=self._checks(cell),
            fresh=self.settings.fresh,
            predecessor=self._predecessor(cell, here, results),
            keeps_build=self._is_awaited(cell, here, results),
            base=self._base_cells,
            base_word=self._base_word,
        )

    def _is_awaited(self, cell: Cell, here: dict[CellId, Cell], results: dict[CellId, CellResult]) -> bool:
        """Return whether a cell without a result may continue from the kept build of this one."""
        continuing = self._continuing.get(cell.id, ())
        is_shared = any(schedule.is_lacking(self.run.result(cell_id)) for cell_id in continuing)
        return is_shared or schedule.is_awaited(cell.id, self._patches, here.keys() - results.keys())

    @functools.cached_property
    def _continuing(self) -> dict[CellId, list[CellId]]:
        """The cells that force a start method on the build of another one of the run, by that one's id.

        In a series they continue from another patch's build, and planted faults from the unedited tree's, which is made
        for them.
        """
        found: dict[CellId, list[CellId]] = {}
        if not isinstance(self.settings.kind, SeriesRun | MutantsRun):
            for cell in self.cells:
                if cell.build.start_method:
                    found.setdefault(plan.without_start_method(cell).id, []).append(cell.id)
        return found

    @functools.cached_property
    def _at_place(self) -> dict[Place, dict[CellId, Cell]]:
        """The cells at each place."""
        found: dict[Place, dict[CellId, Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.place, {})[cell.id] = cell
        return found

    @functools.cached_property
    def _base_word(self) -> str:
        on_base = (cell for cell in self.cells if cell.tree.name == self.settings.base)
        return next((cell.tree.asked for cell in on_base), "")

    def _checks(self, cell: Cell) -> tuple[str, ...]:
        """Return the checks whose steps a cell runs; none stands for all."""
        match self.settings.kind:
            case MutantsRun(planted=planted):
                faults = cell.tree.edits or [self.config.edits[name] for name in planted]
                return mutants.checks_at(cell.place, faults)
            case ClaimsRun(checks=checks):
                return checks
            case _:
                return ()

    def _predecessor(self, cell: Cell, here: dict[CellId, Cell], results: dict[CellId, CellResult]) -> Tree | None:
        """Return the tree whose kept build a cell continues from: that which faults are planted in, or a patch's."""
        if isinstance(self.settings.kind, MutantsRun):
            return _tree_to_plant_in(cell)
        found = schedule.predecessor(cell.id, self._patches, results)
        return here[found].tree if found else None

    def close_kept_build(self) -> None:
        """Remove the container of the build that this process keeps for others."""
        if self._kept_builds is not None:
            self._kept_builds.close()

    def sweep(self) -> None:
        """Remove the resources that the run still has in the engine, as after an interrupt, if the engine answers."""
        with contextlib.suppress(MatrixError):
            ownership.sweep_run(backends.connect(), self.run.name)


def _tree_to_plant_in(cell: Cell) -> Tree | None:
    """Return the tree whose kept build faults are planted in, unless one of them needs a build from scratch."""
    needs_whole_build = any(edit.from_scratch for edit in cell.tree.edits)
    return None if needs_whole_build else cell.tree.unedited


def begin(
    config: Config,
    cells: Sequence[Cell],
    trees: Sequence[str],
    folders: Sequence[str],
) -> PytestRun:
    """Begin a run of these cells, and hold its lock.

    `trees` are the words for their trees, `folders` the user's own folders of configuration.

    Raises:
        UsageError: a measurement has the machine; the run's folder is removed then.

    """
    run = store.begin(cells, trees, folders, jobs=0)
    begun = PytestRun(run, config=config)
    with launch.discarding(run), contextlib.ExitStack() as undo:
        begun.hold()
        undo.callback(begun.close)
        locks.refuse_beside_a_measurement()
        order.decide(run, config)
        undo.pop_all()
    return begun
