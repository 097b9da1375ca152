from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load, selection, tree_words
from matrix.engine import private_engine
from matrix.errors import InfrastructureError, UsageError
from matrix.model.result import Verdict
from matrix.model.tree import Delta
from matrix.runs import cell_run, internal_errors, locks, pytest_run, store
from matrix.runs.pytest_run import PytestRun
from matrix.runs.run_kind import ClaimsRun, MutantsRun, PlainRun, SeriesRun
from matrix.verdicts.series import PatchTree
from tests.unit.results import done

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult
    from matrix.runs.cell_run import Context
    from matrix.runs.run_kind import RunKind

pytestmark = pytest.mark.usefixtures("places")
BUILDS = ("debian-trixie/gcc/default", "debian-trixie/gcc/static")
FAULT = "not-static"


@pytest.fixture(scope="module")
def config() -> Config:
    return load.load()


def cells_on(config: Config, *trees: str) -> tuple[Cell, ...]:
    every = selection.every(config, [tree_words.tree(config, word) for word in trees])
    return tuple(cell for cell in every if cell.place in BUILDS)


def begun(config: Config, *trees: str, base: str = "", kind: RunKind | None = None) -> PytestRun:
    run = store.begin(cells_on(config, *trees), trees, [], 2, base=base, kind=kind or PlainRun())
    return PytestRun(run, config=config)


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Context]:
    """Return the context of each cell that is run: all end at once."""
    found: dict[str, Context] = {}

    def end(cell: Cell, context: Context) -> Any:
        found[cell.id] = context
        return done(cell, verdict=Verdict.PASS, reproduce=cell_run._reproduce(cell, context))

    monkeypatch.setattr(cell_run, "run", end)
    monkeypatch.setattr(private_engine, "ensure", lambda *_: None)
    monkeypatch.setattr(load, "load", lambda *_: pytest.fail("the configuration is loaded again"))
    return found


def test_cells_on_the_base_tree_come_first_and_each_place_is_one_group(config: Config) -> None:
    part = begun(config, "7.3", "7.2", base="7.3")
    assert [cell.tree.name for cell in part.cells] == ["7.3", "7.3", "7.2", "7.2"]
    assert {part.group(cell) for cell in part.cells} == set(BUILDS)


def test_only_the_runs_own_cells_are_collected_tree_by_tree(config: Config) -> None:
    part = begun(config, "7.3", "7.2")
    assert [cell.id for cell in part.cells] == [f"{place}@{tree}" for tree in ("7.3", "7.2") for place in BUILDS]


def test_a_build_is_kept_where_cells_without_a_result_force_a_start_method_on_it(
    config: Config, contexts: dict[str, Context]
) -> None:
    every = selection.every(config, [tree_words.tree(config, "7.3")])
    places = [f"debian-trixie/gcc/{build}" for build in ("minimal", "fork", "static")]
    cells = {cell.build.name: cell for cell in every if cell.place in places}
    part = PytestRun(store.begin(tuple(cells.values()), ["7.3"], [], 2), config=config)
    for cell in part.cells:
        part.result(cell)
    assert {cell.build.name: contexts[cell.id].keeps_build for cell in part.cells} == {
        "minimal": True, "fork": False, "static": False,
    }  # fmt: skip
    part.run.save(done(cells["fork"], verdict=Verdict.PASS))
    assert not part.context(cells["minimal"]).keeps_build


@pytest.mark.parametrize(
    "kind", [MutantsRun(planted={FAULT: "1"}), SeriesRun(patches=(PatchTree(number=1, tree="7.3", subject="one"),))]
)
def test_no_build_is_kept_for_start_methods_where_they_continue_from_another_trees(
    kind: RunKind, config: Config, contexts: dict[str, Context]
) -> None:
    assert contexts == {}
    every = selection.every(config, [tree_words.tree(config, "7.3")])
    places = [f"debian-trixie/gcc/{build}" for build in ("minimal", "fork")]
    cells = {cell.build.name: cell for cell in every if cell.place in places}
    part = PytestRun(store.begin(tuple(cells.values()), ["7.3"], [], 2, base="7.3", kind=kind), config=config)
    assert not part.context(cells["minimal"]).keeps_build


def test_a_configuration_is_loaded_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    run = begun(config, "7.3").run
    monkeypatch.setattr(store.Run, "configuration", lambda _: pytest.fail("a controller of xdist runs no cell"))
    part = PytestRun(run)
    part.hold()
    part.close()
    monkeypatch.setattr(store.Run, "configuration", lambda _: config)
    assert part.config is config


