"""The search of a command for the results that earlier runs have, before it starts a process for cells."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest
from rich.console import Console

from matrix.config import load, selection
from matrix.engine import images, private_engine
from matrix.errors import InfrastructureError, UsageError
from matrix.model.result import Verdict
from matrix.runs import cell_run, earlier_results, locks, reuse, store
from matrix.runs.engine_access import EngineAccess
from matrix.runs.pytest_run import PytestRun
from matrix.trees import facts, volumes
from tests.unit.results import done
from tests.unit.runs.cell_contexts import LOADED

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell
    from matrix.model.image import Image
    from matrix.model.tree import Tree
    from matrix.runs.store import Run

pytestmark = pytest.mark.usefixtures("places")
TREES = [LOADED.trees["7.3"], LOADED.trees["7.2"]]
CELLS = [
    cell
    for cell in selection.every(LOADED, TREES)
    if cell.image.name == "debian-trixie-min" and cell.build.name in ("minimal", "minimal-out-of-tree")
]


class Engine:
    """An engine that can be described, and no more."""

    described = 0

    def describe(self) -> dict[str, str]:
        self.described += 1
        return {"url": "unix:///a", "kernel": "6.1"}


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let images and trees be there, and return the names of those that are looked up."""
    asked: list[str] = []
    whole = done(CELLS[0])

    def present(image: Image, _engine: Any) -> Any:
        asked.append(image.name)
        return whole.image

    def identify(tree: Tree, *_: Any) -> Any:
        asked.append(tree.name)
        return volumes.IdentifiedTree(whole.tree, facts.NOTHING, "", None)  # type: ignore[arg-type] # the result has a tree

    engine = Engine()
    monkeypatch.setattr(private_engine, "ensure", lambda *_: engine)
    monkeypatch.setattr(images, "present", present)
    monkeypatch.setattr(volumes, "identify", identify)
    monkeypatch.setattr(load, "load", lambda *_: LOADED)
    return asked


def take(run: Run) -> str:
    out = io.StringIO()
    lacking = [cell.id for cell in CELLS if run.result(cell.id) is None]
    earlier_results.take(run, lacking, EngineAccess(None, Console(file=out)), LOADED)
    return out.getvalue()


def begun(**more: Any) -> Run:
    return store.begin(CELLS, ["7.3", "7.2"], [], 2, **more)


def of(cell: Cell, **more: Any) -> Any:
    return done(cell, verdict=Verdict.PASS, **more)


def test_what_earlier_runs_have_is_stored_the_base_first_and_said(
    looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def adopted(result: Any, _context: Any, *, exact: bool) -> Any:
        assert exact
        order.append(result.id.tree)
        return of(result.definition) if result.definition.build.name == "minimal" else None

    monkeypatch.setattr(reuse, "adopted", adopted)
    run = begun(base="7.3")
    said = take(run)
    assert f"run {run.name}: 2 cells reused from earlier runs" in said
    # Without its base the last one has no key.
    assert order == ["7.3", "7.3", "7.2"]
    assert {result.definition.build.name for result in run.results() if result.definition} == {"minimal"}
    assert run.at(next(run.results()).id) == ("", ANY), "for the display of progress it has ended"
    assert sorted(looked_up) == ["7.2", "7.3", "debian-trixie-min"]


def test_nothing_is_looked_for_here_where_other_machines_run_the_cells(looked_up: list[str]) -> None:
    run = begun()
    access = EngineAccess(None, Console(file=io.StringIO()), lambda *_: None)
    earlier_results.take(run, run.settings().cells, access, LOADED)
    assert looked_up == []


def test_nothing_is_looked_for_in_a_fresh_run_or_where_nothing_lacks(looked_up: list[str]) -> None:
    run = begun()
    run.reuse_nothing()
    assert run.settings().fresh
    assert take(run) == ""
    done_already = begun()
    for cell in CELLS:
        done_already.save(of(cell))
    assert take(done_already) == ""
    assert looked_up == []


@pytest.mark.usefixtures("looked_up")
def test_a_cell_whose_image_is_not_there_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "present", lambda *_: None)
    monkeypatch.setattr(cell_run, "identified", lambda *_: pytest.fail("its key cannot be known"))
    run = begun()
    assert take(run) == ""
    assert not run.begun


@pytest.mark.usefixtures("looked_up")
@pytest.mark.parametrize("failure", [InfrastructureError("no base"), OSError(28, "No space left on device")])
def test_a_search_that_fails_leaves_the_cell_to_its_own_process(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise failure

    monkeypatch.setattr(reuse, "adopted", fail)
    run = begun()
    assert take(run) == ""
    assert not list(run.results())


def test_a_run_outside_of_the_state_folder_is_refused_and_stays(looked_up: list[str], tmp_path: Path) -> None:
    """It was removed, as the run of a command that ended before its first cell."""
    run = begun()
    copied = tmp_path / "copied"
    shutil.copytree(run.folder, copied)
    with pytest.raises(UsageError):
        take(store.Run(copied))
    assert (copied / "run.json").is_file()
    assert looked_up == []


def test_nothing_is_taken_beside_a_measurement(looked_up: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def measuring() -> None:
        raise UsageError("a comparison is measured")

    monkeypatch.setattr(locks, "refuse_beside_a_measurement", measuring)
    with pytest.raises(UsageError):
        take(begun())
    assert looked_up == []


def test_a_tree_that_cannot_be_had_is_waited_for_once(looked_up: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(tree: Tree, *_: Any) -> None:
        looked_up.append(tree.name)
        raise InfrastructureError("the network is down")

    monkeypatch.setattr(volumes, "identify", unreachable)
    assert take(begun()) == ""
    assert sorted(looked_up) == ["7.2", "7.3", "debian-trixie-min"]


@pytest.mark.usefixtures("looked_up")
def test_a_build_that_continues_another_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PytestRun, "_predecessor", lambda *_: TREES[0])
    monkeypatch.setattr(reuse, "adopted", lambda *_, **__: pytest.fail("it is in no index"))
    assert take(begun()) == ""


@pytest.mark.usefixtures("looked_up")
def test_an_error_is_no_result_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged_as_error(result: Any, *_: Any, **__: Any) -> Any:
        return done(result.definition, verdict=Verdict.ERROR)

    monkeypatch.setattr(reuse, "adopted", judged_as_error)
    run = begun()
    assert take(run) == ""
    assert not list(run.results())
