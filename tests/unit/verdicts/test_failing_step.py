from __future__ import annotations

from matrix.model.result import CheckResult, StepResult, Verdict
from matrix.verdicts.failing_step import failing_step
from tests.unit.results import done


def check(name: str, verdict: Verdict) -> CheckResult:
    return CheckResult(check=name, verdict=verdict)


def test_the_failing_step_is_the_first_that_failed_or_the_one_of_the_check_that_did() -> None:
    steps = tuple(
        StepResult(name=name, command="", verdict=Verdict.PASS)
        for name in ("build", "rebuild", "touch-source", "clean")
    )
    assert failing_step(done()) == "clean"
    failed = steps[0].model_copy(update={"verdict": Verdict.FAIL})
    assert failing_step(done(steps=(failed, *steps[1:]))) == "build"
    assert failing_step(done(steps=steps, checks=(check("process-budget", Verdict.FAIL),))) == "rebuild"
    assert failing_step(done(checks=(check("unheard-of", Verdict.FAIL),))) == ""
    assert failing_step(done(steps=steps, checks=(check("a", Verdict.PASS),))) == ""
