"""barriers: the targets that a target which many others wait for waits for itself.

Such a target (`prepare`, `bpf-skel-prepare`) must not wait for targets that the tree's file forbids, nor for any that
it did not wait for in the base tree; the build's span must not be longer than the base's.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, Figures
from matrix.model.globs import matches_any
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace import cost, jobgraph, simulation, timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import StepFacts

STEP = "database"
POOL = 64
"""The number of pieces that a process pool's work is split into for the span, which is that on any number of cores."""

SHARE, FLOOR_S = 0.02, 0.5
"""The excess of a build's span over its base's that is noise: a part of its work, but no less than some seconds.

Two per cent of a tiny tree's work is less than the time of a single process varies by.
"""


@dataclass(frozen=True)
class Parallelism:
    """The parts of a build that cannot, or did not, run at once.

    `serial_s` are the seconds in which at most one leaf process ran, which depend on the load of the machine;
    `span` is the part of the build's `work_s` seconds of CPU time that no number of cores can shorten.
    """

    serial_s: float
    span: float
    work_s: float

    @property
    def noise(self) -> float:
        """The part of the work by which the span of an equal build may differ."""
        return max(SHARE, FLOOR_S / self.work_s) if self.work_s else 1.0


def below(observations: Observations, barrier: str) -> frozenset[str] | None:
    """Return the targets that are made before the target `barrier`, by paths inside the output folder.

    None is returned where no makefile of tools/perf has that target.
    """
    databases = [one for one in observations.databases if one.folder == perf.FOLDER and barrier in one.rules]
    targets: set[str] = set().union(*(one.below(barrier) for one in databases))
    return frozenset(_relative(target, observations.output) for target in targets) if databases else None


def _relative(target: str, output: str) -> str:
    path = posixpath.normpath(target)
    return posixpath.relpath(path, output) if path.startswith(f"{output}/") else path


def serial(observations: Observations) -> Parallelism | None:
    """Return the serial parts of a cell's build, or nothing where the build's processes are not all known."""
    build = observations.done("build")
    if build is None or not _is_whole(build):
        return None
    line = timeline.of_step(build)
    try:
        graph = jobgraph.graph(line, observations.databases)
    except ValueError:  # no make was traced, or makes are nested without end, as a hostile tree can have it
        return None
    work_s = jobgraph.work_s(graph)
    span = simulation.span(graph, POOL).wall_s / work_s if work_s else 0.0
    return Parallelism(cost.account(line).serial_s, span, work_s)


def _is_whole(build: StepFacts) -> bool:
    """Return whether a build was traced and from scratch: with planted files it continues from a kept build."""
    return build.traced and not build.step.touch


def _forbidden(observations: Observations, barrier: str, targets: frozenset[str]) -> Iterator[Finding]:
    """Yield the targets that a barrier waits for and that the tree's file forbids."""
    globs = observations.scenario.cell.tree.barriers[barrier]
    for target in sorted(targets):
        if matches_any(target, globs):
            yield Finding(
                kind="waits",
                subject=f"{barrier}: {target}",
                expected=f"made when it is needed, beside what waits for {barrier}",
                actual=f"{barrier} waits for it",
                where=observations.steps[STEP].log,
            )


def _new(observations: Observations, barrier: str, targets: frozenset[str]) -> Iterator[Finding]:
    """Yield the targets that a barrier waits for and did not wait for in the base tree."""
    before = below(observations.base, barrier) if observations.base else None
    if before is None:
        return
    for target in sorted(targets - before):
        yield Finding(
            kind="waits-newly",
            subject=f"{barrier}: {target}",
            expected=f"{barrier} waits for what it waited for in the base tree",
            actual=f"it waits for {target}, too",
            where=observations.steps[STEP].log,
        )


def _longer_span(now: Parallelism, before: Parallelism, log: str) -> Iterator[Finding]:
    if now.span - before.span > now.noise:
        yield Finding(
            kind="longer-span",
            subject="build",
            expected=f"a span of {before.span:.1%} of the work, as in the base tree: "
            "what no number of cores can shorten",
            actual=f"{now.span:.1%}",
            where=log,
        )


def _figures(prefix: str, found: Parallelism) -> Figures:
    return {f"{prefix}serial_s": round(found.serial_s, 1), f"{prefix}span": f"{found.span:.1%} of the work"}


def _span(observations: Observations) -> tuple[list[Finding], Figures]:
    """Return the finding, if any, that the build's span is longer than the base's, and both spans as figures."""
    now = serial(observations)
    if now is None:
        return [], {}
    before = serial(observations.base) if observations.base else None
    if before is None:
        return [], _figures("", now)
    findings = list(_longer_span(now, before, observations.steps["build"].log))
    return findings, _figures("", now) | _figures("base ", before)


def _examine(observations: Observations) -> Examined:
    findings: list[Finding] = []
    figures: Figures = {}
    examined = 0
    for barrier, forbidden in observations.scenario.cell.tree.barriers.items():
        targets = below(observations, barrier)
        if targets is not None:
            findings += [*_forbidden(observations, barrier, targets), *_new(observations, barrier, targets)]
            figures[f"{barrier} waits for" if forbidden else f"{barrier} waits for, and may for anything"] = len(
                targets
            )
            examined += len(targets)
    longer, span = _span(observations)
    return Examined((*findings, *longer), examined, figures | span)


CHECK = Check(
    name="barriers",
    summary="targets that many wait for wait for nothing unneeded, and the build's span is no longer than the base's",
    owns=(STEP,),
    needs=("build",),
    examine=_examine,
)
