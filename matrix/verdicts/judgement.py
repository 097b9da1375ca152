"""The judgement on one cell in parts, one after the other, so that those made before an abrupt end are kept. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix import checks as registered
from matrix.model.base import Frozen
from matrix.model.result import LIMIT_EXCEEDED, CellResult, CheckResult, Finding, StepResult, Verdict
from matrix.verdicts import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.known_failure import KnownFailure
    from matrix.scenario.observations import Observations

WHOLE_BUILD = "build"
"""The check that gets the finding where facts could not even be read: all of them come from the build."""


class JudgementPart(Frozen):
    """One part of a judgement; exactly one field is set, `program_sha256` beside `steps`.

    `incomplete` is the reason why a transcript is no ground for a verdict of perf's, and `examining` names the check
    whose result comes next.
    """

    incomplete: str = ""
    steps: tuple[StepResult, ...] | None = None
    program_sha256: str = ""
    examining: str = ""
    check: CheckResult | None = None


class Limit(Frozen):
    """A limit that a cell's facts exceeded: its name for people and for the finding's key, and its value in words.

    `work` is the work in which it was; empty where the cell was being judged.
    """

    name: str
    value: str
    work: str = ""


def parts(observations: Observations, known: Sequence[KnownFailure]) -> Iterator[JudgementPart]:
    """Yield the parts of the judgement on a cell, the checks in the order of their names.

    A transcript that breaks off before a step that could have been run, or that has no build, is judged no further.
    """
    reason = _incompleteness(observations)
    if reason:
        yield JudgementPart(incomplete=reason)
        return
    program = observations.steps["build"].files.get(f"{observations.output}/perf")
    yield JudgementPart(steps=judge.step_results(observations), program_sha256=program.content if program else "")
    for name, check in registered.registry().items():
        yield JudgementPart(examining=name)  # written first: if the check exceeds a limit, this tells which it was
        yield JudgementPart(check=judge.check_result(check, observations, known))


def _incompleteness(observations: Observations) -> str:
    """Return the reason why observations cannot be judged; empty where they can."""
    lacking = observations.lacking
    if lacking is not None:
        return f"the cell was interrupted: step {lacking.name} was not run"
    return "" if "build" in observations.steps else "the transcript has no step build"


def judged(result: CellResult, made: Sequence[JudgementPart], exceeded: Limit | None = None) -> CellResult:
    """Return a result with the steps, checks and verdict of a judgement.

    Where judging `exceeded` a limit, that is a finding of the check that was being examined; the checks after it are
    skipped. A transcript that cannot be judged, and a cell of which every check was skipped, is an ERROR.
    """
    incomplete = next((part.incomplete for part in made if part.incomplete), "")
    if incomplete:
        return error(result, incomplete)
    checks = [part.check for part in made if part.check is not None]
    if exceeded is not None:
        checks = _with_limit(checks, _examined_last(made), exceeded)
    verdict = judge.cell_verdict(checks)
    return result.model_copy(
        update={
            "steps": next((part.steps for part in made if part.steps is not None), ()),
            "checks": tuple(checks),
            "verdict": verdict,
            "reason": "every check was skipped, which proves nothing" if verdict == Verdict.ERROR else "",
            "program_sha256": next((part.program_sha256 for part in made if part.program_sha256), ""),
        }
    )


def error(result: CellResult, reason: str) -> CellResult:
    """Return a result as an ERROR, without checks: they would look as if they had examined something."""
    return result.model_copy(update={"verdict": Verdict.ERROR, "reason": reason, "checks": ()})


def _examined_last(made: Sequence[JudgementPart]) -> str:
    """Return the check that was being examined when the judgement ended; before the first check that of the build."""
    last = made[-1].examining if made else ""
    return last or WHOLE_BUILD


def _work(exceeded: Limit, check: str) -> str:
    """Return the work in which a limit was exceeded."""
    return exceeded.work or f"judging, in check {check},"


def _with_limit(checks: Sequence[CheckResult], at: str, exceeded: Limit) -> list[CheckResult]:
    """Return a result for each check: those that there are, the one that exceeded the limit, and the others skipped."""
    finding = Finding(
        kind=LIMIT_EXCEEDED,
        subject=exceeded.name,
        expected=f"its facts can be judged within {exceeded.value}, the limit on {exceeded.name}",
        actual=f"{_work(exceeded, at)} was ended there",
    )
    there = {check.check: check for check in checks}
    there[at] = CheckResult(check=at, verdict=Verdict.FAIL, findings=(finding,), examined=1)
    why = f"not examined: check {at} exceeded the limit on {exceeded.name}"
    skipped = {name: CheckResult(check=name, verdict=Verdict.SKIP, reason=why) for name in registered.registry()}
    return [there.get(name, result) for name, result in skipped.items()]
