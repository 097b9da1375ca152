"""Reproductions: whether a cell that was done again gave the first result again, check by check. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from matrix.model.base import Frozen
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.model.result import CellResult, CheckResult

FAULTY = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.XFAIL)
"""The verdicts of a check that did not find everything right, known failures included."""


class CheckDifference(Frozen):
    """The difference of a check between two results: its verdicts, and the keys of findings that one of them has."""

    check: str
    then: str
    now: str
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


class Reproduction(Frozen):
    """The comparison of a result with its reproduction; `compared` counts the checks that the first had not skipped."""

    answer: Literal["reproduced", "partly", "not reproduced", "undecided"]
    reason: str
    compared: int
    differences: tuple[CheckDifference, ...] = ()


def reproduction(then: CellResult, now: CellResult) -> Reproduction:
    """Return whether each check of the first result has the same verdict and finding keys in the second.

    Where the first result has faults, the checks that found them decide: passing checks that pass again reproduce no
    failure.
    """
    reason = _why_undecided(then, now)
    if reason:
        return Reproduction(answer="undecided", reason=reason, compared=0)
    if not then.applied_checks:
        return _without_checks(then, now)
    return _by_checks(then.applied_checks, now)


def _why_undecided(then: CellResult, now: CellResult) -> str:
    """Return a sentence on the first of two results that is an ERROR, with its reason; empty where none is."""
    for ordinal, result in (("first", then), ("second", now)):
        if result.verdict == Verdict.ERROR:  # of the infrastructure, so it says nothing on the tree
            return f"the {ordinal} result is an ERROR of its machine: {result.reason}"
    return ""


def _without_checks(then: CellResult, now: CellResult) -> Reproduction:
    """Return the comparison with a first result whose checks were all skipped: its verdict and reason decide."""
    reason = f"every check of the first result was skipped: {then.verdict} {then.reason}".rstrip()
    is_alike = (then.verdict, then.reason) == (now.verdict, now.reason)
    return Reproduction(answer="reproduced" if is_alike else "not reproduced", reason=reason, compared=0)


def _by_checks(checks: Sequence[CheckResult], now: CellResult) -> Reproduction:
    differences = _differences(checks, now)
    faulty = _faulty(checks)
    deciding = faulty or checks  # checks that passed pass on any healthy tree, and would hide that a failure is gone
    alike = len(deciding) - len(_differences(deciding, now))
    kind = "checks that found faults" if faulty else "checks"
    reason = f"{alike} of {len(deciding)} {kind} have the same verdict and findings"
    answer = _answer(differences, alike)
    return Reproduction(answer=answer, reason=reason, compared=len(checks), differences=differences)


def _faulty(checks: Iterable[CheckResult]) -> list[CheckResult]:
    return [check for check in checks if check.verdict in FAULTY]


def _answer(differences: Sequence[CheckDifference], alike: int) -> Literal["reproduced", "partly", "not reproduced"]:
    if not differences:
        return "reproduced"
    return "partly" if alike else "not reproduced"


def _differences(checks: Iterable[CheckResult], now: CellResult) -> tuple[CheckDifference, ...]:
    """Return the differences of those checks that have another verdict or other findings in the second result."""
    differences = [_difference(check, now.check(check.check)) for check in checks]
    return tuple(difference for difference in differences if difference)


def _difference(then: CheckResult, now: CheckResult | None) -> CheckDifference | None:
    """Return the difference of a check between two results; None where its verdict and findings are the same."""
    before = then.finding_keys
    after = now.finding_keys if now else frozenset[str]()
    verdict = now.verdict if now else "not run"
    if (verdict, after) == (then.verdict, before):
        return None
    return CheckDifference(
        check=then.check,
        then=then.verdict,
        now=verdict,
        gone=tuple(sorted(before - after)),
        new=tuple(sorted(after - before)),
    )
