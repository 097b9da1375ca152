"""What a key has in it, which results may be reused, and what two results of one key are compared for."""

from __future__ import annotations

from typing import Any

import pytest

from matrix.model.cell import Limits
from matrix.model.known_failure import KnownFailure
from matrix.model.result import DIFFERS_FROM_EARLIER, CheckResult, Finding, Predecessor, StepResult, Verdict
from matrix.scenario import plan
from matrix.verdicts import result_key
from tests.unit import conftest as make
from tests.unit.results import done

CELL = make.cell()
HOST = {**dict.fromkeys(result_key.HOST_FACTS, "1"), "url": "unix:///a"}
KNOWN = KnownFailure(
    trees=("7.3",), cells=(CELL.id,), check="noop", findings=("ran:*",), why="upstream", evidence="docs"
)
ELSEWHERE = KNOWN.model_copy(update={"cells": ("another-image/gcc/*",)})
PASSED = (StepResult(name="build", command="make", verdict=Verdict.PASS, processes=3),)
UNTRACED = (StepResult(name="build", command="make", verdict=Verdict.PASS),)


def transcript_key(program: str = "p", image: str = "i", tree: str = "t", **more: Any) -> str:
    scenario = plan.scenario(more.pop("cell", CELL), more.pop("jobs", 2), more.pop("limits", None))
    return result_key.transcript_key(program, scenario, image, tree, {**HOST, **more})


@pytest.mark.parametrize(
    "other",
    [
        {"program": "q"},
        {"image": "j"},
        {"tree": "u"},
        {"jobs": 3},
        *({name: "2"} for name in result_key.HOST_FACTS),
        {"limits": Limits(pids=99)},
        {"cell": make.cell(what=make.build(make={"NO_LIBELF": "1"}))},
        {"cell": make.cell(what=make.build(environment={"LANG": "de"}))},
    ],
)
def test_the_key_of_a_transcript_changes_with_all_that_it_depends_on(other: dict[str, Any]) -> None:
    assert transcript_key(**other) != transcript_key()


def test_the_key_of_a_transcript_is_the_same_for_another_name_and_another_socket() -> None:
    renamed = make.cell(on=make.tree(f"{CELL.tree.name}-again", source="dir:/elsewhere"))
    assert transcript_key(cell=renamed, url="unix:///b") == transcript_key()


def test_the_key_of_a_result_has_what_judges_it() -> None:
    usual = result_key.result_key("t", CELL, [KNOWN])
    assert usual == result_key.result_key("t", CELL, [KNOWN, ELSEWHERE])
    others = [
        result_key.result_key("u", CELL, [KNOWN]),
        result_key.result_key("t", CELL, []),
        result_key.result_key("t", CELL, [KNOWN], "base"),
        result_key.result_key("t", make.cell(on=make.tree("another")), [KNOWN]),
    ]
    assert len({usual, *others}) == 5


def test_one_key_in_twenty_is_built_again() -> None:
    keys = [result_key.result_key(str(number), CELL, []) for number in range(2000)]
    assert 60 <= sum(map(result_key.is_sampled, keys)) <= 140
    assert result_key.is_sampled("00000014" + "f" * 56)
    assert not result_key.is_sampled("00000015" + "0" * 56)


@pytest.mark.parametrize(
    ("more", "may"),
    [
        ({}, True),
        ({"verdict": Verdict.FAIL}, True),
        ({"transcript_key": ""}, False),
        ({"verdict": Verdict.ERROR}, False),
        ({"verdict": Verdict.SKIP, "steps": ()}, False),
        ({"steps": ()}, False),
        ({"steps": UNTRACED}, False),
        ({"steps": (*PASSED, StepResult(name="clean", command="make", verdict=Verdict.FAIL))}, False),
        ({"gone_on": Predecessor(tree="base", touched=())}, False),
    ],
)
def test_only_a_whole_build_from_scratch_of_a_known_key_is_reused(more: dict[str, Any], *, may: bool) -> None:
    result = done(verdict=Verdict.PASS).model_copy(update={"transcript_key": "k", "steps": PASSED, **more})
    assert result_key.may_be_reused(result) is may


