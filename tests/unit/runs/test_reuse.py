"""An earlier result that is reused for a cell, judged again, or refused; the index of results."""

from __future__ import annotations

import gzip
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import CheckResult, Finding, Predecessor, Reused, Verdict
from matrix.runs import cell_files, judgement, kept_results, reuse
from matrix.verdicts import result_key
from tests.unit.results import done
from tests.unit.runs.cell_contexts import CELL, context
from tests.unit.runs.kept_cells import FAILED, KEY, PASSED, SAMPLED, TRANSCRIPT, begun, built, kept

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.result import CellResult
    from matrix.runs.store import Run

pytestmark = pytest.mark.usefixtures("places")


def test_an_earlier_result_of_the_same_key_is_taken_with_its_files() -> None:
    run, earlier = kept()
    where = context(CELL)
    found = reuse.adopted(begun(), where, exact=True)
    assert found is not None
    assert found.reused == Reused(run=run.name, cell=CELL.id)
    assert (found.run, found.reproduce, found.checks, found.took_s) == ("now", "again", earlier.checks, 0.0)
    assert gzip.decompress(where.run.transcript_path(CELL.id).read_bytes()) == b"facts"
    assert (where.run.cell(CELL.id) / "logs" / "build.log").read_text() == "CC a.o\n"


def test_a_transcript_is_copied_where_the_file_system_has_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    kept()
    monkeypatch.setattr("pathlib.Path.hardlink_to", refused)
    where = context(CELL)
    assert reuse.adopted(begun(), where)
    assert gzip.decompress(where.run.transcript_path(CELL.id).read_bytes()) == b"facts"


def test_what_a_reused_cells_files_are_written_over_with_leaves_the_earlier_runs() -> None:
    run, _ = kept()
    where = context(CELL)
    assert reuse.adopted(begun(), where)
    where.run.save_transcript(CELL.id, [b"new"])
    (where.run.cell(CELL.id) / "logs" / "build.log").write_text("new")
    assert gzip.decompress(run.transcript_path(CELL.id).read_bytes()) == b"facts"
    assert (run.cell(CELL.id) / "logs" / "build.log").read_text() == "CC a.o\n"


def test_a_transcript_of_another_judgement_is_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def judge(result: CellResult, *circumstances: Any) -> CellResult:
        asked.append(circumstances)
        return result.model_copy(update={"verdict": Verdict.XFAIL})

    run, _ = kept()
    monkeypatch.setattr(judgement, "judged", judge)
    where = context(CELL)
    assert reuse.adopted(begun(key="3" * 64), where, exact=True) is None
    found = reuse.adopted(begun(key="3" * 64), where)
    assert found is not None
    assert (found.verdict, found.key) == (Verdict.XFAIL, "3" * 64)
    assert found.reused == Reused(run=run.name, cell=CELL.id, judged_again=True)
    assert asked == [(where.run, CELL, (), None)]
    # The judgement is in the index, too: the next run has nothing to judge.
    where.run.save(found)
    reuse.keep(found, where)
    again = reuse.adopted(begun(key="3" * 64), context(CELL), exact=True)
    assert again is not None
    assert (again.verdict, again.reused) == (Verdict.XFAIL, found.reused)


def test_a_fresh_run_takes_nothing() -> None:
    kept()
    assert reuse.adopted(begun(), context(CELL, fresh=True)) is None


@pytest.mark.parametrize("key", ["", "4" * 64])
def test_a_key_without_a_result_has_none(key: str) -> None:
    kept()
    assert reuse.adopted(begun(key=key, transcript_key=key), context(CELL)) is None


def test_a_sampled_key_is_built_twice_and_then_reused() -> None:
    first, _ = kept(transcript_key=SAMPLED)
    asked = begun(transcript_key=SAMPLED)
    assert reuse.adopted(asked, context(CELL)) is None
    where = context(CELL)
    second = reuse.compared(built(where.run, transcript_key=SAMPLED))
    assert second.compared_with == first.name
    where.run.save(second)
    reuse.keep(second, where)
    found = reuse.adopted(asked, context(CELL))
    assert found is not None
    assert found.reused is not None
    assert found.reused.run != first.name


def test_a_sampled_key_that_was_built_twice_at_once_is_not_confirmed() -> None:
    kept(transcript_key=SAMPLED)
    kept(transcript_key=SAMPLED)  # it was not compared: the other had not ended
    assert reuse.adopted(begun(transcript_key=SAMPLED), context(CELL)) is None


def test_a_fail_is_built_a_second_time_before_it_is_reused() -> None:
    finding = Finding(kind="ran", subject="a.o", expected="nothing", actual="cc")
    failing = {
        "verdict": Verdict.FAIL,
        "checks": (CheckResult(check="noop", verdict=Verdict.FAIL, findings=(finding,)),),
    }
    kept(**failing)
    assert reuse.adopted(begun(), context(CELL)) is None
    where = context(CELL)
    second = reuse.compared(built(where.run, **failing))
    where.run.save(second)
    reuse.keep(second, where)
    assert reuse.adopted(begun(), context(CELL))


