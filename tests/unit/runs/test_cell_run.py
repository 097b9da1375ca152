"""The result of a cell whose run fails, and of one whose build cannot continue from a kept build."""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load
from matrix.errors import InfrastructureError
from matrix.model.cell import Limits
from matrix.model.result import Verdict
from matrix.runs import cell_run, execution, internal_errors, kept_builds, store
from matrix.runs.confinement import LimitExceededError
from matrix.runs.judgement import BaseCells
from matrix.verdicts.judgement import Limit
from tests.unit import results
from tests.unit.conftest import cell, tree

if TYPE_CHECKING:
    from matrix.model.cell import Cell

pytestmark = pytest.mark.usefixtures("places")
LOADED = load.load()
CELL = cell(of=LOADED.images["debian-trixie-min"], what=LOADED.builds["minimal"], on=LOADED.trees["7.3"])
NO_ENGINE: Any = None
NO_TRANSCRIPT: Any = None
FROM_SCRATCH = cell_run._Recorded(NO_TRANSCRIPT, "none")


class HostileError(Exception):
    """An error whose representation would steer a terminal."""

    def __repr__(self) -> str:
        return "HostileError(\x1b[2J\nx)"


def context(of: Cell, **more: Any) -> cell_run.Context:
    run = store.begin([of], [of.tree.name], [], 2)
    kept = kept_builds.KeptBuilds(NO_ENGINE, run, 2, Limits())
    return cell_run.Context(run, NO_ENGINE, 2, Limits(), (), print, kept, BaseCells(run, ""), **more)


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


def test_each_stage_before_and_after_the_steps_is_a_chapter(monkeypatch: pytest.MonkeyPatch) -> None:
    where = context(CELL)
    chapters: list[str] = []
    monkeypatch.setattr(store.Run, "progress", lambda _run, _cell_id, title: chapters.append(title))
    monkeypatch.setattr(store.Run, "save_transcript", lambda *_: chapters.append("  stored"))
    monkeypatch.setattr(cell_run, "_kernel_types", lambda _: chapters.append("  started"))
    monkeypatch.setattr(execution, "removing_containers", contextlib.nullcontext)
    monkeypatch.setattr(execution, "execute", lambda _: ())
    finished = begun_cell()
    assert cell_run._steps_done(finished, where) == cell_run._Recorded(finished.transcript, "none")
    assert chapters == ["start the container", "  started", "store the transcript", "  stored"]
    assert not finished.closed


def begun_cell(*, ended: bool = False) -> Any:
    """Return a cell that is being run; `closed` tells of its transcript, whose process a limit may have `ended`."""
    closed: list[str] = []
    transcript = SimpleNamespace(has_ended=ended, blocks=lambda: (), close=lambda: closed.append("closed"))
    return SimpleNamespace(scenario=SimpleNamespace(cell=CELL), transcript=transcript, closed=closed)


def test_the_transcript_of_a_cell_past_a_limit_is_not_stored_and_the_limit_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past = LimitExceededError(Limit(name="memory", value="3072 MiB of memory", work="reading the facts of build"))

    def exceeding(_: Any) -> None:
        raise past

    stored: list[str] = []
    cut_short = begun_cell(ended=True)
    monkeypatch.setattr(store.Run, "save_transcript", lambda *_: stored.append("stored"))
    monkeypatch.setattr(cell_run, "_kernel_types", lambda _: None)
    monkeypatch.setattr(execution, "removing_containers", contextlib.nullcontext)
    monkeypatch.setattr(execution, "execute", exceeding)
    with pytest.raises(LimitExceededError):
        cell_run._steps_done(cut_short, context(CELL))
    assert (stored, cut_short.closed) == ([], ["closed"])


@pytest.fixture(params=[cell_run._MissedError, InfrastructureError])
def failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Let each build that continues from a kept build fail, and each one from scratch end."""
    found: Exception = request.param("a.c was not compiled")

    def fail(*_: Any) -> None:
        raise found

    monkeypatch.setattr(cell_run, "_continued", fail)
    monkeypatch.setattr(cell_run, "_from_scratch", lambda *_: FROM_SCRATCH)
    return found


def prepared(of: Cell) -> cell_run._Prepared:
    nothing: Any = None
    return cell_run._Prepared(of, nothing, nothing)


def test_a_patch_whose_build_cannot_continue_is_built_from_scratch(failure: Exception) -> None:
    recorded = cell_run._recorded(prepared(CELL), context(CELL, predecessor=tree("before")))
    assert (recorded.from_scratch, recorded.continued) == (str(failure), None)


def test_a_planted_fault_is_never_built_from_scratch_instead(failure: Exception) -> None:
    planted = results.edited()
    with pytest.raises(type(failure), match=r"a\.c was not compiled"):
        cell_run._recorded(prepared(planted), context(planted, predecessor=planted.tree.unedited))


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


def test_what_a_continued_attempt_recorded_is_gone_before_the_build_from_scratch(failure: Exception) -> None:
    assert failure
    where = context(CELL, predecessor=tree("before"))
    where.run.save_transcript(CELL.id, [b"of the continued build"])
    cell_run._recorded(prepared(CELL), where)
    assert not where.run.transcript_path(CELL.id).exists()


def test_an_interrupt_counts_though_the_transcript_cannot_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.Run, "save_transcript", full)
    monkeypatch.setattr(cell_run, "_kernel_types", lambda _: None)
    monkeypatch.setattr(execution, "removing_containers", contextlib.nullcontext)
    monkeypatch.setattr(execution, "execute", interrupted)
    running = begun_cell()
    with pytest.raises(KeyboardInterrupt):
        cell_run._steps_done(running, context(CELL))
    assert running.closed
