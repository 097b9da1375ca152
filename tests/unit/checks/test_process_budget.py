from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.checks import registry
from matrix.model.build import Expect
from matrix.model.result import CheckResult, Verdict
from matrix.verdicts import judge
from tests.unit.conftest import Record, build, cell, observations, process

if TYPE_CHECKING:
    from matrix.scenario.observations import Observations

RAN = [process(0, "make"), process(1, "llvm-config", "--libs"), process(2, "llvm-config", "--cflags"), process(3)]


def seen(*ran: Record, ceilings: dict[str, int] | None = None, base: Observations | None = None) -> Observations:
    of = cell(what=build(expect=Expect(processes=ceilings or {})))
    return observations(of, {"build": [process(0, "cc1")], "rebuild": ran}, base=base)


def judged(observed: Observations) -> CheckResult:
    return judge.check_result(registry()["process-budget"], observed, [])


def examined(ceilings: dict[str, int]) -> CheckResult:
    return judged(seen(*RAN, ceilings=ceilings))


def test_counts_at_the_ceiling_pass_and_are_figures() -> None:
    result = examined({"total": 4, "llvm-config": 2})
    assert (result.verdict, result.examined) == (Verdict.PASS, 4)
    assert result.figures == {"total": 4, "llvm-config": 2, "$(shell)": 0, "feature tests": 0}


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
        "the build's file sets no ceiling (expect: processes), and there is no base tree",
    )


def test_what_the_base_tree_ran_is_the_ceiling_where_there_is_one() -> None:
    base = seen(*RAN)
    assert judged(seen(*RAN, base=base)).verdict == Verdict.PASS
    more = judged(seen(*RAN, process(4, "llvm-config", parent=0), base=base))
    assert [finding.key for finding in more.findings] == [
        "more-than-base:rebuild: llvm-config",
        "more-than-base:rebuild: total",
    ]
    assert (more.figures["total"], more.figures["base total"]) == (5, 4)
    assert judged(seen(*RAN[:3], base=base)).verdict == Verdict.PASS


def test_all_that_a_function_of_make_ran_is_counted_with_it() -> None:
    make = process(0, "make", stdouts=["pipe:[1]"])
    function = process(1, "sh", "-c", "echo | sed", parent=0, stdouts=["pipe:[2]"])
    recipe = process(2, "sh", "-c", "true", parent=0, stdouts=["pipe:[1]"])
    ran = [make, function, process(3, "sed", parent=1, stdouts=["pipe:[2]"]), process(4, parent=1), recipe]
    assert judged(seen(*ran, ceilings={"total": 9})).figures["$(shell)"] == 3


def test_a_ceiling_for_a_program_that_never_ran_is_a_finding() -> None:
    assert examined({"total": 4, "cc1": 0}).verdict == Verdict.PASS
    result = examined({"total": 4, "llvm-confg": 2})
    assert [finding.key for finding in result.findings] == ["never-ran:llvm-confg"]