def test_a_cell_is_run_once_a_process_and_not_at_all_where_it_has_a_result(
    config: Config, contexts: dict[str, Context]
) -> None:
    part = begun(config, "7.3")
    first, second = part.cells
    part.run.save(done(first, verdict=Verdict.FAIL))
    part.run.save(done(second, verdict=Verdict.ERROR))
    for _ in range(2):
        assert part.result(first).verdict == Verdict.FAIL
        assert part.result(second).verdict == Verdict.PASS
    assert list(contexts) == [second.id]


def test_an_engine_that_cannot_be_had_is_one_error_of_a_cell(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def nowhere(*_: Any) -> Any:
        asked.append(1)
        raise InfrastructureError("no container engine answers")

    monkeypatch.setattr(private_engine, "ensure", nowhere)
    part = begun(config, "7.3")
    for _ in range(3):
        found = part.result(part.cells[0])
        assert (found.verdict, found.reason) == (Verdict.ERROR, "no container engine answers")
    assert len(asked) == 1
    assert part.run.result(part.cells[0].id) == found


def test_an_error_before_the_first_step_is_stored_once_with_its_traceback(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_engine, "ensure", lambda *_: None)
    monkeypatch.setattr(cell_run, "begun", lambda *_: {"ended": 1}["begun"])
    part = begun(config, "7.3")
    found = [part.result(part.cells[0]) for _ in range(3)]
    assert found == [part.run.result(part.cells[0].id)] * 3
    assert found[0].reason == "internal error: KeyError('begun')"
    log = part.run.cell(part.cells[0].id) / "logs" / internal_errors.TRACEBACK
    assert log.read_text().startswith("Traceback")


def test_a_result_that_cannot_be_stored_is_an_error_and_the_cell_is_run_once(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_run: Any, found: CellResult) -> None:
        saved.append(found)
        raise OSError(28, "No space left on device")

    saved: list[CellResult] = []
    monkeypatch.setattr(private_engine, "ensure", lambda *_: None)
    part = begun(config, "7.3")
    monkeypatch.setattr(store.Run, "save", full)
    for _ in range(3):
        assert part.result(part.cells[0]).reason.startswith("No space left on device\n")
    assert len(saved) == 2


def test_a_cell_is_reproduced_with_the_base_that_it_is_compared_with(
    config: Config, contexts: dict[str, Context]
) -> None:
    part = begun(config, "7.3", "7.2", base="7.3")
    found = {cell.tree.name: part.result(cell).reproduce for cell in part.cells}
    assert "--base 7.3" in found["7.2"]
    assert "--base" not in found["7.3"]
    assert len(contexts) == 4


def test_a_cell_of_a_patch_is_reproduced_from_its_result_in_the_run(
    config: Config, contexts: dict[str, Context]
) -> None:
    part = begun(config, "7.3")
    cell = part.cells[0]
    part.result(cell)
    delta = Delta(repository="/scratch", base="1", commit="2", sha256="0")
    patched = cell.model_copy(update={"tree": cell.tree.model_copy(update={"name": "p02", "delta": delta})})
    command = cell_run._reproduce(patched, contexts[cell.id])
    assert command == f"perf-matrix repro {cell.place}@p02 --run {part.run.name}"


def test_a_cell_with_a_fault_goes_on_with_the_unedited_build_and_runs_the_steps_of_its_faults_check(
    config: Config, contexts: dict[str, Context]
) -> None:
    kind = MutantsRun(planted={FAULT: "1"})
    part = begun(config, "7.3", f"7.3+{FAULT}", base="7.3", kind=kind)
    for cell in part.cells:
        part.result(cell)
    context = contexts[f"debian-trixie/gcc/static@7.3+{FAULT}"]
    assert context.predecessor is not None
    assert context.predecessor.name == "7.3"
    assert context.checks == ("build",)
    unedited = contexts["debian-trixie/gcc/static@7.3"]
    assert unedited.checks == ("build",)


def test_a_run_of_claims_runs_the_steps_of_their_checks(config: Config, contexts: dict[str, Context]) -> None:
    part = begun(config, "7.3", "7.2", base="7.3", kind=ClaimsRun(checks=("no-op",)))
    part.result(part.cells[0])
    assert [(context.checks, context.predecessor, context.keeps_build) for context in contexts.values()] == [
        (("no-op",), None, False)
    ]


def test_a_run_that_is_begun_by_hand_is_held_until_it_is_closed(config: Config) -> None:
    part = pytest_run.begin(config, cells_on(config, "7.3"), ["7.3"], [])
    assert locks.is_being_done(part.run)
    part.close()
    assert not locks.is_being_done(part.run)


def test_no_run_is_begun_by_hand_beside_a_measurement(places: Path, config: Config) -> None:
    with locks.measuring(), pytest.raises(UsageError, match="a comparison is being measured"):
        pytest_run.begin(config, cells_on(config, "7.3"), ["7.3"], [])
    assert list((places / "state" / "runs").iterdir()) == []
