from __future__ import annotations

import pytest

from matrix.errors import UsageError
from matrix.model.result import Verdict
from matrix.verdicts import requirement
from matrix.verdicts.comparison import Comparison, Difference
from matrix.verdicts.requirement import Requirement
from tests.unit.verdicts.test_paired_ratios import comparison


@pytest.mark.parametrize(
    ("text", "measure", "at_most"),
    [
        ("build at least 5 % faster", "build", 0.95),
        ("build at least 7% faster", "build", 0.93),
        ("no-op no slower than 2 %", "no-op", 1.02),
        ("no-op no slower than 0.5%", "no-op", 1.005),
        ("build <= 0.95", "build", 0.95),
        ("no-op<=1", "no-op", 1.0),
        ("  touch  header   <=  1.5 ", "touch header", 1.5),
        ("build at least 0 % faster", "build", 1.0),
    ],
)
def test_a_requirement_bounds_the_ratio(text: str, measure: str, at_most: float) -> None:
    known = ("build", "no-op", "touch header")
    assert requirement.parse(text, known) == Requirement(measure=measure, at_most=at_most)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("build faster", "'build faster' is no requirement\n  Write 'build at least"),
        ("build at least 5 % slower", "is no requirement"),
        ("at least 5 % faster", "is no requirement"),
        ("build <= -1", "is no requirement"),
        ("", "is no requirement"),
        ("biuld <= 0.95", "nothing measures 'biuld'; did you mean 'build'?"),
        ("zzz <= 0.95", "nothing measures 'zzz'; there is build, no-op"),
        ("build at least 100 % faster", "the ratio of times must be above 0"),
        ("build <= 0", "the ratio of times must be above 0"),
    ],
)
def test_a_requirement_that_cannot_be_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        requirement.parse(text, ("no-op", "build"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("at_most", "found", "verdict", "says"),
    [
        (0.95, comparison(0.90, 0.95, Difference.FASTER), Verdict.PASS, "0.9247 of the base's time"),
        (
            0.95,
            comparison(0.90, 0.96, Difference.FASTER),
            Verdict.INCONCLUSIVE,
            "whether it is at most 0.95; about 21 pairs",
        ),
        (
            0.95,
            comparison(0.90, 0.94),
            Verdict.INCONCLUSIVE,
            "no difference can be claimed (A/A floor 1.0100, p 0.200)",
        ),
        (0.95, comparison(0.951, 1.01), Verdict.FAIL, "(95 % interval 0.9510 to 1.0100, 20 pairs), more than the"),
        (0.95, comparison(0.95, 1.01), Verdict.INCONCLUSIVE, "does not decide"),
        (1.02, comparison(0.99, 1.02), Verdict.PASS, "at most 1.02 as required"),
        (1.02, comparison(0.99, 1.021), Verdict.INCONCLUSIVE, "does not decide whether it is at most 1.02"),
        (1.02, comparison(1.03, 1.05, Difference.SLOWER), Verdict.FAIL, "more than the required 1.02"),
        (1.02, comparison(1.03, 1.05), Verdict.INCONCLUSIVE, "no difference can be claimed"),
        (1.0, comparison(0.98, 1.02, spread=0.5, ratio=1.0001), Verdict.INCONCLUSIVE, "not even 1000 pairs would"),
        (1.02, comparison(None, None, pairs=5), Verdict.INCONCLUSIVE, "5 pairs did not suffice for an interval; about"),
        (1.02, comparison(None, None, pairs=1), Verdict.INCONCLUSIVE, "1 pair did not suffice for an interval; about"),
        (2.0, comparison(None, None, pairs=5), Verdict.INCONCLUSIVE, "about 6 pairs would decide"),
    ],
)
def test_a_requirement_is_met_where_the_interval_says_so(
    at_most: float, found: Comparison, verdict: Verdict, says: str
) -> None:
    came_to, reason = requirement.verdict_on(Requirement(measure="build", at_most=at_most), found)
    assert came_to == verdict, reason
    assert says in reason


def test_a_requirement_is_judged_by_its_own_measure() -> None:
    with pytest.raises(ValueError, match="a comparison of build decides no requirement on no-op"):
        requirement.verdict_on(Requirement(measure="no-op", at_most=1), comparison(0.9, 0.95))
