"""touch: make rebuilds, after a file was touched, all that is made from it and nothing else."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, made_by
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.products import dependents, graph, reachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import StepFacts

STEPS = ("touch-source", "touch-header")


def _companions(path: str) -> set[str]:
    """Return the files that kbuild keeps beside one that it makes."""
    folder, name = posixpath.split(path)
    # The command file, the dependency file, and the file that a recipe writes before it is renamed.
    return {posixpath.join(folder, f".{name}.{ending}") for ending in ("cmd", "d")} | {f"{path}.tmp"}


def _no_dependents(step: StepFacts, touched: str) -> Finding:
    expected = "at least one object's .cmd file names it"
    subject = touched or step.step.name
    return Finding(kind="no-dependents", subject=subject, expected=expected, actual="none does", where=step.log)


def _stale(observations: Observations, step: StepFacts, objects: set[str]) -> Iterator[Finding]:
    """Yield the files that are made from the touched file and were not made again.

    They follow from the programs' command lines alone (`shells=False`): a shell's line may name files that it does not
    read, and each would be expected anew.
    """
    build = observations.steps["build"]
    touched = _touched(step)
    products = reachable(graph(build, shells=False), objects) & step.files.keys()
    # perf itself in any case: a build whose link no command line shows would pass otherwise.
    wanted = products | {f"{observations.output}/{perf.PROGRAM}"}
    for path in sorted(wanted - observations.changed(step.step.name).keys()):
        expected = f"built again after {touched} was touched"
        yield Finding(kind="stale", subject=path, expected=expected, actual="it was not", where=step.log)


def _rebuilt(observations: Observations, step: StepFacts, objects: set[str]) -> Iterator[Finding]:
    """Yield the files that were made again and are not made from the touched file.

    Files that every make writes are left out, as the check no-op finds them. Here shells' lines count: a file that may
    be made from the touched one is not to be blamed.
    """
    touched = _touched(step)
    products = reachable(graph(observations.steps["build"]), objects)
    companions: set[str] = set().union(*map(_companions, products))
    changed = observations.changed(step.step.name)
    written_by_every_make = observations.changed("rebuild").keys()
    for path in sorted(changed.keys() - products - companions - written_by_every_make):
        yield Finding(
            kind="rebuilt",
            subject=path,
            expected=f"untouched: it is not made from {touched}",
            actual=changed[path],
            evidence=made_by(step, path),
            where=step.log,
        )


def _touched(step: StepFacts) -> str:
    """Return the file that a step touches; nothing where a damaged transcript has none or several, so none depends."""
    return step.step.touch[0] if len(step.step.touch) == 1 else ""


def _examine(observations: Observations) -> Examined:
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    for name in STEPS:
        step = observations.steps[name]
        touched = _touched(step)
        objects = dependents(step, touched, observations.output)
        counts[f"{name}: objects"] = len(objects)
        if not objects:
            findings.append(_no_dependents(step, touched))
        findings += [*_stale(observations, step, objects), *_rebuilt(observations, step, objects)]
    return Examined(tuple(findings), sum(counts.values()) or len(findings), dict(counts))


CHECK = Check(
    name="touch",
    summary="a touched source or header rebuilds what is made from it, all of it and nothing else",
    owns=STEPS,
    needs=("build", "rebuild"),
    examine=_examine,
    processes=True,
)
