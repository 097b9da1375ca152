"""The trace of a recorded step: its cost, and its text in every view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix import files, paths
from matrix.timing.prediction import MOST_CORES, graph_of
from matrix.trace import cost, simulation, timeline, views

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.timing.recording import Recorded
    from matrix.trace.cost import Account


@dataclass(frozen=True)
class Trace:
    """The account of a step, and the texts of its views by the views' names."""

    cell: str
    step: str
    cost: Account
    views: dict[str, str]


def of_recording(recorded: Recorded) -> Trace:
    """Return the trace of a recorded step.

    Raises:
        UsageError: the recording has no make, or makes that are nested too deep.

    """
    step = recorded.facts.step.name
    line = timeline.of_step(recorded.facts)
    spent = cost.account(line)
    # The critical path is that of a machine with a core for everything: on fewer, slots decide what waits.
    path = simulation.span(graph_of(recorded), MOST_CORES).path
    known = views.registry().items()
    texts = {name: view.render(recorded.cell, step, line, spent, path) for name, view in known}
    return Trace(recorded.cell, step, spent, texts)


def write_views(found: Trace, folder: Path | None) -> Path:
    """Write each view into a file of `folder`, or else of the step's folder in the state folder; return the folder."""
    target = folder or paths.state() / "traces" / found.cell / found.step
    for name, view in views.registry().items():
        files.write(target / f"{found.step}{view.suffix}", found.views[name])
    return target
