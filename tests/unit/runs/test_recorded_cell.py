"""The record of a cell whose steps are run, and of one whose build cannot continue from a kept build."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from matrix.errors import InfrastructureError
from matrix.model.result import Predecessor
from matrix.runs import execution, recorded_cell, store
from matrix.runs.confinement import LimitExceededError
from matrix.runs.execution import KeptBuild
from matrix.trees import volumes
from matrix.verdicts.judgement import Limit
from tests.unit import results
from tests.unit.conftest import tree
from tests.unit.runs.cell_contexts import CELL, LOADED, context

if TYPE_CHECKING:
    from matrix.model.cell import Cell
    from matrix.model.tree import Tree

pytestmark = pytest.mark.usefixtures("places")
NO_TRANSCRIPT: Any = None
FROM_SCRATCH = recorded_cell.RecordedCell(NO_TRANSCRIPT, "none")


def test_each_stage_before_and_after_the_steps_is_a_chapter(monkeypatch: pytest.MonkeyPatch) -> None:
    where = context(CELL)
    chapters: list[str] = []
    monkeypatch.setattr(store.Run, "progress", lambda _run, _cell_id, title: chapters.append(title))
    monkeypatch.setattr(store.Run, "save_transcript", lambda *_: chapters.append("  stored"))
    monkeypatch.setattr(recorded_cell, "_kernel_types", lambda _: chapters.append("  started"))
    monkeypatch.setattr(execution, "removing_containers", contextlib.nullcontext)
    monkeypatch.setattr(execution, "execute", lambda _: ())
    finished = begun_cell()
    assert recorded_cell._steps_done(finished, where) == recorded_cell.RecordedCell(finished.transcript, "none")
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
    monkeypatch.setattr(recorded_cell, "_kernel_types", lambda _: None)
    monkeypatch.setattr(execution, "removing_containers", contextlib.nullcontext)
    monkeypatch.setattr(execution, "execute", exceeding)
    with pytest.raises(LimitExceededError):
        recorded_cell._steps_done(cut_short, context(CELL))
    assert (stored, cut_short.closed) == ([], ["closed"])


@pytest.fixture(params=[recorded_cell._MissedError, InfrastructureError])
def failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Let each build that continues from a kept build fail, and each one from scratch end."""
    found: Exception = request.param("a.c was not compiled")

    def fail(*_: Any) -> None:
        raise found

    monkeypatch.setattr(recorded_cell, "_continued", fail)
    monkeypatch.setattr(recorded_cell, "_from_scratch", lambda *_: FROM_SCRATCH)
    return found


def prepared(of: Cell) -> recorded_cell.PreparedCell:
    nothing: Any = None
    return recorded_cell.PreparedCell(of, nothing, nothing)


def test_a_patch_whose_build_cannot_continue_is_built_from_scratch(failure: Exception) -> None:
    recorded = recorded_cell.recorded(prepared(CELL), context(CELL, predecessor=tree("before")))
    assert (recorded.from_scratch, recorded.continued) == (str(failure), None)


SPAWN = CELL.model_copy(update={"build": LOADED.builds["spawn"]})


def test_a_cell_with_a_start_method_continues_from_the_build_without_it_on_its_own_tree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def continued(_prepared: Any, _context: Any, predecessor: Tree) -> recorded_cell.RecordedCell:
        asked.append(predecessor.name)
        return FROM_SCRATCH

    monkeypatch.setattr(recorded_cell, "_continued", continued)
    assert recorded_cell.recorded(prepared(SPAWN), context(SPAWN)) == FROM_SCRATCH
    assert recorded_cell.recorded(prepared(SPAWN), context(SPAWN, predecessor=tree("before"))) == FROM_SCRATCH
    assert asked == [CELL.tree.name, "before"]


def test_the_kept_build_of_a_start_method_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    index: dict[str, Any] = {}
    there: Any = SimpleNamespace(facts=SimpleNamespace(index=index))
    monkeypatch.setattr(volumes, "prepare", lambda *_: there)
    where = context(SPAWN)
    asked: list[Cell] = []

    def of(cell: Cell, *_: Any) -> KeptBuild:
        asked.append(cell)
        return KeptBuild(("layer", "out"), Path("transcript"))

    monkeypatch.setattr(where.kept_builds, "of", of)
    monkeypatch.setattr(recorded_cell, "_execution", lambda _prepared, _context, kept: kept)
    monkeypatch.setattr(recorded_cell, "_steps_done", lambda *_: FROM_SCRATCH)
    nothing: Any = None
    found = recorded_cell.recorded(recorded_cell.PreparedCell(SPAWN, nothing, there), where)
    assert found.continued is None
    below = recorded_cell.recorded(
        recorded_cell.PreparedCell(SPAWN, nothing, there), dataclasses.replace(where, predecessor=tree("before"))
    )
    assert below.continued == Predecessor(tree="before", touched=())
    assert [(kept.id, kept.build.start_method) for kept in asked] == [
        (CELL.id, None), (CELL.place.on("before"), None),
    ]  # fmt: skip


@pytest.mark.usefixtures("failure")
def test_a_start_method_whose_plain_build_fails_is_built_from_scratch_edited_or_not() -> None:
    edited = SPAWN.model_copy(update={"tree": results.edited().tree})
    for of in (SPAWN, edited):
        assert recorded_cell.recorded(prepared(of), context(of)).from_scratch == "a.c was not compiled"


def test_a_planted_fault_is_never_built_from_scratch_instead(failure: Exception) -> None:
    planted = results.edited()
    with pytest.raises(type(failure), match=r"a\.c was not compiled"):
        recorded_cell.recorded(prepared(planted), context(planted, predecessor=planted.tree.unedited))


def test_what_a_continued_attempt_recorded_is_gone_before_the_build_from_scratch(failure: Exception) -> None:
    assert failure
    where = context(CELL, predecessor=tree("before"))
    where.run.save_transcript(CELL.id, [b"of the continued build"])
    recorded_cell.recorded(prepared(CELL), where)
    assert not where.run.transcript_path(CELL.id).exists()


def test_an_interrupt_counts_though_the_transcript_cannot_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.Run, "save_transcript", full)
    monkeypatch.setattr(recorded_cell, "_kernel_types", lambda _: None)
    monkeypatch.setattr(execution, "removing_containers", contextlib.nullcontext)
    monkeypatch.setattr(execution, "execute", interrupted)
    running = begun_cell()
    with pytest.raises(KeyboardInterrupt):
        recorded_cell._steps_done(running, context(CELL))
    assert running.closed
