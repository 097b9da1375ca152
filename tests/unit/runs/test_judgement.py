"""An interrupted cell stays an ERROR, however often what it recorded is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load, selection, tree_words
from matrix.errors import InfrastructureError, UsageError
from matrix.model.result import CellResult, CheckResult, StepResult, Verdict
from matrix.runs import internal_errors, judgement, schedule, store, transcript_child, transcripts
from matrix.scenario import plan
from matrix.scenario.transcript import Transcript
from tests.unit import conftest as make
from tests.unit.conftest import cell, result, tree

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell

LOADED = load.load()
PASSED = (CheckResult(check="build", verdict=Verdict.PASS, examined=1),)


def transcript(of: Cell, *names: str, failing: str = "") -> Transcript:
    """Return a transcript that breaks off after the steps of these names; the step `failing` failed."""
    ended = ["end", {"oom_kills": 0, "fork_failures": 0}]
    records = tuple(make.step(name, ended, of=of, error="it broke" if name == failing else "") for name in names)
    return Transcript(scenario=plan.scenario(of), ignore={}, generator_has_pool=True, steps=list(records))


def judged(recorded: Transcript) -> CellResult:
    """Return the result of a cell that recorded this."""
    of = recorded.scenario.cell
    run = store.begin([of], [of.tree.name], [], 1)
    run.save_transcript(of.id, transcripts.blocks(recorded))
    return judgement.judged(result(of.id), run, of, ())


@pytest.fixture
def on_real_tree() -> Cell:
    everything = selection.every(LOADED, [tree_words.tree(LOADED, "7.3")])
    [found] = selection.select(everything, ["debian-trixie-min/gcc/minimal"])
    return found


@pytest.fixture
def run(places: Path, on_real_tree: Cell) -> store.Run:
    assert places
    return store.begin([on_real_tree], ["7.3"], [], 1)


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    ("names", "lacking"), [((), "build"), (("build",), "self-test"), (("build", "self-test"), "build-again")]
)
def test_a_transcript_that_breaks_off_is_an_error(names: tuple[str, ...], lacking: str) -> None:
    found = judged(transcript(cell(), *names))
    assert (found.verdict, found.checks) == (Verdict.ERROR, ())
    assert found.reason == f"the cell was interrupted: step {lacking} was not run"


@pytest.mark.usefixtures("places")
def test_a_step_that_an_earlier_one_stood_in_the_way_of_is_not_lacking() -> None:
    found = judged(transcript(cell(), "build", failing="build"))
    assert found.verdict == Verdict.FAIL
    assert {step.reason for step in found.steps[1:]} == {"step build failed: it broke"}


@pytest.mark.parametrize("names", [(), ("build",), ("build", "self-test")])
def test_an_interrupted_cell_that_is_judged_again_stays_lacking(
    run: store.Run, on_real_tree: Cell, names: tuple[str, ...]
) -> None:
    interrupted = result(on_real_tree.id, Verdict.ERROR, reason="the cell was begun and did not end")
    run.save(interrupted)
    run.save_transcript(on_real_tree.id, transcripts.blocks(transcript(on_real_tree, *names)))
    judgement.check_again(run, LOADED)
    assert run.result(on_real_tree.id) == interrupted
    assert schedule.lacking((on_real_tree.id,), {result.id: result for result in run.results()}) == (on_real_tree.id,)


def test_a_judged_cell_whose_transcript_was_cut_short_becomes_lacking(run: store.Run, on_real_tree: Cell) -> None:
    run.save(result(on_real_tree.id, checks=PASSED))
    run.save_transcript(on_real_tree.id, transcripts.blocks(transcript(on_real_tree, "build")))
    judgement.check_again(run, LOADED)
    kept = run.result(on_real_tree.id)
    assert kept
    assert (kept.verdict, kept.reason) == (Verdict.ERROR, "the cell was interrupted: step self-test was not run")


def test_a_cell_whose_base_did_not_end_is_an_error_when_it_is_judged_again(places: Path, on_real_tree: Cell) -> None:
    assert places
    base = on_real_tree.model_copy(update={"tree": LOADED.trees["7.2"]})
    run = store.begin([base, on_real_tree], ["7.2", "7.3"], [], 1, base="7.2")
    run.save(result(on_real_tree.id, checks=PASSED))
    run.save_transcript(on_real_tree.id, transcripts.blocks(transcript(on_real_tree, "build")))
    judgement.check_again(run, LOADED)
    kept = run.result(on_real_tree.id)
    assert kept
    assert kept.verdict == Verdict.ERROR
    assert f"the cell on the base tree has no result to compare with: {base.id}: it was not run" in kept.reason


@pytest.mark.usefixtures("places")
def test_a_cell_is_compared_with_the_transcript_of_its_place_on_the_base_tree() -> None:
    base, head = cell(on=tree("base")), cell(on=tree("head"))
    run = store.begin([base, head], ["base", "head"], [], 1, base="base")
    cells = judgement.BaseCells(run, "base")
    assert cells.transcript(base) is None
    with pytest.raises(InfrastructureError, match="it was not run"):
        cells.transcript(head)
    run.save(result(base.id, Verdict.SKIP))
    assert cells.transcript(head) is None
    cells = judgement.BaseCells(run, "base")
    run.save_transcript(base.id, transcripts.blocks(transcript(base, "build")))
    assert cells.transcript(head) == run.transcript_path(base.id)
    assert judgement.BaseCells(run, "").transcript(head) is None


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    "found",
    [
        {"verdict": Verdict.PASS, "checks": PASSED},
        {"verdict": Verdict.FAIL},
        {"verdict": Verdict.SKIP, "steps": (StepResult(name="build", command="make", verdict=Verdict.PASS),)},
    ],
)
def test_a_base_cell_that_was_judged_and_has_no_transcript_any_more_is_nothing_to_compare_with(
    found: dict[str, Any],
) -> None:
    base, head = cell(on=tree("base")), cell(on=tree("head"))
    run = store.begin([base, head], ["base", "head"], [], 1, base="base")
    run.save(result(base.id, **found))
    cells = judgement.BaseCells(run, "base")
    for _ in range(2):
        with pytest.raises(
            InfrastructureError, match=r"the cell on the base tree has no transcript to compare with: .*@base"
        ):
            cells.transcript(head)


def test_a_transcript_without_steps_is_an_error_in_words(run: store.Run, on_real_tree: Cell) -> None:
    empty = transcript(on_real_tree)
    run.save(result(on_real_tree.id, checks=PASSED))
    planned_nothing = empty.scenario.model_copy(update={"steps": ()})
    run.save_transcript(on_real_tree.id, transcripts.blocks(empty.model_copy(update={"scenario": planned_nothing})))
    judgement.check_again(run, LOADED)
    kept = run.result(on_real_tree.id)
    assert kept
    assert (kept.verdict, kept.reason, kept.checks) == (Verdict.ERROR, "the transcript has no step build", ())


def test_an_error_is_not_judged_again_whatever_checks_it_has(run: store.Run, on_real_tree: Cell) -> None:
    found = result(on_real_tree.id, Verdict.ERROR, checks=PASSED, reason="the engine failed")
    run.save(found)
    run.save_transcript(on_real_tree.id, transcripts.blocks(transcript(on_real_tree, "build", failing="build")))
    judgement.check_again(run, LOADED)
    assert run.result(on_real_tree.id) == found


def test_an_internal_error_of_the_child_is_an_error_of_its_cell_alone(
    run: store.Run, on_real_tree: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript_child, "__name__", "matrix.nowhere")
    run.save(result(on_real_tree.id, checks=PASSED))
    run.save_transcript(on_real_tree.id, transcripts.blocks(transcript(on_real_tree, "build")))
    judgement.check_again(run, LOADED)
    kept = run.result(on_real_tree.id)
    assert kept
    assert (kept.verdict, kept.checks) == (Verdict.ERROR, ())
    assert "No module named 'matrix.nowhere'" in kept.reason
    log = (run.cell(on_real_tree.id) / "logs" / internal_errors.TRACEBACK).read_text()
    assert "in _run" in log


def test_a_cell_is_compared_with_what_its_base_recorded(run: store.Run, on_real_tree: Cell) -> None:
    run.save_transcript(on_real_tree.id, transcripts.blocks(transcript(on_real_tree, "build", failing="build")))
    nothing = run.folder / "nothing"
    with pytest.raises(UsageError, match=f"{nothing} is no transcript"):
        judgement.judged(result(on_real_tree.id), run, on_real_tree, (), nothing)


def test_a_cell_whose_transcript_is_lost_is_named_and_keeps_its_result(run: store.Run, on_real_tree: Cell) -> None:
    judged_once = result(on_real_tree.id, checks=PASSED)
    run.save(judged_once)
    assert judgement.check_again(run, LOADED) == [on_real_tree.id]
    assert run.result(on_real_tree.id) == judged_once
