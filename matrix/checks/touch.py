"""touch: a touched file rebuilds what depends on it, all of it and nothing else."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.command_lines import maker
from matrix.trace.products import dependents, graph, reachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations

STEPS = ("touch-source", "touch-header")


def _companions(path: str) -> set[str]:
    folder, name = posixpath.split(path)
    return {posixpath.join(folder, f".{name}.{ending}") for ending in ("cmd", "d")} | {f"{path}.tmp"}


def _judge(observations: Observations, name: str) -> Iterator[Finding]:
    step = observations.steps[name]
    [touched] = step.step.touch
    changed = observations.changed(name)
    expected = dependents(step, touched, observations.output)
    if not expected:
        yield Finding(
            kind="no-dependents",
            subject=touched,
            expected="at least one object's .cmd file names it",
            actual="none does",
            where=step.log,
        )
    build = observations.steps["build"]
    program = f"{observations.output}/{perf.PROGRAM}"
    products = reachable(graph(build, shells=False), expected) & step.files.keys()
    for path in sorted((products | {program}) - changed.keys()):
        yield Finding(
            kind="stale",
            subject=path,
            expected=f"built again after {touched} was touched",
            actual="it was not",
            where=step.log,
        )
    derived = reachable(graph(build), expected)
    allowed = derived | {companion for path in derived for companion in _companions(path)}
    restless = observations.changed("rebuild").keys()
    for path in sorted(changed.keys() - allowed - restless):
        made = maker(step, path)
        yield Finding(
            kind="rebuilt",
            subject=path,
            expected=f"untouched: it is not made from {touched}",
            actual=changed[path],
            evidence=f"made by: {made}" if made else "",
            where=step.log,
        )


def _examine(observations: Observations) -> Examined:
    findings = [finding for name in STEPS for finding in _judge(observations, name)]
    steps = [observations.steps[name] for name in STEPS]
    counts = {
        f"{step.step.name}: objects": len(dependents(step, touched, observations.output))
        for step in steps
        for touched in step.step.touch
    }
    return Examined(tuple(findings), sum(counts.values()) or len(findings), dict(counts))


CHECK = Check(
    name="touch",
    summary="a touched source or header rebuilds what is made from it, all of it and nothing else",
    owns=STEPS,
    needs=("build", "rebuild"),
    examine=_examine,
    processes=True,
)
