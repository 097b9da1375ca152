"""The preparation of a run for the workers: the files that they need, and the groups that earlier runs leave."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple, cast

from matrix import paths
from matrix.machines import remaining
from matrix.machines.baggage import Baggage, EngineOnDemand
from matrix.machines.known_results import KnownResults
from matrix.runs import launch, order, schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.config.load import Config
    from matrix.engine.api import Engine
    from matrix.machines.remaining import Remaining
    from matrix.model.cell_id import CellId
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run


class Work(NamedTuple):
    """The work of a run for workers: files that go with it, results that are known, groups that have lacking cells."""

    baggage: Baggage
    known: KnownResults
    groups: list[Remaining]


@contextlib.contextmanager
def prepared(run: Run, wanted: tuple[CellId, ...], jobs: int, access: EngineAccess, config: Config) -> Iterator[Work]:
    """Give the work that is left of a run; its files are removed at the end.

    Raises:
        UsageError: a tree cannot be had.
        InfrastructureError: as UsageError.

    """
    with paths.temporary("machines") as folder:
        baggage = Baggage(run, jobs, folder)
        order.decide(run, config)
        engine = cast("Engine", EngineOnDemand(access))  # its attributes are looked for when they are used
        for tree in launch.needed_trees(run.settings(), wanted, config):
            baggage.add_tree(tree, engine, access)
        results = {result.id: result for result in run.results()}
        lacking = schedule.lacking(wanted, results)
        reused = {result.id: result.transcript_key for result in results.values() if result.reused}
        settings, cells = run.settings(), order.cells(run, run.settings(), config)
        named = {cell.id: schedule.group(settings, cell) for cell in cells}
        groups = remaining.groups(cells, lacking, named.__getitem__, reused)
        yield Work(baggage, KnownResults(run, config, engine, jobs), groups)
