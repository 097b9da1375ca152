"""The step at which a cell failed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import registry
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.checks import Check
    from matrix.model.result import CellResult


def failing_step(result: CellResult) -> str:
    """Return the name of the step at which a cell failed; empty where it did not.

    The first step that failed itself goes before the first that a failed check owns, and that before the last that a
    failed check needs.
    """
    failed = [step.name for step in result.steps if step.verdict == Verdict.FAIL]
    if failed:
        return failed[0]
    return _step_of_failed_check(result)


def _step_of_failed_check(result: CellResult) -> str:
    # A check's own step is where it looked; of the steps that it needs the last one had all that it looked at.
    checks = _failed_checks(result)
    ran = [step.name for step in result.steps if step.verdict != Verdict.SKIP]
    return _first_owned(ran, checks) or _last_needed(ran, checks)


def _first_owned(steps: Iterable[str], checks: Iterable[Check]) -> str:
    owned = set[str]().union(*(check.owns for check in checks))
    return _first_in(steps, owned)


def _last_needed(steps: Sequence[str], checks: Iterable[Check]) -> str:
    needed = set[str]().union(*(check.needs for check in checks))
    return _first_in(reversed(steps), needed)


def _failed_checks(result: CellResult) -> list[Check]:
    """Return the failed checks of a cell that this version has."""
    checks = registry()
    names = [check.check for check in result.checks if check.verdict == Verdict.FAIL]
    return [checks[name] for name in names if name in checks]


def _first_in(names: Iterable[str], wanted: set[str]) -> str:
    """Return the first of the names that is wanted; empty where none is."""
    return next((name for name in names if name in wanted), "")
