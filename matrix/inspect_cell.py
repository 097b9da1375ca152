"""A shell in a cell's container, as it was after a step."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import agent_volume, images, plan, private_engine, runner, session, store, trees
from matrix.errors import UsageError
from matrix.strict import did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from matrix.model import Cell, Limits


@dataclass(frozen=True)
class Circumstances:
    """How a run did it: make's jobs, the limits, and the folder that notes which content its trees had."""

    jobs: int = 2
    limits: Limits | None = None
    pins: Path | None = None


USUAL = Circumstances()


def shell(cell: Cell, after: str, host: str | None, console: Console, how: Circumstances = USUAL) -> int:
    """Run the cell's steps up to `after` and give the terminal to a shell there; return its exit status.

    Raises:
        UsageError: the cell has no such step.

    """
    scenario = plan.scenario(cell, how.jobs, how.limits)
    names = [step.name for step in scenario.steps]
    if after and after not in names:
        raise UsageError(f"no step {after!r}{did_you_mean(after, names)}")
    with session.busy() if after else contextlib.nullcontext():
        engine = private_engine.ensure(host, session.label(), console.print)
        image = images.prepare(cell.image, engine, console.print)
        tree = trees.prepare(cell.tree, engine, console.print, how.pins)
    with tempfile.TemporaryDirectory(prefix="perf-matrix-shell-") as folder:
        cell_run = runner.CellRun(engine, store.Run(Path(folder)), scenario, image, tree, agent_volume.provide(engine))
        return _shell(cell_run, after, console)


def _shell(cell_run: runner.CellRun, after: str, console: Console) -> int:
    scenario, run = cell_run.scenario, cell_run.run
    cell = scenario.cell
    wanted = [step for step in scenario.steps if step.name == after]
    place = wanted[0].place if wanted else "first"
    with runner.closing(cell_run):
        with session.busy() if after else contextlib.nullcontext():
            for step in scenario.steps if after else ():
                if step.place == place or step.name == "build":
                    with console.status(f"{step.name}: {step.summary}"):
                        facts = cell_run.take(step)
                    console.print(f"{step.name}: {facts.failure or 'done'}")
                if step.name == after:
                    break
        console.print(f"{cell.id}, the tree at /src, as uid 1000 without network; its logs are in {run.cell(cell.id)}")
        environment = wanted[0].environment if wanted else scenario.steps[0].environment
        return cell_run.container(place).interactive(environment, "/src/tools/perf")
