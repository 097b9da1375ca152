"""process-budget: a make that has nothing to do runs no more processes than the build's file allows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from matrix.checks import Check, Outcome
from matrix.result import Finding

if TYPE_CHECKING:
    from matrix.observe import Observations

TOTAL = "total"
STEP = "rebuild"


def _examine(observations: Observations) -> Outcome:
    ceilings = observations.scenario.cell.build.expect.processes
    if not ceilings:
        return Outcome(skip="the build's file sets no ceiling (expect: processes)")
    step = observations.steps[STEP]
    if not step.traced:
        return Outcome(skip="processes cannot be traced here")
    counts = Counter(process.program for process in step.processes)
    counts[TOTAL] = len(step.processes)
    ever = {TOTAL, *(process.program for name in ("build", STEP) for process in observations.steps[name].processes)}
    findings = [
        Finding(
            kind="never-ran",
            subject=program,
            expected="a program that the build runs, as a ceiling for any other says nothing",
            actual="it was run in neither make",
        )
        for program in ceilings
        if program not in ever
    ]
    findings += [
        Finding(
            kind="over-budget",
            subject=f"{STEP}: {program}",
            expected=f"at most {ceiling} processes",
            actual=f"{counts[program]}",
            where=step.log,
        )
        for program, ceiling in ceilings.items()
        if counts[program] > ceiling
    ]
    return Outcome(tuple(findings), counts[TOTAL], {program: counts[program] for program in ceilings})


CHECK = Check(
    name="process-budget",
    summary="a second make runs no more processes than the build's file allows, in all and of a program",
    owns=(),
    needs=("build", "rebuild"),
    examine=_examine,
)
