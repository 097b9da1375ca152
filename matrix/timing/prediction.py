"""Predicts a recorded build on other numbers of cores, and measures a few of them to see how far that is off."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.errors import UsageError, did_you_mean
from matrix.runs import interrupts
from matrix.timing import bench, recording
from matrix.trace import jobgraph, simulation, timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.cell import Cell
    from matrix.runs.engine_access import EngineAccess
    from matrix.timing.recording import Recorded
    from matrix.trace.jobgraph import Make
    from matrix.trace.simulation import Prediction

MOST_CORES = 4096
REPLAYED = ("build", "rebuild")
"""Steps whose makes are to make what the recorded rules say; those of the others are told otherwise."""


@dataclass(frozen=True)
class PredictionRequest:
    """A prediction as it was asked for, for these numbers of jobs; `measured` are built with, too, `times` each.

    Without a recording in the run `run` the step is recorded anew.
    """

    cell: Cell
    step: str
    jobs: tuple[int, ...]
    measured: tuple[int, ...] = ()
    times: int = 3
    run: str = ""


@dataclass(frozen=True)
class PredictionResult:
    """Predictions and measured wall times, in seconds, by the number of jobs; `span` is that on any number of cores.

    `undeclared` says of how many makes the rules are not known, and how many makes there are.
    """

    cell: str
    step: str
    predicted: dict[int, Prediction]
    measured_s: dict[int, float]
    span: Prediction
    undeclared: tuple[int, int]


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of jobs or cores in a list, as `1,2,4,8`.

    Raises:
        UsageError: the text is no such list, or a number is out of bounds.

    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < int(word) <= MOST_CORES for word in words):
        raise UsageError(f"{text!r} is no list of numbers from 1 to {MOST_CORES}", "Write them as 1,2,4,8.")
    return tuple(int(word) for word in words)


def refuse_impossible(step: str, measured: Sequence[int]) -> None:
    """Refuse a step that cannot be replayed, and numbers of jobs that cannot be measured here.

    Raises:
        UsageError: the step or a number is one of them.

    """
    processors = os.cpu_count() or 1
    if measured and step != "build":
        raise UsageError("--measure builds from scratch, so it goes with --step build", "Leave one of them out.")
    if measured and max(measured) > processors:
        text = ",".join(map(str, measured))
        raise UsageError(f"--measure {text}: there are {processors} processors", "More cannot be measured here.")
    if step not in REPLAYED:
        raise UsageError(
            f"no step {step!r} to replay{did_you_mean(step, REPLAYED)}",
            "Rules are recorded for the default goal alone.",
        )


def predict(request: PredictionRequest, access: EngineAccess) -> PredictionResult:
    """Replay a step on each number of jobs and cores, and measure some of them.

    Raises:
        UsageError: the step was not recorded in the run, or fails.
        InfrastructureError: there is no engine, or ptrace is forbidden here.

    """
    recorded = recording.recorded(request.cell, request.step, request.run, 0, access)
    graph = graph_of(recorded)
    jobs = dict.fromkeys((*request.jobs, *request.measured))
    return PredictionResult(
        cell=recorded.cell,
        step=request.step,
        predicted={number: simulation.predict(graph, number) for number in jobs},
        measured_s=_measured(request, access),
        span=simulation.span(graph, MOST_CORES),
        undeclared=jobgraph.undeclared(graph),
    )


def graph_of(recorded: Recorded) -> Make:
    """Return the graph of the jobs of a recorded step.

    Raises:
        UsageError: the recording does not give one.

    """
    try:
        return jobgraph.graph(timeline.of_step(recorded.facts), recorded.databases)
    except ValueError as error:
        raise UsageError(f"{recorded.cell}: {error}") from error


def _measured(request: PredictionRequest, access: EngineAccess) -> dict[int, float]:
    if not request.measured:
        return {}
    with interrupts.interruptible():
        return bench.builds(request.cell, request.measured, request.times, access.connect(), access.say)
