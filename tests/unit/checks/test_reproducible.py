from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from matrix.checks import registry
from matrix.checks.reproducible import first_difference
from matrix.model.result import Verdict
from matrix.verdicts import judge
from tests.unit.conftest import EPOCH, PERF, Record, cell, command, file, image, observations, process

if TYPE_CHECKING:
    from matrix.model.result import CheckResult

SUB = file(f"{PERF}/sub", kind="directory")
ONE = [process(0, "ld", "-o", "perf"), file(f"{PERF}/perf", "1"), SUB]


def examined(one: list[Record], two: list[Record], **more: Any) -> CheckResult:
    seen = observations(steps={"build": one, "build-again": two}, **more)
    return judge.check_result(registry()["reproducible"], seen, [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_two_builds_with_the_same_bytes_pass_whatever_their_times_and_modes() -> None:
    result = examined(ONE, [file(f"{PERF}/perf", "1", at=1.0, mode=0o775, ino=9), SUB])
    assert (result.verdict, result.examined) == (Verdict.PASS, 1)
    assert result.figures["compared"] == 1


def test_the_first_artefact_in_build_order_that_differs_comes_first() -> None:
    one = [file("/src/b", "1", at=EPOCH), file("/src/a", "1", at=EPOCH + 5), file("/src/c", "1")]
    two = [file("/src/b", "2"), file("/src/a", "2"), file("/src/c", "1")]
    result = examined(one, two)
    assert keys(result) == ["first-difference:/src/b", "differs:/src/a"]
    assert result.findings[0].where == "logs/diffoscope.txt"
    assert first_difference(observations(steps={"build": one, "build-again": two})) == "/src/b"
    assert first_difference(observations(steps={"build": one, "build-again": one})) is None


def test_a_difference_is_shown_with_the_command_that_made_the_file_and_how_it_differs() -> None:
    result = examined(ONE, [file(f"{PERF}/perf", "2"), SUB], differences=("--- first", "+++ second"))
    assert result.findings[0].evidence == "made by: ld -o perf\n--- first\n+++ second"


def test_a_file_that_became_a_link_differs() -> None:
    two = [file(f"{PERF}/perf", "1", kind="symlink"), SUB]
    assert keys(examined(ONE, two)) == [f"first-difference:{PERF}/perf"]


def test_a_file_that_only_one_build_left_is_a_finding() -> None:
    result = examined([*ONE, file("/src/x.o")], [file(f"{PERF}/perf", "1"), file("/src/y.o")])
    assert keys(result) == [f"only-once:{PERF}/sub", "only-once:/src/x.o", "only-once:/src/y.o"]
    assert [finding.actual for finding in result.findings][1:] == [
        "left by the first alone",
        "left by the second alone",
    ]


@pytest.mark.parametrize("name", ["a.log", "a.d", ".a.o.cmd", "FEATURE-DUMP", "FEATURE-DUMP.libbpf", ".fixdep-x"])
def test_logs_and_dependency_files_that_differ_are_counted_alone(name: str) -> None:
    path = f"{PERF}/{name}"
    result = examined([*ONE, file(path, "1")], [*ONE, file(path, "2")])
    assert result.verdict is Verdict.PASS
    assert result.figures["logs and dependency files that differ"] == 1
    assert examined([*ONE, file(path)], ONE).verdict is Verdict.PASS


def test_builds_that_left_nothing_prove_nothing() -> None:
    assert examined([], []).verdict is Verdict.FAIL


def test_a_second_build_that_fails_is_a_finding() -> None:
    assert keys(examined(ONE, [command(exit_status=2)])) == ["step-failed:build-again"]


def test_without_a_first_build_the_check_is_skipped() -> None:
    assert examined([command(exit_status=2)], ONE).verdict is Verdict.SKIP


FAKED = cell(of=image(packages=("gcc", "faketime")))


def clocks(first: str | None, second: str | None) -> CheckResult:
    steps = {
        name: [command(), *([command("clock", "date", "+%s", output=clock)] if clock is not None else []), PROGRAM]
        for name, clock in (("build", first), ("build-again", second))
    }
    seen = observations(FAKED, steps)
    return judge.check_result(registry()["reproducible"], seen, [])


PROGRAM = file(f"{PERF}/perf", "1")


def test_where_libfaketime_is_to_move_the_clock_it_is_seen_to_have_moved() -> None:
    assert clocks("1800000000\n", "1834560000\n").verdict == Verdict.PASS


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1800000000\n", "1800000100\n"),
        (None, "1834560000\n"),
        ("1800000000\n", None),
        ("1", "x"),
        ("1", ""),
        ("1", "9" * 5000),
    ],
)
def test_a_clock_that_was_not_moved_or_not_seen_is_a_finding(first: str | None, second: str | None) -> None:
    result = clocks(first, second)
    assert (result.verdict, keys(result)) == (Verdict.FAIL, ["same-clock:build-again"])


def test_a_plan_that_reads_no_clock_is_not_judged_by_it() -> None:
    seen = observations(FAKED, {"build": [PROGRAM], "build-again": [PROGRAM]})
    again = seen.steps["build-again"]
    older = replace(again, step=again.step.model_copy(update={"commands": again.step.commands[:1]}))
    seen = replace(seen, steps={**seen.steps, "build-again": older})
    assert judge.check_result(registry()["reproducible"], seen, []).verdict == Verdict.PASS
