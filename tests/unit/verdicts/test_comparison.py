from __future__ import annotations

import pytest

from matrix.model.result import RequirementVerdict, Verdict
from tests.unit.conftest import session


def test_times_are_those_of_an_arm_in_the_order_of_the_rounds() -> None:
    found = session(ratio=0.5)
    shuffled = found.model_copy(update={"samples": found.samples[::-1]})
    assert shuffled.times("build", "base")[:2] == pytest.approx((10.0, 10.01))
    assert len(found.times("build", "head")) == 6
    assert found.times("no-op", "base") == ()
    assert len(found.cpu("build", ("base", "again"))) == 12
    assert found.cpu("build", ("head",))[0] == pytest.approx(6.01)


def test_requirements_are_met_where_something_was_measured_and_each_is_passed() -> None:
    passed, failed = RequirementVerdict(Verdict.PASS, "1.01"), RequirementVerdict(Verdict.FAIL, "1.30")
    found = session(ratio=0.5)
    assert found.meets_requirements
    assert found.model_copy(update={"required": {"a": passed}}).meets_requirements
    assert not found.model_copy(update={"required": {"a": passed, "b": failed}}).meets_requirements
    assert not found.model_copy(update={"measured": ()}).meets_requirements


@pytest.mark.parametrize(
    ("required", "meets"),
    [
        ((), True),
        ((Verdict.PASS,), True),
        ((Verdict.PASS, Verdict.FAIL), False),
        ((Verdict.INCONCLUSIVE,), False),
    ],
)
def test_a_run_meets_its_requirements_where_each_is_a_pass(required: tuple[Verdict, ...], *, meets: bool) -> None:
    verdicts = {str(number): RequirementVerdict(verdict, "why") for number, verdict in enumerate(required)}
    assert session(required=verdicts).meets_requirements == meets
    assert not session(required=verdicts, measured=()).meets_requirements