def finding(subject: str) -> Finding:
    return Finding(kind="ran", subject=subject, expected="nothing", actual="cc")


def with_checks(*findings: Finding, program: str = "1", **more: Any) -> Any:
    verdict = Verdict.FAIL if findings else Verdict.PASS
    checks = (
        CheckResult(check="noop", verdict=verdict, findings=findings, examined=1),
        CheckResult(check="reproducible", verdict=Verdict.PASS, examined=1),
    )
    return done(verdict=verdict, checks=checks, program_sha256=program, key="k", transcript_key="t", **more)


def test_results_that_agree_are_left_as_they_are() -> None:
    result = with_checks(finding("a.o"), run="r2")
    agreed = result_key.compared(result, with_checks(finding("a.o")))
    assert agreed == result.model_copy(update={"compared_with": "r1"})
    assert not list(result_key.differences(result))


def test_a_known_failure_that_comes_and_goes_is_no_difference() -> None:
    known = finding("b.so").model_copy(update={"known": "it comes and goes"})
    assert not list(result_key.differences(result_key.compared(with_checks(run="r2"), with_checks(known))))


def test_a_check_that_was_skipped_for_a_failed_step_is_not_compared() -> None:
    skipped = (CheckResult(check="noop", verdict=Verdict.SKIP),)
    result = with_checks(run="r2").model_copy(update={"checks": skipped})
    assert not list(result_key.differences(result_key.compared(result, with_checks(finding("a.o")))))


def test_a_program_that_is_known_to_differ_each_time_is_no_difference() -> None:
    differing = tuple(
        check.model_copy(update={"verdict": Verdict.XFAIL}) if check.check == "reproducible" else check
        for check in with_checks().checks
    )
    for result, earlier in (
        (with_checks(), with_checks(program="2").model_copy(update={"checks": differing})),
        (with_checks().model_copy(update={"checks": differing}), with_checks(program="2")),
        (with_checks().model_copy(update={"checks": ()}), with_checks(program="2")),
    ):
        assert not list(result_key.differences(result_key.compared(result, earlier)))


def test_a_difference_stays_when_the_cell_is_judged_again() -> None:
    result = result_key.compared(with_checks(run="r2"), with_checks(finding("a.o")))
    again = result_key.with_differences_of(with_checks(run="r2"), result)
    assert (again.verdict, list(result_key.differences(again))) == (
        Verdict.FAIL, list(result_key.differences(result)),
    )  # fmt: skip
    plain = with_checks(run="r2")
    assert result_key.with_differences_of(plain, plain) == plain
    without = plain.model_copy(update={"checks": ()})
    assert result_key.with_differences_of(plain, without) == plain


def test_another_finding_than_earlier_is_a_finding_of_its_check() -> None:
    result = result_key.compared(with_checks(run="r2"), with_checks(finding("a.o")))
    [found] = result_key.differences(result)
    noop = result.check("noop")
    assert noop is not None
    assert (result.verdict, noop.verdict, found.key) == (Verdict.FAIL, Verdict.FAIL, f"{DIFFERS_FROM_EARLIER}:noop")
    assert found.expected.endswith("ran:a.o")
    assert found.actual == "in run r2: no finding"


def test_a_check_that_the_earlier_result_had_not_differs_by_its_findings() -> None:
    earlier = with_checks().model_copy(update={"checks": ()})
    assert len(list(result_key.differences(result_key.compared(with_checks(finding("a.o")), earlier)))) == 1
    assert not list(result_key.differences(result_key.compared(with_checks(), earlier)))


def test_checks_are_not_compared_where_other_known_failures_judged_them() -> None:
    earlier = with_checks(finding("a.o")).model_copy(update={"key": "another"})
    assert not list(result_key.differences(result_key.compared(with_checks(), earlier)))


def test_another_program_than_earlier_is_a_finding_whatever_judged_it() -> None:
    earlier = with_checks(program="2").model_copy(update={"key": "another"})
    result = result_key.compared(with_checks(), earlier)
    [found] = result_key.differences(result)
    assert (found.subject, found.actual, result.verdict) == ("perf", "1", Verdict.FAIL)
