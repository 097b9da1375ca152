"""The result of a cell whose run fails, and the times of one whose run ends."""

from __future__ import annotations

import time
from typing import Any

import pytest

from matrix.model.result import Verdict
from matrix.runs import cell_run, internal_errors
from matrix.runs.confinement import LimitExceededError
from matrix.verdicts.judgement import Limit
from tests.unit.runs.cell_contexts import CELL, context

pytestmark = pytest.mark.usefixtures("places")


class HostileError(Exception):
    """An error whose representation would steer a terminal."""

    def __repr__(self) -> str:
        return "HostileError(\x1b[2J\nx)"


def test_an_internal_error_is_the_stored_result_and_its_traceback_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise HostileError

    monkeypatch.setattr(cell_run, "_ended", broken)
    where = context(CELL)
    result = cell_run.run(CELL, where)
    assert (result.verdict, result.reason) == (Verdict.ERROR, "internal error: HostileError(?[2J?x)")
    assert where.run.result(CELL.id) == result
    at = where.run.at(CELL.id)
    assert at is not None
    assert not at[0]
    log = (where.run.cell(CELL.id) / "logs" / internal_errors.TRACEBACK).read_text()
    assert log.startswith("Traceback")
    assert "in broken" in log


def test_an_interrupt_of_a_cell_is_no_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell_run, "_ended", interrupted)
    where = context(CELL)
    with pytest.raises(KeyboardInterrupt):
        cell_run.run(CELL, where)
    kept = where.run.result(CELL.id)
    assert kept is not None
    assert kept.reason == "the cell was begun and did not end"


@pytest.mark.parametrize("jump_s", [-86400.0, 4000 * 86400.0])
def test_a_clock_that_is_set_meanwhile_is_in_no_duration(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The duration was that of the clock's jump, a negative one if it was set back."""
    now = time.time
    where = context(CELL)

    def jumping(result: Any, *_: Any) -> Any:
        monkeypatch.setattr(time, "time", lambda: now() + jump_s)
        return result

    monkeypatch.setattr(cell_run, "_ended", jumping)
    result = cell_run.run(CELL, where)
    assert 0 <= result.wall_s < 60
    assert result.started[:4] == time.strftime("%Y", time.gmtime())


def test_what_an_earlier_attempt_recorded_is_gone_when_a_cell_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def exceeding(*_: Any) -> None:
        raise LimitExceededError(Limit(name="memory", value="3072 MiB of memory"))

    where = context(CELL)
    where.run.save_transcript(CELL.id, [b"of an earlier attempt"])
    monkeypatch.setattr(cell_run, "_ended", exceeding)
    cell_run.run(CELL, where)
    assert not where.run.transcript_path(CELL.id).exists()
