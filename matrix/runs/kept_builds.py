"""Keeps the container of a finished build, so that other builds can continue from copies of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrix.engine import agent_volume
from matrix.errors import InfrastructureError
from matrix.runs import execution
from matrix.runs.confinement import LimitExceededError
from matrix.runs.execution import Execution, KeptBuild
from matrix.runs.store import Run
from matrix.scenario import plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell, Limits
    from matrix.model.result import ImageIdentity
    from matrix.trees.volumes import PreparedTree

FOLDER = "kept-builds"
"""The folder of a run with the logs of builds that are made only for others to continue from.

It has the form of a run's folder, so that a build there has a log and progress as any other.
"""


@dataclass(frozen=True)
class _Kept:
    made: str
    build: KeptBuild
    remove: Callable[[], None]


class KeptBuilds:
    """The kept build of a process, one at a time: cells that continue from the same one come one after the other.

    One, because its volumes are in memory.
    """

    def __init__(self, engine: Engine, run: Run, jobs: int, limits: Limits) -> None:
        self.engine = engine
        self.own_run = Run(run.folder / FOLDER)
        self.jobs = jobs
        self.limits = limits
        self.kept: _Kept | None = None
        self.failures: dict[str, str] = {}

    def keep(self, finished: Execution) -> None:
        """Keep a copy of a cell's build as it is now; the cell's later steps change the container that was built in.

        Raises:
            LimitExceededError: the facts of the build exceed a limit.

        """
        self.close()
        transcript = self._recorded(finished)
        with contextlib.suppress(InfrastructureError):  # without it the build is made again
            copy = finished.copy()
            build = KeptBuild(copy.state, transcript, cpu_s=finished.ends[-1].cpu_s)
            self.kept = _Kept(self._made(finished.scenario.cell), build, copy.remove)

    def _made(self, cell: Cell) -> str:
        """Return all that a cell's build is made of beside image and tree: builds of two names may be the same."""
        [step] = plan.scenario(cell, self.jobs, self.limits, only=("build",)).steps
        return f"{cell.image.name}/{cell.toolchain}@{cell.tree.name} {step.model_dump_json()}"

    def of(self, cell: Cell, image: ImageIdentity, tree: PreparedTree) -> KeptBuild:
        """Return the kept build of a cell, which is built now, and saves nothing yet, unless it is kept already.

        Raises:
            InfrastructureError: the build failed, now or before.

        """
        made = self._made(cell)
        if self.kept and self.kept.made == made:
            return self.kept.build
        if made in self.failures:  # a build that failed fails again, and takes its minutes again
            raise InfrastructureError(self.failures[made])
        self.close()
        self.kept = self._built(cell, image, tree)
        return replace(self.kept.build, cpu_s=0.0)

    def _built(self, cell: Cell, image: ImageIdentity, tree: PreparedTree) -> _Kept:
        scenario = plan.scenario(cell, self.jobs, self.limits, only=("build",))
        agent = agent_volume.provide(self.engine)
        cell_run = Execution(self.engine, self.own_run, scenario, image, tree, agent)
        with contextlib.ExitStack() as undo:
            undo.callback(cell_run.close)
            try:
                build = self._build(cell_run)
            except LimitExceededError as error:
                raise self._failed(cell_run, error.message) from error
            cell_run.transcript.close()
            undo.pop_all()  # its container stays, until `close`
        return _Kept(self._made(cell), build, cell_run.remove_containers)

    def _build(self, cell_run: Execution) -> KeptBuild:
        [end] = execution.execute(cell_run)
        if end.failure:
            raise self._failed(cell_run, end.failure)
        return KeptBuild(cell_run.container("first").state, self._recorded(cell_run), cpu_s=end.cpu_s)

    def _failed(self, cell_run: Execution, failure: str) -> InfrastructureError:
        """Return the error of a kept build that failed, which it is again for each build that would continue it."""
        cell = cell_run.scenario.cell
        reason = f"the kept build of {cell.id} failed: {failure}"
        self.failures[self._made(cell)] = reason
        return InfrastructureError(reason, f"Its log is {cell_run.log('build')}.")

    def _recorded(self, finished: Execution) -> Path:
        """Store the transcript of a build, which has no other step yet, and return its file."""
        cell_id = finished.scenario.cell.id
        self.own_run.save_transcript(cell_id, finished.transcript.blocks())
        return self.own_run.transcript_path(cell_id)

    def close(self) -> None:
        """Remove the container of the kept build."""
        if self.kept:
            kept, self.kept = self.kept, None
            with contextlib.suppress(InfrastructureError):  # what is left is swept at the run's end
                kept.remove()
