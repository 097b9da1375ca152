"""The parts of a judgement, and the result that they make, whole or ended by a limit."""

from __future__ import annotations

import pytest

from matrix import checks
from matrix.model.result import CheckResult, Verdict
from matrix.verdicts import judgement
from matrix.verdicts.judgement import JudgementPart, Limit
from tests.unit.conftest import observations, result

MEMORY = Limit(name="memory", value="64 MiB of memory")
NAMES = tuple(checks.registry())


def whole() -> list[JudgementPart]:
    return list(judgement.parts(observations(), ()))


def test_each_check_is_announced_before_its_result() -> None:
    first, *rest = whole()
    assert first.steps is not None
    assert [part.examining for part in rest[::2]] == list(NAMES)
    assert [part.check.check for part in rest[1::2] if part.check] == list(NAMES)


def test_a_whole_judgement_has_a_result_for_each_check() -> None:
    found = judgement.judged(result("i/t/b@7.3"), whole())
    assert [check.check for check in found.checks] == list(NAMES)
    assert (found.verdict, found.reason) == (Verdict.FAIL, "")
    assert found.steps


def test_a_transcript_that_breaks_off_has_one_part_and_is_an_error() -> None:
    parts = list(judgement.parts(observations(omit=["clean"]), ()))
    assert parts == [JudgementPart(incomplete="the cell was interrupted: step clean was not run")]
    found = judgement.judged(result("i/t/b@7.3"), parts)
    assert (found.verdict, found.reason, found.checks) == (Verdict.ERROR, parts[0].incomplete, ())


def test_a_limit_is_a_finding_of_the_check_that_was_being_examined() -> None:
    made = whole()
    ended = next(number for number, part in enumerate(made) if part.examining == "clean") + 1
    found = judgement.judged(result("i/t/b@7.3"), made[:ended], MEMORY)
    at = found.check("clean")
    assert at is not None
    assert (found.verdict, at.verdict) == (Verdict.FAIL, Verdict.FAIL)
    [finding] = at.findings
    assert finding.key == "limit-exceeded:memory"
    assert finding.expected == "its facts can be judged within 64 MiB of memory, the limit on memory"
    assert finding.actual == "judging, in check clean, was ended there"
    assert found.check("build") == next(part.check for part in made if part.check and part.check.check == "build")
    after = found.check("touch")
    assert after == CheckResult(
        check="touch", verdict=Verdict.SKIP, reason="not examined: check clean exceeded the limit on memory"
    )
    assert [check.check for check in found.checks] == list(NAMES)


@pytest.mark.parametrize("made", [[], [JudgementPart(steps=())]])
def test_a_limit_before_the_first_check_is_a_finding_of_build(made: list[JudgementPart]) -> None:
    found = judgement.judged(result("i/t/b@7.3"), made, MEMORY)
    assert [check.check for check in found.checks if check.findings] == ["build"]
    assert found.verdict == Verdict.FAIL


def test_a_limit_while_a_step_was_read_names_the_step() -> None:
    exceeded = MEMORY.model_copy(update={"work": "reading the facts of rebuild"})
    found = judgement.judged(result("i/t/b@7.3"), [], exceeded)
    [finding] = [finding for check in found.checks for finding in check.findings]
    assert finding.actual == "reading the facts of rebuild was ended there"


def test_a_cell_of_which_every_check_was_skipped_is_an_error_with_a_reason() -> None:
    skipped = [JudgementPart(check=CheckResult(check=name, verdict=Verdict.SKIP, reason="no step")) for name in NAMES]
    found = judgement.judged(result("i/t/b@7.3"), skipped)
    assert (found.verdict, found.reason) == (Verdict.ERROR, "every check was skipped, which proves nothing")
