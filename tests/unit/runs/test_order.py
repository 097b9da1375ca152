"""The order in which the cells of a run are begun: a short cell, then the longest first, the same in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix import files
from matrix.config import load, selection, tree_words
from matrix.model.cell_id import Place
from matrix.model.result import Predecessor, Verdict
from matrix.runs import order, store
from tests.unit.results import done

if TYPE_CHECKING:
    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.runs.store import Run

pytestmark = pytest.mark.usefixtures("places")
BUILDS = ("default", "minimal", "spawn", "static")
UNDECIDED = ["default@7.3", "minimal@7.3", "static@7.3", "spawn@7.3"]


@pytest.fixture(scope="module")
def config() -> Config:
    return load.load()


def cells_on(config: Config, *trees: str) -> tuple[Cell, ...]:
    every = selection.every(config, [tree_words.tree(config, word) for word in trees])
    return tuple(cell for cell in every if cell.place in {f"debian-trixie/gcc/{build}" for build in BUILDS})


def begun(config: Config, *trees: str, base: str = "") -> Run:
    return store.begin(cells_on(config, *trees), trees, [], 2, base=base)


def builds(run: Run, config: Config) -> list[str]:
    return [f"{cell.build.name}@{cell.tree.name}" for cell in order.cells(run, run.settings(), config)]


def lasted(run: Run, config: Config, **durations_s: float) -> None:
    """Let cells on 7.3 have results of such durations."""
    for cell in cells_on(config, "7.3"):
        if cell.build.name in durations_s:
            run.save(done(cell, run=run.name, verdict=Verdict.PASS, wall_s=durations_s[cell.build.name]))


def test_before_it_is_decided_the_order_is_that_of_ids_with_start_methods_last(config: Config) -> None:
    assert builds(begun(config, "7.3"), config) == UNDECIDED


def test_without_an_earlier_run_the_builds_tell_which_cell_is_short(config: Config) -> None:
    run = begun(config, "7.3")
    order.decide(run, config)
    # minimal is short; with spawn, which continues from it, it takes as long as the others, and their names decide.
    assert builds(run, config) == ["minimal@7.3", "spawn@7.3", "default@7.3", "static@7.3"]


def test_earlier_runs_tell_how_long_a_cell_takes_and_the_newest_counts(config: Config) -> None:
    older, newer = (begun(config, "7.3") for _ in range(2))
    if older.name > newer.name:  # of one second
        older, newer = newer, older
    lasted(older, config, default=1.0, minimal=900.0, spawn=500.0, static=700.0)
    lasted(newer, config, default=300.0, minimal=400.0)
    run = begun(config, "7.2")
    order.decide(run, config)
    assert builds(run, config) == ["default@7.2", "minimal@7.2", "spawn@7.2", "static@7.2"]


def test_those_on_the_base_tree_come_first_in_the_order_of_their_places(config: Config) -> None:
    earlier = begun(config, "7.3")
    lasted(earlier, config, default=300.0, minimal=400.0, spawn=500.0, static=700.0)
    run = begun(config, "7.3", "7.2", base="7.3")
    order.decide(run, config)
    places = ["default", "minimal", "spawn", "static"]
    assert builds(run, config) == [*(f"{one}@7.3" for one in places), *(f"{one}@7.2" for one in places)]


def test_a_run_that_goes_on_orders_what_it_lacks(config: Config) -> None:
    run = begun(config, "7.3")
    lasted(run, config, minimal=20.0, default=30.0)
    order.decide(run, config)
    # Of the first group minimal has a result; default, which has one, too, is in none that is lacking.
    assert builds(run, config) == ["minimal@7.3", "spawn@7.3", "static@7.3", "default@7.3"]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"steps": ()}, id="skipped"),
        pytest.param({"wall_s": 0.0}, id="not run"),
        pytest.param({"gone_on": Predecessor(tree="7.3", touched=())}, id="continued"),
    ],
)
def test_a_result_of_a_cell_that_was_not_built_from_scratch_tells_no_duration(
    config: Config, more: dict[str, Any]
) -> None:
    run = begun(config, "7.3")
    for cell in cells_on(config, "7.3"):
        run.save(done(cell, run=run.name, **{"wall_s": 5.0, **more}))
    assert order.durations_s({Place("debian-trixie/gcc/default")}) == {}


@pytest.mark.parametrize("content", ["", "{", "{}", "null", '"a"', "[1, null]", pytest.param("[" * 100_000, id="deep")])
def test_an_order_that_is_damaged_is_none(config: Config, content: str) -> None:
    run = begun(config, "7.3")
    (run.folder / order.FILE).write_text(content)
    assert builds(run, config) == UNDECIDED


def test_a_damaged_result_of_another_run_tells_nothing(config: Config) -> None:
    run = begun(config, "7.3")
    lasted(run, config, default=300.0, static=200.0)
    (run.cell("debian-trixie/gcc/default@7.3") / "result.json").write_text('{"id": 1}')
    places = {cell.place for cell in cells_on(config, "7.3")}
    assert order.durations_s(places) == {"debian-trixie/gcc/static": 200.0}


def test_only_the_newest_runs_are_looked_at(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    lasted(begun(config, "7.3"), config, default=300.0)
    place = Place("debian-trixie/gcc/default")
    assert order.durations_s({place}) == {place: 300.0}
    monkeypatch.setattr(order, "MOST_RUNS", 0)
    assert order.durations_s({place}) == {}


def test_a_full_disk_is_no_reason_to_run_nothing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    run = begun(config, "7.3")
    monkeypatch.setattr(files, "write", full)
    order.decide(run, config)
    assert builds(run, config) == UNDECIDED