def damage(run: Run, what: str) -> None:
    if what == "transcript":
        run.transcript_path(CELL.id).write_bytes(gzip.compress(b"facts")[:-3])
    elif what == "lost":
        run.transcript_path(CELL.id).unlink()
    elif what == "result":
        (run.cell(CELL.id) / "result.json").write_text("{")
    elif what == "gone":
        (run.cell(CELL.id) / "result.json").unlink()
    else:
        run.save(done(CELL, verdict=Verdict.PASS, key="5" * 64, transcript_key="5" * 64, steps=PASSED))


@pytest.mark.parametrize("what", ["transcript", "lost", "result", "gone", "another"])
def test_a_result_that_is_damaged_or_gone_is_not_taken_and_leaves_the_index(what: str) -> None:
    run, _ = kept()
    assert kept_results.lost() == []
    damage(run, what)
    assert len(kept_results.lost()) == (2 if what == "lost" else 0)
    assert reuse.adopted(begun(), context(CELL)) is None
    assert kept_results.find(KEY) is None
    assert kept_results.find(TRANSCRIPT) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_a_damaged_entry_of_the_index_is_no_result(content: bytes, places: Path) -> None:
    kept()
    [*entries] = (places / "state" / kept_results.FOLDER).iterdir()
    assert len(entries) == 2
    for entry in entries:
        entry.write_bytes(content)
    assert reuse.adopted(begun(), context(CELL)) is None


def test_an_entry_under_another_key_is_no_result(places: Path) -> None:
    kept()
    folder = places / "state" / kept_results.FOLDER
    (folder / f"{TRANSCRIPT}.json").replace(folder / f"{'6' * 64}.json")
    assert kept_results.find("6" * 64) is None


def test_two_results_of_one_key_that_differ_are_a_finding_and_no_longer_reused() -> None:
    kept()
    where = context(CELL)
    finding = Finding(kind="ran", subject="a.o", expected="nothing", actual="cc")
    checks = (CheckResult(check="noop", verdict=Verdict.FAIL, findings=(finding,), examined=1),)
    second = reuse.compared(built(where.run, checks=checks))
    assert second.verdict == Verdict.FAIL
    assert [found.subject for found in result_key.differences(second)] == ["noop"]
    where.run.save(second)
    reuse.keep(second, where)
    assert kept_results.find(TRANSCRIPT) is None
    assert kept_results.find(KEY) is None


def test_a_step_that_fails_differs_from_earlier_and_takes_the_key_out_of_the_index() -> None:
    kept()
    where = context(CELL)
    broken = Finding(kind="step-failed", subject="build", expected="it ends", actual="exit status 2")
    checks = (CheckResult(check="build", verdict=Verdict.FAIL, findings=(broken,)),)
    failed = reuse.compared(built(where.run, steps=FAILED, checks=checks, verdict=Verdict.FAIL))
    assert [found.subject for found in result_key.differences(failed)] == ["build"]
    where.run.save(failed)
    reuse.keep(failed, where)
    assert kept_results.find(TRANSCRIPT) is None
    assert kept_results.find(KEY) is None


def test_a_step_that_fails_takes_the_key_out_of_the_index_whatever_judged_it() -> None:
    kept()
    where = context(CELL)
    failed = reuse.compared(built(where.run, steps=FAILED, key="8" * 64))
    assert not list(result_key.differences(failed))
    reuse.keep(failed, where)
    assert reuse.adopted(begun(), context(CELL)) is None, "the key of the result needs that of the transcript"


def test_a_build_that_continued_another_is_neither_compared_nor_kept() -> None:
    where = context(CELL)
    continued = built(where.run, gone_on=Predecessor(tree="base", touched=()))
    assert reuse.compared(continued) == continued
    reuse.keep(continued, where)
    assert kept_results.find(TRANSCRIPT) is None


def test_the_logs_of_an_earlier_attempt_are_not_left_beside_a_reused_result() -> None:
    kept()
    where = context(CELL)
    stale = where.run.cell(CELL.id) / "logs" / "internal-error.log"
    stale.parent.mkdir(parents=True)
    stale.write_text("Traceback")
    assert reuse.adopted(begun(), where)
    assert not stale.exists()


def test_a_full_disk_keeps_a_result_out_of_the_index_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_results, "note", full)
    kept()
    assert kept_results.find(KEY) is None


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), shutil.Error([("a", "b", "gone")])])
def test_a_run_that_is_removed_meanwhile_is_no_result(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def removed(*_: Any) -> None:
        raise error

    kept()
    monkeypatch.setattr(cell_files, "share", removed)
    assert reuse.adopted(begun(), context(CELL)) is None
