from __future__ import annotations

import pytest

from matrix.model.result import CheckResult, Finding, Verdict
from matrix.verdicts.reproduction import reproduction
from tests.unit.results import done


def check(name: str, verdict: Verdict, *subjects: str) -> CheckResult:
    findings = tuple(Finding(kind="k", subject=subject, expected="", actual="") for subject in subjects)
    return CheckResult(check=name, verdict=verdict, findings=findings)


BASE = (
    check("a", Verdict.PASS),
    check("b", Verdict.FAIL, "x"),
    check("c", Verdict.FAIL, "y"),
    check("d", Verdict.SKIP),
)


@pytest.mark.parametrize(
    ("now", "answer", "reason"),
    [
        (BASE, "reproduced", "2 of 2 checks that found faults have the same verdict and findings"),
        ((*BASE[:3], check("d", Verdict.FAIL, "z")), "reproduced", "2 of 2"),
        (BASE[:2], "partly", "1 of 2"),
        ((check("a", Verdict.FAIL, "n"), *BASE[1:]), "partly", "2 of 2"),
        ((BASE[0], check("b", Verdict.PASS), check("c", Verdict.FAIL, "y", "z")), "not reproduced", "0 of 2"),
    ],
)
def test_the_checks_that_found_faults_decide(now: tuple[CheckResult, ...], answer: str, reason: str) -> None:
    outcome = reproduction(done(checks=BASE), done(checks=now))
    assert (outcome.answer, outcome.compared) == (answer, 3)
    assert outcome.reason.startswith(reason)
    assert bool(outcome.differences) == (answer != "reproduced")


def test_each_difference_is_told() -> None:
    outcome = reproduction(done(checks=BASE), done(checks=(BASE[0], check("b", Verdict.FAIL, "z"))))
    assert [one.model_dump() for one in outcome.differences] == [
        {"check": "b", "then": "FAIL", "now": "FAIL", "gone": ("k:x",), "new": ("k:z",)},
        {"check": "c", "then": "FAIL", "now": "not run", "gone": ("k:y",), "new": ()},
    ]


def test_where_all_passed_all_must_pass_again() -> None:
    then = done(checks=BASE[:1], verdict=Verdict.PASS)
    assert reproduction(then, then).reason == "1 of 1 checks have the same verdict and findings"
    worse = done(checks=(check("a", Verdict.FAIL, "x"),))
    assert reproduction(then, worse).answer == "not reproduced"


def test_where_no_check_said_anything_the_verdict_and_its_reason_decide() -> None:
    skipped = done(checks=(), verdict=Verdict.SKIP, reason="no pool")
    same = reproduction(skipped, skipped)
    assert (same.answer, same.reason) == ("reproduced", "every check of the first result was skipped: SKIP no pool")
    assert reproduction(skipped, done()).answer == "not reproduced"


def test_an_error_of_a_machine_decides_nothing() -> None:
    broken = done(verdict=Verdict.ERROR, reason="disk full")
    assert reproduction(broken, done()).reason == "the first result is an ERROR of its machine: disk full"
    later = reproduction(done(), broken)
    assert (later.answer, later.reason) == ("undecided", "the second result is an ERROR of its machine: disk full")
