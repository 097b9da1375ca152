from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrix.config.selection import SelectedCells
from matrix.errors import UsageError
from matrix.model.cell_id import CellId, Place
from matrix.model.result import StepResult, Verdict
from matrix.runs import schedule, shard
from tests.unit.conftest import build, cell, result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CELLS = tuple(CellId(f"i/gcc/b{number}@{tree}") for number in range(7) for tree in ("base", "head"))


def by_place(cell_id: CellId) -> str:
    return schedule.group_on("base", cell_id)


def shares(of: int, durations_s: Mapping[Place, float]) -> list[Sequence[CellId]]:
    return [shard.share(CELLS, by_place, f"{number}/{of}", durations_s)[0] for number in range(1, of + 1)]


@given(
    st.integers(1, 7),
    st.dictionaries(st.sampled_from(sorted({cell_id.place for cell_id in CELLS})), st.floats(1, 1e4), max_size=7),
)
def test_every_cell_is_in_one_shard_and_no_group_is_divided(of: int, durations_s: dict[Place, float]) -> None:
    found = shares(of, durations_s)
    assert sorted(itertools.chain(*found)) == sorted(CELLS)
    for mine in found:
        places = [cell_id.place for cell_id in mine]
        assert {place: places.count(place) for place in places} == dict.fromkeys(places, 2)
    assert found == shares(of, dict(reversed(durations_s.items())))


def test_without_durations_the_shards_have_as_many_cells() -> None:
    assert [len(mine) for mine in shares(3, {})] == [6, 4, 4]


def test_with_durations_the_shards_take_as_long() -> None:
    walls_s = {Place(f"i/gcc/b{number}"): wall_s for number, wall_s in enumerate((90, 40, 30, 20, 10, 9, 1))}
    places = [sorted({cell_id.place for cell_id in mine}) for mine in shares(2, walls_s)]
    assert [sum(walls_s[place] for place in mine) for mine in places] == [100, 100]


def test_a_place_of_unknown_duration_counts_as_the_mean_of_the_others() -> None:
    known = {Place("i/gcc/b0"): 10.0, Place("i/gcc/b1"): 30.0}
    first, second, third = (CellId(f"i/gcc/b{number}@t") for number in range(3))
    found = [shard.share((first, second, third), str, f"{number}/2", known)[0] for number in (1, 2)]
    assert found == [(second,), (first, third)]


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/1001", "1/2/3", "-1/2", "²/3"])
def test_a_shard_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no shard"):
        shard.parse(text)


def test_a_shard_without_a_cell_is_refused() -> None:
    with pytest.raises(UsageError, match="shard 8/8 has no cell: there is only 7 groups of cells"):
        shard.share(CELLS, by_place, "8/8", {})


def test_a_selection_is_divided_and_the_shard_knows_the_whole() -> None:
    found = SelectedCells((cell(), cell(what=build("static"))), ("7.3",))
    assert shard.of_selection(found, "", []) == (found, None)
    mine, made = shard.of_selection(found, "2/2", [])
    assert made is not None
    assert ([c.id for c in mine.cells], str(made)) == (["debian-trixie/gcc/static@7.3"], "2/2")
    assert made.whole == tuple(c.id for c in found.cells)


def test_durations_are_those_of_cells_that_were_run() -> None:
    step = StepResult(name="build", command="make", verdict=Verdict.PASS)
    results = [
        result("i/gcc/b1@t", steps=(step,), wall_s=10),
        result("i/gcc/b1@u", steps=(step,), wall_s=20),
        result("i/gcc/b2@t", wall_s=5),
        result("i/gcc/b3@t", steps=(step,)),
    ]
    assert shard.durations_s(results) == {Place("i/gcc/b1"): 15}
