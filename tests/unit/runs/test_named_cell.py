from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.config import load, selection, tree_words
from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.model.cell_id import Place
from matrix.runs import cell_shell, named_cell, store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("places")

LOADED = load.load()
SOURCE = "git:/srv/linux@v1"
NAME = tree_words.tree(LOADED, SOURCE).name
PLACE, OTHER = Place("debian-trixie-min/gcc/minimal"), Place("debian-trixie/gcc/static")
LIMITS = Limits(pids=100)


def begin(*words: str, places: tuple[Place, ...] = (PLACE,)) -> store.Run:
    names = [tree_words.tree(LOADED, word).name for word in words]
    cells = selection.on_trees(LOADED, [place.on(name) for place in places for name in names], words)
    return store.begin(cells, words, [], 2, LIMITS)


def later(run: store.Run, name: str) -> store.Run:
    """Rename a run, as names sort by time and runs of one second by chance."""
    return store.Run(run.folder.rename(run.folder.with_name(name)))


def test_a_cell_of_the_configuration_is_of_no_run() -> None:
    begin("7.2")
    found = named_cell.find(LOADED, PLACE.on("7.2"))
    assert (found.cell.id, found.run, found.pins) == (PLACE.on("7.2"), None, None)
    assert cell_shell.circumstances(found) == cell_shell.USUAL
    assert named_cell.find(LOADED, PLACE, [SOURCE]).run is None


def test_a_cell_on_a_tree_that_only_runs_know_is_of_the_newest_that_has_it() -> None:
    later(begin(SOURCE), "1")
    newest = later(begin(SOURCE), "2")
    later(begin("7.3"), "3")
    (later(begin(SOURCE), "4").folder / "run.json").write_text("{")
    found = named_cell.find(LOADED, PLACE.on(NAME))
    assert (found.cell.id, found.cell.tree.source) == (PLACE.on(NAME), SOURCE)
    assert (found.run, found.pins) == (newest, newest.pins)
    assert cell_shell.circumstances(found) == cell_shell.Circumstances(limits=LIMITS, pins=newest.pins)


def test_a_cell_that_neither_the_configuration_nor_a_run_has_is_refused_with_the_options_that_give_one() -> None:
    begin(SOURCE)
    with pytest.raises(UsageError) as told:
        named_cell.find(LOADED, OTHER.on(NAME))
    assert f"no run of this machine has a cell '{OTHER}@{NAME}', and no tree is called '{NAME}'" in str(told.value)
    assert "--tree" in told.value.hint
    assert "--run" in told.value.hint


@pytest.mark.parametrize(
    ("glob", "trees", "tree"),
    [(PLACE, (), "7.3"), (PLACE, ("7.2",), "7.2"), (PLACE.on("7.2"), (), "7.2"), (f"{PLACE}@{NAME}", (), NAME)],
)
def test_a_cell_of_a_named_run_is_on_the_tree_that_is_named_or_on_the_usual_one(
    glob: str, trees: tuple[str, ...], tree: str
) -> None:
    run = begin("7.2", "7.3", SOURCE)
    begin(SOURCE)
    found = named_cell.find(LOADED, glob, trees, run.name)
    assert (found.cell.id, found.run) == (PLACE.on(tree), run)


def test_a_run_on_another_tree_alone_has_its_cell_on_that() -> None:
    assert named_cell.find(LOADED, PLACE, (), begin("7.2").name).cell.id == PLACE.on("7.2")


def test_several_cells_or_none_of_a_named_run_are_refused() -> None:
    run = begin("7.2", places=(PLACE, OTHER))
    with pytest.raises(UsageError, match=f"2 cells of run {run.name} are meant\n  Name one of: {PLACE}@7.2, {OTHER}"):
        named_cell.find(LOADED, "*", (), run.name)
    with pytest.raises(UsageError, match=f"run {run.name} has no cell '{PLACE}@7.3'"):
        named_cell.find(LOADED, PLACE.on("7.3"), (), run.name)


def test_a_run_from_elsewhere_does_not_say_what_a_cell_is(tmp_path: Path) -> None:
    moved = begin("7.2").folder.rename(tmp_path / "moved")
    found = named_cell.find(LOADED, PLACE, (), str(moved))
    assert (found.cell.id, found.run) == (PLACE.on("7.3"), None)
