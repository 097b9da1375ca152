"""The times of builds from scratch with several numbers of jobs, which predictions are compared with."""

from __future__ import annotations

import contextlib
import statistics
from typing import TYPE_CHECKING

from matrix.engine import agent_volume, images
from matrix.scenario import plan
from matrix.timing.bench import Asked, Bench, alone
from matrix.trees import volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matrix.engine.api import Engine
    from matrix.runs.named_cell import NamedCell


def measure(
    named: NamedCell, jobs: Sequence[int], times: int, engine: Engine, say: Callable[[str], None]
) -> dict[int, float]:
    """Return the median wall time, in seconds, of `times` builds from scratch, untraced, for each number of jobs.

    A build with N jobs is pinned to N processors.

    Raises:
        UsageError: a build failed, or other cells are being run.

    """
    cell = named.cell
    asked = Asked(base=cell, head=cell, measures=("build",), pairs=times, jobs=max(jobs), seed=0)
    took: dict[int, list[float]] = {number: [] for number in jobs}
    with alone(), contextlib.ExitStack() as stack:
        image = images.prepare(cell.image, engine, say)
        agent = agent_volume.provide(engine)
        tree = volumes.prepare(cell.tree, engine, say, named.pins)
        for turn in range(times):
            # There and back again, so that a machine that warms up favours no number.
            for number in jobs if turn % 2 == 0 else tuple(reversed(jobs)):
                say(f"{cell.id} -j{number}: build {turn + 1} of {times}")
                [build] = plan.scenario(cell, number, asked.limits, only=("build",)).steps
                make = build.commands[0].model_copy(update={"traced": False})
                bench = Bench(asked, engine, image, agent, f"0-{number - 1}", say, stack)
                container = bench.container(tree)
                step = build.model_copy(update={"commands": (make,)})
                took[number].append(bench.sample(step, container, "build", turn, "base").wall_s)
                container.remove()
                say(f"{cell.id} -j{number}: {took[number][-1]:.1f} s")
    return {number: round(statistics.median(times_s), 3) for number, times_s in took.items()}
