"""process-budget: a make that has nothing to do runs no more processes than is allowed, or than in the base tree."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, Figures
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.timeline import Origin, of_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import StepFacts
    from matrix.trace.timeline import Timeline

TOTAL, PARSE, FEATURES = "total", "$(shell)", "feature tests"
COUNTED = (TOTAL, PARSE, FEATURES)
STEP = "rebuild"


def counts(step: StepFacts) -> Counter[str]:
    """Return the number of a step's processes by program, and by COUNTED: in all, below `$(shell)`, in feature tests.

    Of a feature test only its make is counted: the processes below depend on the libraries that are installed.
    """
    timeline = of_step(step)
    found = Counter(process.program or "(fork)" for process in step.processes)
    found[PARSE] = len(_below_shell(timeline))
    found[FEATURES] = sum(perf.is_feature_test(timeline.targets.goal(make)) for make in timeline.tree.makes)
    found[TOTAL] = len(step.processes)
    return found


def _below_shell(timeline: Timeline) -> set[int]:
    """Return the indexes of the processes that makes started through `$(shell)`, and of all below them."""
    shells = [job.process for job in timeline.jobs if job.origin == Origin.SHELL]
    below = itertools.chain.from_iterable(map(timeline.tree.below, shells))
    return {process.index for process in below}


def _over(ceilings: Mapping[str, int], found: Mapping[str, int], step: StepFacts) -> Iterator[Finding]:
    """Yield the programs of which the second make ran more processes than the build's file allows."""
    for program, ceiling in ceilings.items():
        if found.get(program, 0) > ceiling:
            yield Finding(
                kind="over-budget",
                subject=f"{STEP}: {program}",
                expected=f"at most {ceiling} processes",
                actual=f"{found[program]}",
                where=step.log,
            )


def _never(observations: Observations, ceilings: Mapping[str, int]) -> Iterator[Finding]:
    """Yield the programs that have a ceiling and are run in neither make: such a ceiling holds whatever happens."""
    processes = (*observations.steps["build"].processes, *observations.steps[STEP].processes)
    ran = {*COUNTED, *(process.program for process in processes)}
    for program in ceilings:
        if program not in ran:
            yield Finding(
                kind="never-ran",
                subject=program,
                expected="a program that the build runs, as a ceiling for any other says nothing",
                actual="it was run in neither make",
            )


def _more(before: Mapping[str, int], found: Mapping[str, int], step: StepFacts) -> Iterator[Finding]:
    """Yield the programs that ran more often than in the base tree.

    One process more is a finding, as the counts of a second make do not vary from run to run.
    """
    for program in sorted(found):
        if found[program] > before.get(program, 0):
            yield Finding(
                kind="more-than-base",
                subject=f"{STEP}: {program}",
                expected=f"at most {before.get(program, 0)} processes, as in the base tree",
                actual=f"{found[program]}",
                where=step.log,
            )


def _traced_base(observations: Observations) -> StepFacts | None:
    """Return the second make of the base tree, or nothing where it failed or was not traced."""
    step = observations.base.done(STEP) if observations.base else None
    return step if step and step.traced else None


def _examine(observations: Observations) -> Examined:
    ceilings = observations.scenario.cell.build.expect.processes
    base = _traced_base(observations)
    if not ceilings and base is None:
        return Examined(skip="the build's file sets no ceiling (expect: processes), and there is no base tree")
    step = observations.steps[STEP]
    found = counts(step)
    findings = [*_never(observations, ceilings), *_over(ceilings, found, step)]
    figures: Figures = {program: found[program] for program in (*ceilings, *COUNTED)}
    if base is not None:
        before = counts(base)
        findings += _more(before, found, step)
        figures |= {f"base {program}": before[program] for program in (*ceilings, *COUNTED)}
    return Examined(tuple(findings), found[TOTAL], figures)


CHECK = Check(
    name="process-budget",
    summary="a second make runs no more processes than the build's file allows, and no more than in the base tree",
    owns=(),
    needs=("build", "rebuild"),
    examine=_examine,
    processes=True,
)
