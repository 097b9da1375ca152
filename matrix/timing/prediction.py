"""The prediction of a recorded build's time on other numbers of cores, and measured times of some to compare."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.errors import UsageError, did_you_mean
from matrix.runs import interrupts
from matrix.timing import build_times, recording
from matrix.trace import jobgraph, simulation, timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.named_cell import NamedCell
    from matrix.timing.recording import Recorded
    from matrix.trace.jobgraph import Make
    from matrix.trace.simulation import Prediction

MOST_CORES = 4096
"""The most cores of a prediction; no build of perf has so many jobs at once."""
REPLAYED = ("build", "rebuild")
"""The steps that can be replayed: their makes have the default goal, for which the rules are recorded."""


@dataclass(frozen=True)
class PredictionRequest:
    """A request for a prediction for the numbers `jobs`; builds with the numbers `measured` are timed, `times` each.

    `run` is the name of the run that recorded the step; without it, the step is recorded anew.
    """

    named: NamedCell
    step: str
    jobs: tuple[int, ...]
    measured: tuple[int, ...] = ()
    times: int = 3
    run: str = ""


@dataclass(frozen=True)
class PredictionResult:
    """Predictions and measured wall times, in seconds, by the number of jobs.

    `span` is the prediction for MOST_CORES cores. `undeclared` is the number of makes with unknown rules, and the
    number of all makes with jobs.
    """

    cell: str
    step: str
    predicted: dict[int, Prediction]
    measured_s: dict[int, float]
    span: Prediction
    undeclared: tuple[int, int]


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of jobs or cores in a list `1,2,4,8`.

    Raises:
        UsageError: the text is no such list, or a number is not from 1 to MOST_CORES.

    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < int(word) <= MOST_CORES for word in words):
        raise UsageError(f"{text!r} is no list of numbers from 1 to {MOST_CORES}", "Write them as 1,2,4,8.")
    return tuple(int(word) for word in words)


def refuse_impossible(step: str, measured: Sequence[int]) -> None:
    """Refuse a step that cannot be replayed, and numbers of jobs that cannot be measured on this machine.

    Raises:
        UsageError: the step or a number of jobs is such a one.

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
    """Return the predictions of a step's time and the measured times that a request asks for.

    Raises:
        UsageError: the step was not recorded in the run, or fails.
        InfrastructureError: no engine answers, or it forbids ptrace.

    """
    recorded = recording.recorded(request.named, request.step, request.run, 0, access)
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
        UsageError: the recording has no make, or makes that are nested too deep.

    """
    try:
        return jobgraph.graph(timeline.of_step(recorded.facts), recorded.databases)
    except ValueError as error:
        raise UsageError(f"{recorded.cell}: {error}") from error


def _measured(request: PredictionRequest, access: EngineAccess) -> dict[int, float]:
    if not request.measured:
        return {}
    with interrupts.interruptible():
        return build_times.measure(request.named, request.measured, request.times, access.connect(), access.say)
