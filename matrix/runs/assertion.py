"""The outcome of a pytest item by a check's verdict on a cell: passed, skipped, xfailed or failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix import untrusted
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from matrix.model.result import CellResult, CheckResult


def assert_check(result: CellResult, name: str) -> None:
    """End a pytest item by the verdict of the check `name`: return on PASS, else raise pytest's skip, xfail or fail."""
    check = next((check for check in result.checks if check.check == name), None)
    if check is None:
        _end_without_check(result)
        return
    match check.verdict:
        case Verdict.PASS:
            return
        case Verdict.SKIP:
            pytest.skip(untrusted.one_line(check.reason))
        case Verdict.XFAIL:
            pytest.xfail(untrusted.one_line("; ".join(sorted({finding.known for finding in check.findings}))))
        case _:
            # No traceback: it would show this function, and the findings are in the message.
            pytest.fail(_message(result, check), pytrace=False)


def _end_without_check(result: CellResult) -> None:
    """Skip an item whose cell was skipped as a whole; fail one whose cell was not judged, as an ERROR."""
    reason = untrusted.message(result.reason)
    if result.verdict == Verdict.SKIP:
        pytest.skip(reason)
    pytest.fail(f"ERROR (the infrastructure's, not perf's): {reason}", pytrace=False)


def _message(result: CellResult, check: CheckResult) -> str:
    new = [finding for finding in check.findings if not finding.known]
    lines = [f"  {finding.key}: expected {finding.expected}, actual {finding.actual}" for finding in new]
    headline = untrusted.message(f"{check.verdict} {check.reason}".strip())
    return "\n".join(
        [headline, *map(untrusted.one_line, lines), f"to reproduce: {untrusted.one_line(result.reproduce)}"]
    )
