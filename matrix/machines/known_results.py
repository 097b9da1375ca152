"""The results that this machine knows for cells which a worker would run: its engine and images are part of their keys.

A worker says what it has, and the keys are made here. A result that arrives is entered under the keys that are made of
what it says of its machine; whoever trusts its verdict trusts that, too.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrix.errors import MatrixError
from matrix.machines.messages import Possessions
from matrix.runs import cell_run, earlier_results, recorded_cell, reuse, schedule
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
    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult, TreeIdentity
    from matrix.runs.cell_run import Context
    from matrix.runs.store import Run

NOTHING = Possessions()


@dataclass(frozen=True, eq=False)
class _WorkerKind:
    """A kind of worker: what it has, and the jobs of make that it would run in a cell; there is one object of each."""

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
        self._kinds: list[_WorkerKind] = []
        self._places: dict[str, _WorkerKind] = {}
        self._keys: dict[tuple[CellId, _WorkerKind], str] = {}
        self._trees: dict[str, TreeIdentity | None] = {}
        self._reading = threading.Lock()
        self._early: dict[str, list[tuple[Cell, CellResult]]] = {}

    def images(self) -> str:
        """Return the images of the run's cells, as JSON: workers are asked which they have."""
        found = {cell.image.name: cell.image.model_dump(mode="json") for cell in self._part.cells}
        return json.dumps(list(found.values()))

    def meet(self, address: str, machine: Machine, has: Possessions) -> None:
        """Note what a worker has."""
        jobs = schedule.jobs(self._jobs, machine.at_once, machine.processors)
        kind = next((kind for kind in self._kinds if (kind.has, kind.jobs) == (has, jobs)), None)
        if kind is None:
            kind = _WorkerKind(has, jobs)
            self._kinds.append(kind)
        self._places[address] = kind

    def fit(self, group: Remaining, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of these workers on which the reused cells of a group have the keys that they were found by."""
        if not group.is_bound:
            return addresses
        kinds = {kind for kind in self._kinds_at(addresses) if self._has_keys(kind, group)}
        return tuple(address for address in addresses if self._places.get(address) in kinds)

    def _has_keys(self, kind: _WorkerKind, group: Remaining) -> bool:
        reused = [cell for cell in group.cells if cell.id in group.reused]
        return all(self._key(cell, kind) == group.reused[cell.id] for cell in reused)

    def take(self, group: Remaining, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Store the earlier results that lacking cells of a group have where one of these workers would run them.

        The results of one worker's kind are taken, those on the base tree first. The workers that may run the others
        are returned: those of that kind where these are compared with what was taken.
        """
        for kind in self._kinds_at(addresses):
            lacking = [cell for cell in group.cells if cell.id in group.lacking]
            found = {cell.id: self._key(cell, kind) for cell in lacking if self._takes(cell, kind)}
            if found:
                group.lacking -= found.keys()
                group.reused.update(found)
                break
        return self.fit(group, addresses)

    def forget(self, group: Remaining) -> None:
        """Remove the results of a group's cells: there is no worker of the kind that the reused ones are of."""
        for cell in group.cells:
            self._part.run.forget(cell.id)
            self._early.pop(cell.id, None)
        group.forget()

    def _kinds_at(self, addresses: Iterable[str]) -> list[_WorkerKind]:
        """Return the kinds of these workers, each once, as far as their engines are known."""
        found = dict.fromkeys(self._places[address] for address in addresses if address in self._places)
        return [kind for kind in found if kind.has.host]

    def _surroundings(self, cell: Cell, kind: _WorkerKind) -> Surroundings | None:
        image, tree = kind.has.images.get(cell.image.name), self._tree(cell)
        return None if image is None or tree is None else Surroundings(image, tree, kind.has.host)

    def _takes(self, cell: Cell, kind: _WorkerKind) -> bool:
        found = self._surroundings(cell, kind)
        context = replace(self._part.context(cell), jobs=kind.jobs)
        return found is not None and earlier_results.takes(cell, context, found)

    def _key(self, cell: Cell, kind: _WorkerKind) -> str:
        """Return the key of the transcript that a cell has on a kind of worker; nothing where it cannot be known."""
        if (cell.id, kind) not in self._keys:
            found = self._surroundings(cell, kind)
            context = replace(self._part.context(cell), jobs=kind.jobs)
            key = reuse.transcript_key(recorded_cell.scenario(cell, context), found) if found else ""
            self._keys[cell.id, kind] = key
        return self._keys[cell.id, kind]

    def _tree(self, cell: Cell) -> TreeIdentity | None:
        with self._reading:  # results are taken and entered in different threads
            if cell.tree.name not in self._trees:
                self._trees[cell.tree.name] = self._read_tree(cell)
            return self._trees[cell.tree.name]

    def _read_tree(self, cell: Cell) -> TreeIdentity | None:
        with contextlib.suppress(MatrixError, OSError):
            return volumes.identify(cell.tree, self._engine, _say_nothing, self._part.run.pins).identity
        return None

    def keep(self, group: Remaining, cell: Cell, result: CellResult) -> None:
        """Enter a result that has arrived in the index, and store it with a finding where an earlier one differs.

        The key of a head has that of its base in it: a head that comes first is entered when its base is.
        """
        base = f"{cell.place}@{self._part.settings.base}"
        if base in group.lacking and base != cell.id:
            self._early.setdefault(base, []).append((cell, result))
            return
        self._enter(cell, result)
        for head, early in self._early.pop(cell.id, ()):
            self._enter(head, early)

    def _enter(self, cell: Cell, result: CellResult) -> None:
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
