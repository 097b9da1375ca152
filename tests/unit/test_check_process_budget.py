from __future__ import annotations

import pytest

from matrix import judge
from matrix.checks import registry
from matrix.model import Expect
from matrix.result import CheckResult, Verdict
from tests.unit.conftest import build, cell, command, observations, process

RAN = [process(0, "make"), process(1, "llvm-config", "--libs"), process(2, "llvm-config", "--cflags"), process(3)]


def examined(ceilings: dict[str, int], *, traced: bool = True) -> CheckResult:
    of = cell(what=build(expect=Expect(processes=ceilings)))
    seen = observations(of, {"build": [process(0, "cc1")], "rebuild": [*RAN, command(traced=traced)]})
    return judge.one(registry()["process-budget"], seen, [])


def test_counts_at_the_ceiling_pass_and_are_figures() -> None:
    result = examined({"total": 4, "llvm-config": 2})
    assert (result.verdict, result.examined) == (Verdict.PASS, 4)
    assert result.figures == {"total": 4, "llvm-config": 2}


@pytest.mark.parametrize(
    ("ceilings", "key"), [({"total": 3}, "rebuild: total"), ({"total": 9, "llvm-config": 1}, "rebuild: llvm-config")]
)
def test_counts_above_a_ceiling_are_findings(ceilings: dict[str, int], key: str) -> None:
    result = examined(ceilings)
    assert result.verdict == Verdict.FAIL
    assert [finding.key for finding in result.findings] == [f"over-budget:{key}"]


def test_a_build_without_a_ceiling_is_skipped_with_the_reason() -> None:
    result = examined({})
    assert (result.verdict, result.reason) == (
        Verdict.SKIP,
        "the build's file sets no ceiling (expect: processes)",
    )


def test_what_was_not_traced_is_not_judged() -> None:
    assert examined({"total": 1}, traced=False).verdict == Verdict.SKIP


def test_a_ceiling_for_a_program_that_never_ran_is_a_finding() -> None:
    assert examined({"total": 4, "cc1": 0}).verdict == Verdict.PASS
    result = examined({"total": 4, "llvm-confg": 2})
    assert [finding.key for finding in result.findings] == ["never-ran:llvm-confg"]
