"""barriers: what much waits for waits for nothing that it need not, and for no more than in the base tree."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace import cost, jobgraph, simulation, timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations

STEP = "database"
POOL = 64
"""Into how many pieces a process pool is split for the span."""
SHARE, FLOOR_S = 0.02, 0.5
"""How much longer than the base's a build's span may be, as a part of its work and in seconds: less is noise."""


def below(observations: Observations, barrier: str) -> frozenset[str] | None:
    """Return what must be made before `barrier`, by paths inside the output folder; nothing where it is no target."""
    bases = [base for base in observations.databases if base.folder == perf.FOLDER and barrier in base.rules]
    targets = {target for base in bases for target in base.below(barrier)}
    return frozenset(_relative(target, observations.output) for target in targets) if bases else None


def _relative(target: str, output: str) -> str:
    path = posixpath.normpath(target)
    return posixpath.relpath(path, output) if path.startswith(f"{output}/") else path


def serial(observations: Observations) -> tuple[float, float, float] | None:
    """Return the seconds of the build in which at most one leaf ran, its span as a part of its work, and the work.

    The seconds depend on what else the machine did, the span does not: it adds up CPU times. Nothing is returned where
    the build is not known whole.
    """
    build = observations.done("build")
    if build is None or not build.traced or build.step.touch:  # what is planted goes on with a build made before
        return None
    line = timeline.of_step(build)
    try:
        graph = jobgraph.graph(line, observations.databases)
    except ValueError:
        return None
    work_s = jobgraph.work_s(graph)
    return cost.account(line).serial_s, simulation.span(graph, POOL).wall_s / work_s if work_s else 0.0, work_s


def _waits(observations: Observations, barrier: str, found: frozenset[str]) -> Iterator[Finding]:
    where = observations.steps[STEP].log
    forbidden = observations.scenario.cell.tree.barriers[barrier]
    for target in sorted(found):
        if any(fnmatchcase(target, glob) for glob in forbidden):
            expected = f"made when it is needed, beside what waits for {barrier}"
            actual = f"{barrier} waits for it"
            yield Finding(kind="waits", subject=f"{barrier}: {target}", expected=expected, actual=actual, where=where)
    before = below(observations.base, barrier) if observations.base else None
    for target in sorted(found - before) if before is not None else ():
        yield Finding(
            kind="waits-newly",
            subject=f"{barrier}: {target}",
            expected=f"{barrier} waits for what it waited for in the base tree",
            actual=f"it waits for {target}, too",
            where=where,
        )


def _serial(observations: Observations, figures: dict[str, int | float | str]) -> Iterator[Finding]:
    found = serial(observations)
    if found is None:
        return
    figures |= {"serial_s": round(found[0], 1), "span": f"{found[1]:.1%} of the work"}
    before = serial(observations.base) if observations.base else None
    if before is None:
        return
    figures |= {"base serial_s": round(before[0], 1), "base span": f"{before[1]:.1%} of the work"}
    if found[1] - before[1] > max(SHARE, FLOOR_S / found[2] if found[2] else 1.0):
        yield Finding(
            kind="longer-span",
            subject="build",
            expected=f"a span of {before[1]:.1%} of the work, as in the base tree: what no number of cores can shorten",
            actual=f"{found[1]:.1%}",
            where=observations.steps["build"].log,
        )


def _examine(observations: Observations) -> Examined:
    barriers = observations.scenario.cell.tree.barriers
    found = {barrier: targets for barrier in barriers if (targets := below(observations, barrier)) is not None}
    figures: dict[str, int | float | str] = {
        f"{barrier} waits for{'' if barriers[barrier] else ', and may for anything'}": len(targets)
        for barrier, targets in found.items()
    }
    findings = [finding for barrier, targets in found.items() for finding in _waits(observations, barrier, targets)]
    findings += _serial(observations, figures)
    return Examined(tuple(findings), sum(map(len, found.values())), figures)


CHECK = Check(
    name="barriers",
    summary="what much waits for waits for nothing it need not, and the build's span is no longer than the base's",
    owns=(STEP,),
    needs=("build",),
    examine=_examine,
)
