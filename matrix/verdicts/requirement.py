"""Requirements on times: the forms in which they are written, and the verdict on each by a comparison. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.errors import UsageError, did_you_mean
from matrix.model.base import Frozen
from matrix.model.result import RequirementVerdict, Verdict
from matrix.verdicts.comparison import MEASURES, MOST_PAIRS, Comparison, Difference, pairs_to_decide
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Collection

_NUMBER = r"\d+(?:\.\d+)?"
_FORM = re.compile(
    rf"(?P<measure>.+?)(?: at least (?P<faster>{_NUMBER}) ?% faster| no slower than (?P<slower>{_NUMBER}) ?%"
    rf"| ?<= ?(?P<ratio>{_NUMBER}))"
)
_FORMS = "Write 'build at least 5 % faster', 'no-op no slower than 2 %' or 'build <= 0.95'."


class Requirement(Frozen):
    """A requirement on a measure: the ratio of the head's time to the base's must not exceed `at_most`."""

    measure: str
    at_most: float = Field(gt=0)


def parse(text: str, known: Collection[str] = MEASURES) -> Requirement:
    """Return the requirement that `text` states of one of the `known` measures.

    `build at least 5 % faster` is a ratio of at most 0.95, `no-op no slower than 2 %` of 1.02, `build <= 0.9` of 0.9.

    Raises:
        UsageError: the text has none of these forms, names no known measure, or bounds the ratio by 0 or less.

    """
    form = _FORM.fullmatch(" ".join(text.split()))  # a profile may fold a long line
    if not form:
        raise UsageError(f"{text!r} is no requirement", _FORMS)
    measure = form["measure"]
    if measure not in known:
        raise UsageError(f"{text!r}: nothing measures {measure!r}{did_you_mean(measure, known)}")
    at_most = _bound(form)
    if not 0 < at_most < math.inf:  # `at least 100 % faster`, say, or a number of 400 digits
        raise UsageError(f"{text!r}: the ratio of times must be above 0", _FORMS)
    return Requirement(measure=measure, at_most=at_most)


def _bound(form: re.Match[str]) -> float:
    """Return the greatest ratio of head to base that a text of one of the forms allows."""
    if form["faster"]:
        return (100 - float(form["faster"])) / 100
    if form["slower"]:
        return (100 + float(form["slower"])) / 100
    return float(form["ratio"])


def verdict_on(requirement: Requirement, comparison: Comparison) -> RequirementVerdict:
    """Return whether a requirement is met: PASS, FAIL or INCONCLUSIVE, and a sentence with the figures.

    The whole interval must be on one side of the bound. A bound below 1 is passed, and one of 1 or more is failed, only
    where the comparison itself claims that the head is faster, or slower.

    Raises:
        ValueError: the comparison is of another measure.

    """
    if comparison.measure != requirement.measure:
        raise ValueError(f"a comparison of {comparison.measure} decides no requirement on {requirement.measure}")
    bound = requirement.at_most
    took = f"{comparison.measure} took {comparison.ratio:.4f} of the base's time"
    if comparison.interval is None:
        why = f"{count(comparison.pairs, 'pair')} did not suffice for an interval"
        return _inconclusive(requirement, comparison, f"{took}, but {why}")
    low, high = comparison.interval
    took += f" (95 % interval {low:.4f} to {high:.4f}, {comparison.pairs} pairs)"
    if high <= bound and _may_pass(bound, comparison):
        return RequirementVerdict(Verdict.PASS, f"{took}, at most {bound:g} as required")
    if low > bound and _may_fail(bound, comparison):
        return RequirementVerdict(Verdict.FAIL, f"{took}, more than the required {bound:g}")
    why = _why_neither(low, high, bound, comparison)
    return _inconclusive(requirement, comparison, f"{took}, but {why}")


def _may_pass(bound: float, comparison: Comparison) -> bool:
    """Return whether an interval below the bound meets the requirement: a demand for less time needs a claimed gain."""
    return bound >= 1 or comparison.answer == Difference.FASTER


def _may_fail(bound: float, comparison: Comparison) -> bool:
    """Return whether an interval above the bound fails the requirement: a demand for no loss needs a claimed loss."""
    return bound < 1 or comparison.answer == Difference.SLOWER


def _why_neither(low: float, high: float, bound: float, comparison: Comparison) -> str:
    """Return the reason why an interval neither passes nor fails: the bound is inside, or no difference is claimed."""
    if low <= bound < high:
        return f"that does not decide whether it is at most {bound:g}"
    return f"no difference can be claimed (A/A floor {comparison.floor:.4f}, p {comparison.p_value:.3f})"


def _inconclusive(requirement: Requirement, comparison: Comparison, why: str) -> RequirementVerdict:
    """Return the verdict that the comparison decides nothing, with the number of pairs that would."""
    effect = math.log(comparison.ratio) - math.log(requirement.at_most)
    pairs = pairs_to_decide(effect, comparison.spread, more_than=comparison.pairs)
    needed = f"about {pairs} pairs" if pairs else f"not even {MOST_PAIRS} pairs"
    return RequirementVerdict(Verdict.INCONCLUSIVE, f"{why}; {needed} would decide")
