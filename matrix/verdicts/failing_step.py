"""The step at which a cell failed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import registry
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.model.result import CellResult


def failing_step(result: CellResult) -> str:
    """Return the name of the step at which a cell failed; empty where it did not.

    The first step that failed itself goes before the first that a failed check owns, and that before the last that a
    failed check needs.
    """
    for step in result.steps:
        if step.verdict == Verdict.FAIL:
            return step.name
    checks = registry()
    names = [check.check for check in result.checks if check.verdict == Verdict.FAIL]
    failed = [checks[name] for name in names if name in checks]
    owned = {step for check in failed for step in check.owns}
    needed = {step for check in failed for step in check.needs}
    ran = [step.name for step in result.steps if step.verdict != Verdict.SKIP]
    return _first_in(ran, owned) or _first_in(reversed(ran), needed)


def _first_in(names: Iterable[str], wanted: set[str]) -> str:
    return next((name for name in names if name in wanted), "")
