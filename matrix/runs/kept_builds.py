"""Keeps the container of a built cell, so that others can go on with copies of what it built."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.engine import agent_volume
from matrix.errors import InfrastructureError
from matrix.runs import execution
from matrix.runs.execution import Execution, KeptBuild
from matrix.scenario import plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell, Limits
    from matrix.model.result import ImageIdentity
    from matrix.runs.store import Run
    from matrix.trees.volumes import PreparedTree

SUFFIX = "+built"
"""What is built only to be gone on with has a folder of its own in the run, named after the tree with this."""


@dataclass(frozen=True)
class _Kept:
    cell: str
    built: KeptBuild
    remove: Callable[[], None]


class KeptBuilds:
    """The one built cell that is kept at a time: cells that go on with the same one come one after the other."""

    def __init__(self, engine: Engine, run: Run, jobs: int, limits: Limits) -> None:
        self.engine = engine
        self.run = run
        self.jobs = jobs
        self.limits = limits
        self.kept: _Kept | None = None
        self.failed: dict[str, str] = {}

    def keep(self, cell_run: Execution) -> None:
        """Keep what a cell has built, as it is now; its own containers go on."""
        self.close()
        with contextlib.suppress(InfrastructureError):  # what could not be kept is built again by whoever wants it
            copy = cell_run.copy()
            self.kept = _Kept(cell_run.scenario.cell.id, KeptBuild(copy.state, cell_run.records[0]), copy.remove)

    def of(self, cell: Cell, image: ImageIdentity, tree: PreparedTree) -> KeptBuild:
        """Return what `cell` built, built now unless it is the one that is kept.

        Raises:
            InfrastructureError: it could not be built, so nothing can go on with it.

        """
        if self.kept and self.kept.cell == cell.id:
            return self.kept.built
        if cell.id in self.failed:
            raise InfrastructureError(self.failed[cell.id])
        self.close()
        apart = cell.tree.model_copy(update={"name": f"{cell.tree.name}{SUFFIX}"})
        to_build = cell.model_copy(update={"tree": apart})
        scenario = plan.scenario(to_build, self.jobs, self.limits, only=("build",))
        cell_run = Execution(self.engine, self.run, scenario, image, tree, agent_volume.provide(self.engine))
        with contextlib.ExitStack() as undo:
            undo.callback(cell_run.close)
            [facts] = execution.execute(cell_run)
            if facts.failure:
                self.failed[cell.id] = f"{cell.id}, to plant on, could not be built: {facts.failure}"
                raise InfrastructureError(self.failed[cell.id], f"Its log is {cell_run.log('build')}.")
            built = KeptBuild(cell_run.container("first").state, cell_run.records[0])
            undo.pop_all()
        self.kept = _Kept(cell.id, built, cell_run.close)
        return built

    def close(self) -> None:
        """Remove the container of what is kept."""
        if self.kept:
            kept, self.kept = self.kept, None
            with contextlib.suppress(InfrastructureError):  # what could not be removed is swept at the run's end
                kept.remove()
