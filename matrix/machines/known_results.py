"""The results that this machine knows for cells which a worker would run: its engine and images are part of their keys.

A worker says what it has, and the keys are made here. A result that arrives is entered under the keys that are made of
what it says of its machine; whoever trusts its verdict trusts that, too.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrix.errors import MatrixError
from matrix.machines.messages import Possessions
from matrix.runs import cell_run, earlier_results, reuse, schedule
from matrix.runs.pytest_run import PytestRun
from matrix.runs.reuse import Surroundings
from matrix.trees import volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.config.load import Config
    from matrix.engine.api import Engine
    from matrix.machines.messages import Machine
    from matrix.machines.remaining import Remaining
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult, TreeIdentity
    from matrix.runs.cell_run import Context
    from matrix.runs.store import Run

NOTHING = Possessions()


@dataclass(frozen=True)
class _WorkerKind:
    """A kind of worker: what it has, and the jobs of make that it would run in a cell."""

    has: Possessions
    jobs: int


class _Part(PytestRun):
    """The run in this process, which runs no cell: an engine is looked for only where a tree has to be read by one."""

    def __init__(self, run: Run, config: Config, engine: Engine) -> None:
        super().__init__(run, config=config)
        self._on_demand = engine

    def engine(self, say: Callable[[str], None]) -> Engine:
        del say
        return self._on_demand


class KnownResults:
    """The earlier results for a run's cells, and the entry of its new ones in the index; `jobs` is as in OnWorkers."""

    def __init__(self, run: Run, config: Config, engine: Engine, jobs: int) -> None:
        self._part = _Part(run, config, engine)
        self._engine = engine
        self._jobs = jobs
        self._places: dict[str, _WorkerKind] = {}
        self._trees: dict[str, TreeIdentity | None] = {}

    def images(self) -> str:
        """Return the images of the run's cells, as JSON: workers are asked which they have."""
        found = {cell.image.name: cell.image.model_dump(mode="json") for cell in self._part.cells}
        return json.dumps(list(found.values()))

    def meet(self, address: str, machine: Machine, has: Possessions) -> None:
        """Note what a worker has."""
        self._places[address] = _WorkerKind(has, schedule.jobs(self._jobs, machine.at_once, machine.processors))

    def take(self, group: Remaining, addresses: Iterable[str]) -> int:
        """Store the earlier results that lacking cells of a group have where one of these workers would run them.

        The results of one worker's kind are taken, those on the base tree first. The number of cells is returned.
        """
        for place in self._kinds(addresses):
            lacking = [cell for cell in group.cells if cell.id in group.lacking]
            found = {cell.id for cell in lacking if self._takes(cell, place)}
            if found:
                group.lacking -= found
                return len(found)
        return 0

    def _kinds(self, addresses: Iterable[str]) -> list[_WorkerKind]:
        """Return the kinds of these workers, each once, as far as their engines are known."""
        kinds: list[_WorkerKind] = []
        for place in map(self._places.get, addresses):
            if place is not None and place.has.host and place not in kinds:
                kinds.append(place)
        return kinds

    def _takes(self, cell: Cell, place: _WorkerKind) -> bool:
        image, tree = place.has.images.get(cell.image.name), self._tree(cell)
        if image is None or tree is None:
            return False
        context = replace(self._part.context(cell), jobs=place.jobs)
        return earlier_results.takes(cell, context, Surroundings(image, tree, place.has.host))

    def _tree(self, cell: Cell) -> TreeIdentity | None:
        if cell.tree.name not in self._trees:
            self._trees[cell.tree.name] = None
            with contextlib.suppress(MatrixError, OSError):
                found = volumes.identify(cell.tree, self._engine, _say_nothing, self._part.run.pins)
                self._trees[cell.tree.name] = found.identity
        return self._trees[cell.tree.name]

    def keep(self, cell: Cell, result: CellResult) -> None:
        """Enter a result that has arrived in the index, and store it with a finding where an earlier one differs."""
        with contextlib.suppress(MatrixError, OSError):
            found = self._with_own_keys(cell, result)
            if found is not None:
                stored = reuse.compared(found)
                self._part.run.save(stored)
                reuse.keep(stored, self._part.context(cell))

    def _with_own_keys(self, cell: Cell, result: CellResult) -> CellResult | None:
        """Return a result with the keys that are made here; nothing where it says another one of its transcript."""
        tree = self._tree(cell)
        if result.image is None or tree is None or result.jobs < 1:
            return None
        context: Context = replace(self._part.context(cell), jobs=result.jobs)
        found = cell_run.identified(
            cell_run.begun(cell, context, time.gmtime()), Surroundings(result.image, tree, dict(result.host)), context
        )
        if found.transcript_key != result.transcript_key:
            return None
        return result.model_copy(update={"key": found.key})


def _say_nothing(_line: str) -> None:
    """Drop a remark on a tree: it was shown when the tree was read for the workers."""
