"""What a comparison must come to: reads such a requirement, and says whether it is met. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.errors import UsageError, did_you_mean
from matrix.model.base import Frozen
from matrix.model.result import Verdict
from matrix.verdicts.comparison import MEASURES, MOST_PAIRS, Comparison, Difference, pairs_to_decide

if TYPE_CHECKING:
    from collections.abc import Collection

_NUMBER = r"\d+(?:\.\d+)?"
_FORM = re.compile(
    rf"(?P<measure>.+?)(?: at least (?P<faster>{_NUMBER}) ?% faster| no slower than (?P<slower>{_NUMBER}) ?%"
    rf"| ?<= ?(?P<ratio>{_NUMBER}))"
)
_FORMS = "Write 'build at least 5 % faster', 'no-op no slower than 2 %' or 'build <= 0.95'."


class Requirement(Frozen):
    """What a measure must come to: the ratio of head to base is `at_most` this."""

    measure: str
    at_most: float = Field(gt=0)


def parse(text: str, known: Collection[str] = MEASURES) -> Requirement:
    """Return the requirement that `text` states of one of the `known` measures.

    `build at least 5 % faster` is a ratio of at most 0.95, `no-op no slower than 2 %` of 1.02, `build <= 0.9` of 0.9.

    Raises:
        UsageError: it is in none of these forms, of no known measure, or cannot be met by any time.

    """
    found = _FORM.fullmatch(" ".join(text.split()))
    if not found:
        raise UsageError(f"{text!r} is no requirement", _FORMS)
    if found["measure"] not in known:
        raise UsageError(f"{text!r}: nothing measures {found['measure']!r}{did_you_mean(found['measure'], known)}")
    if found["faster"]:
        at_most = (100 - float(found["faster"])) / 100
    elif found["slower"]:
        at_most = (100 + float(found["slower"])) / 100
    else:
        at_most = float(found["ratio"])
    if at_most <= 0:
        raise UsageError(f"{text!r}: no build takes no time at all", _FORMS)
    return Requirement(measure=found["measure"], at_most=at_most)


def judge(requirement: Requirement, found: Comparison) -> tuple[Verdict, str]:
    """Return whether a requirement is met, and a sentence with the figures.

    The whole interval must be on one side of the bound, and a verdict that says faster or slower than the base needs
    that difference to be one that is claimed.

    Raises:
        ValueError: the comparison is of another measure.

    """
    if found.measure != requirement.measure:
        raise ValueError(f"{found.measure} cannot decide what {requirement.measure} must come to")
    bound, took = requirement.at_most, f"{found.measure} took {found.ratio:.4f} of the base's time"
    if found.low is None or found.high is None:
        why = f"{found.pairs} pairs are too few for an interval"
        return Verdict.INCONCLUSIVE, f"{took}, but {why}; {_wanting(requirement, found)}"
    took += f" (95 % interval {found.low:.4f} to {found.high:.4f}, {found.pairs} pairs)"
    if found.high <= bound and (bound >= 1 or found.answer == Difference.FASTER):
        return Verdict.PASS, f"{took}, at most {bound:g} as required"
    if found.low > bound and (bound < 1 or found.answer == Difference.SLOWER):
        return Verdict.FAIL, f"{took}, more than the required {bound:g}"
    why = f"that does not decide whether it is at most {bound:g}"
    if not found.low <= bound < found.high:
        why = f"no difference can be claimed (A/A floor {found.floor:.4f}, p {found.p_value:.3f})"
    return Verdict.INCONCLUSIVE, f"{took}, but {why}; {_wanting(requirement, found)}"


def _wanting(requirement: Requirement, found: Comparison) -> str:
    effect = math.log(found.ratio) - math.log(requirement.at_most)
    pairs = pairs_to_decide(effect, found.spread, more_than=found.pairs)
    return f"about {pairs} pairs would decide" if pairs else f"not even {MOST_PAIRS} pairs would decide"
