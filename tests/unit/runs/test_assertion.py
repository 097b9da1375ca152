from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import CheckResult, Finding, Verdict
from matrix.runs.assertion import assert_check
from tests.unit.results import done

if TYPE_CHECKING:
    from matrix.model.result import CellResult

NEW = Finding(kind="left", subject="/src/\x1b[2Ja.o", expected="gone", actual="there")
KNOWN = Finding(kind="left", subject="/src/b.o", expected="gone", actual="there", known="issue 1")


def result(verdict: Verdict, *findings: Finding, **more: Any) -> CellResult:
    check = CheckResult(check="clean", verdict=verdict, findings=findings, examined=1, **more)
    return done(checks=(check,), reproduce="perf-matrix run --select x")


def test_a_check_that_passed_passes() -> None:
    assert_check(result(Verdict.PASS), "clean")


def test_a_check_that_was_skipped_is_skipped_with_its_reason() -> None:
    with pytest.raises(pytest.skip.Exception, match="no faketime"):
        assert_check(result(Verdict.SKIP, reason="no faketime"), "clean")


def test_a_known_failure_is_expected() -> None:
    with pytest.raises(pytest.xfail.Exception, match="issue 1"):
        assert_check(result(Verdict.XFAIL, KNOWN, KNOWN), "clean")


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_failure_names_what_is_new_and_the_command_that_reproduces_it(verdict: Verdict) -> None:
    with pytest.raises(pytest.fail.Exception) as failure:
        assert_check(result(verdict, NEW, KNOWN), "clean")
    lines = str(failure.value).splitlines()
    assert lines[0] == str(verdict)
    assert lines[-1] == "to reproduce: perf-matrix run --select x"
    assert "expected gone, actual there" in lines[1]
    assert "\x1b" not in lines[1]
    assert len(lines) == 3


def test_a_cell_that_is_skipped_as_a_whole_skips_each_check() -> None:
    with pytest.raises(pytest.skip.Exception, match="no process pool"):
        assert_check(done(verdict=Verdict.SKIP, checks=(), reason="no process pool"), "clean")


def test_a_cell_that_was_not_judged_is_the_infrastructures_fault() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"ERROR .the infrastructure's, not perf's.: no engine"):
        assert_check(done(verdict=Verdict.ERROR, checks=(), reason="no engine"), "clean")


@pytest.mark.parametrize(
    "given",
    [
        result(Verdict.SKIP, reason="\x1b[2Jno"),
        result(Verdict.XFAIL, KNOWN.model_copy(update={"known": "\x1b[2Jno"})),
        done(verdict=Verdict.SKIP, checks=(), reason="\x1b[2Jno"),
        done(verdict=Verdict.ERROR, checks=(), reason="\x1b[2Jno"),
    ],
)
def test_a_reason_steers_no_terminal(given: CellResult) -> None:
    outcomes = (pytest.skip.Exception, pytest.xfail.Exception, pytest.fail.Exception)
    with pytest.raises(outcomes) as ended:
        assert_check(given, "clean")
    assert str(ended.value).endswith("?[2Jno")
