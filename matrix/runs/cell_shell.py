"""A shell in a cell's container, as it was after a step."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from matrix import paths
from matrix.engine import agent_volume, images
from matrix.engine.api import UID
from matrix.errors import UsageError, did_you_mean
from matrix.runs import execution, locks, store
from matrix.scenario import perf, plan
from matrix.trees import volumes
from matrix.untrusted import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell, Limits
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.named_cell import NamedCell
    from matrix.scenario.plan import Step


@dataclass(frozen=True)
class Circumstances:
    """A run's circumstances: make's jobs, the limits, and the folder that notes the content of the run's trees."""

    jobs: int = 2  # as `perf-matrix plan` prints
    limits: Limits | None = None
    pins: Path | None = None


USUAL = Circumstances()


def circumstances(named: NamedCell) -> Circumstances:
    """Return the circumstances of the run that gives a cell, or else the usual ones."""
    if named.run is None:
        return USUAL
    return Circumstances(limits=named.run.settings().limits, pins=named.pins)


def shell(cell: Cell, after: str, access: EngineAccess, how: Circumstances = USUAL) -> int:
    """Run the cell's steps up to `after` and give the terminal to a shell there; return its exit status.

    Raises:
        UsageError: the cell has no such step.

    """
    scenario = plan.scenario(cell, how.jobs, how.limits)
    names = [step.name for step in scenario.steps]
    if after and after not in names:
        raise UsageError(f"no step {after!r}{did_you_mean(after, names)}")
    with locks.busy() if after else contextlib.nullcontext():
        engine = access.connect()
        image = images.prepare(cell.image, engine, access.say)
        tree = volumes.prepare(cell.tree, engine, access.say, how.pins)
    with paths.temporary("shell") as folder:
        cell_run = execution.Execution(engine, store.Run(folder), scenario, image, tree, agent_volume.provide(engine))
        return _shell(cell_run, after, access)


def _shell(cell_run: execution.Execution, after: str, access: EngineAccess) -> int:
    scenario = cell_run.scenario
    cell = scenario.cell
    last = next((step for step in scenario.steps if step.name == after), None)
    with execution.closing(cell_run):
        if last:
            # Held for the steps alone: a shell may stay open for hours, and measurements are refused meanwhile.
            with locks.busy():
                _run_up_to(last, cell_run, access)
        cell_run.transcript.close()  # a shell may stay open for hours, and asks nothing
        logs = cell_run.run.cell(cell.id)
        access.say(f"{cell.id}, the tree at /src, as uid {UID} without network; its logs are in {logs}")
        place = last.place if last else "first"
        environment = (last or scenario.steps[0]).environment
        return cell_run.container(place).interactive(environment, perf.FOLDER)


def _run_up_to(last: Step, cell_run: execution.Execution, access: EngineAccess) -> None:
    """Run the build and the steps in the container of the step `last`, up to that one."""
    for step in cell_run.scenario.steps:
        # The steps of the other container change nothing here, but later steps need the build's facts.
        if step.place == last.place or step.name == "build":
            with access.console.status(Text(one_line(f"{step.name}: {step.summary}"))):
                end = cell_run.take(step)
            access.say(f"{step.name}: {end.failure or 'done'}")
        if step == last:
            return
