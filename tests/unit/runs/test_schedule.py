from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.model.build import Build
from matrix.model.cell_id import CellId
from matrix.model.result import CheckResult, Predecessor, Verdict
from matrix.runs import schedule
from matrix.runs.run_kind import SeriesRun
from matrix.runs.run_settings import RunSettings
from matrix.verdicts.series import PatchTree
from tests.unit import conftest as make
from tests.unit.results import done

if TYPE_CHECKING:
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult


def ids(*words: str) -> tuple[CellId, ...]:
    return tuple(CellId(f"i/gcc/{word}") for word in words)


def settings(base: str = "") -> RunSettings:
    return RunSettings(run="r1", started="", tool_version="0", trees=("head",), cells=ids("b1@base"), jobs=1, base=base)


@pytest.mark.parametrize(
    ("asked", "cells", "processors", "memory_gib", "at_once"),
    [
        (0, 9, 1, 16, 1),
        (0, 9, 2, 16, 2),
        (0, 9, 3, 16, 2),
        (0, 9, 8, 16, 4),
        (0, 9, 8, 7, 3),
        (0, 9, 8, 1, 1),
        (0, 3, 8, 16, 3),
        (6, 9, 2, 4, 6),
        (6, 4, 2, 16, 4),
        (0, 0, 8, 16, 1),
    ],
)
def test_a_cell_runs_for_each_two_processors_unless_another_number_is_asked_for(
    asked: int, cells: int, processors: int, memory_gib: int, at_once: int
) -> None:
    assert schedule.workers(asked, cells, processors, memory_gib << 30) == at_once


@pytest.mark.parametrize(
    ("expected", "order"),
    [
        ({}, []),
        ({"a": (1.0, 1.0)}, ["a"]),
        ({"a": (2.0, 2.0), "b": (3.0, 3.0), "c": (1.0, 1.0)}, ["c", "b", "a"]),
        ({"a": (2.0, 2.0), "b": (3.0, 1.0), "c": (4.0, 4.0)}, ["b", "c", "a"]),
        ({"b": (2.0, 2.0), "a": (2.0, 2.0), "c": (2.0, 2.0)}, ["a", "b", "c"]),
    ],
)
def test_the_group_with_a_short_cell_is_begun_first_and_then_the_longest(
    expected: dict[str, tuple[float, float]], order: list[str]
) -> None:
    times = {name: schedule.GroupDuration(*durations_s) for name, durations_s in expected.items()}
    assert schedule.in_order(times) == order


def test_without_a_number_the_processors_are_those_of_this_machine() -> None:
    assert schedule.workers(0, 1) == 1
    assert schedule.jobs(0, 1) >= 2


@pytest.mark.parametrize(
    ("asked", "at_once", "processors", "jobs"), [(0, 4, 16, 4), (0, 4, 4, 2), (0, 1, 1, 2), (7, 4, 16, 7)]
)
def test_cells_that_run_at_once_share_the_processors(asked: int, at_once: int, processors: int, jobs: int) -> None:
    assert schedule.jobs(asked, at_once, processors) == jobs


def test_cells_that_are_compared_with_a_base_are_run_by_one_worker_a_place() -> None:
    todo = [with_build(tree, name=build) for build in ("b1", "b2") for tree in ("base", "head")]
    assert [schedule.group(settings("base"), cell) for cell in todo[:2]] == ["debian-trixie/gcc/b1"] * 2
    assert schedule.at_once(settings("base"), todo, 0, processors=16) == 2


def test_cells_that_need_nothing_of_each_other_are_run_by_any_worker() -> None:
    todo = [with_build(tree, name=build) for build in ("b1", "b2") for tree in ("base", "head")]
    assert len({schedule.group(settings(), cell) for cell in todo}) == 4
    assert "@" not in schedule.group(settings(), todo[0])
    assert schedule.at_once(settings(), todo, 0, processors=16) == 4
    assert schedule.at_once(settings(), (), 0, processors=16) == 1


def with_build(tree_name: str, **build: str) -> Cell:
    return make.cell().model_copy(
        update={"build": Build.model_validate({"summary": "s", **build}), "tree": make.tree(tree_name)}
    )


def test_one_worker_runs_a_build_and_the_cells_that_force_a_start_method_on_it() -> None:
    plain, other = with_build("t", name="plain"), with_build("t", name="other")
    forced = [with_build(name, name="spawn", extends="plain", start_method="spawn") for name in ("t", "elsewhere")]
    names = [schedule.group(settings(), cell) for cell in (plain, *forced, other)]
    assert names == [
        "debian-trixie/gcc/plain t",
        "debian-trixie/gcc/plain t",
        "debian-trixie/gcc/plain elsewhere",
        "debian-trixie/gcc/other t",
    ]
    assert {schedule.group(settings("base"), cell) for cell in (plain, *forced)} == {"debian-trixie/gcc/plain"}
    assert schedule.at_once(settings(), (plain, forced[0]), 0, processors=16) == 1


def test_cells_that_share_a_build_are_one_at_a_time_and_have_all_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    plain, forced = with_build("t", name="plain"), with_build("t", name="spawn", extends="plain", start_method="spawn")
    assert schedule.jobs_of((plain, forced), "", 0, 0) == 8
    assert schedule.jobs_of((plain, with_build("t", name="other")), "", 0, 0) == 4
    assert schedule.jobs_of((plain, forced), "", 0, 3) == 3


def test_in_a_series_each_build_continues_from_its_own_of_another_patch() -> None:
    forced = with_build("t", name="spawn", extends="plain", start_method="spawn")
    of_series = settings("base").model_copy(update={"kind": SeriesRun(patches=PATCHES)})
    assert schedule.group(of_series, forced) == "debian-trixie/gcc/spawn"


def test_cells_without_a_result_and_with_an_error_are_lacking() -> None:
    wanted = ids("a@t", "b@t", "c@t", "d@t")
    results = {
        cell_id: done(id=cell_id, verdict=verdict)
        for cell_id, verdict in zip(wanted, (Verdict.PASS, Verdict.ERROR, Verdict.FAIL), strict=False)
    }
    assert schedule.lacking(wanted, results) == (wanted[1], wanted[3])


PATCHES = (
    PatchTree(number=1, tree="p01", subject="one"),
    PatchTree(number=2, tree="p02", subject="two", may_go_on_with="p01"),
    PatchTree(number=3, tree="p03", subject="three", may_go_on_with="p01"),
)
[FIRST, SECOND, THIRD] = ids("b@p01", "b@p02", "b@p03")


def results_of(**by_tree: CellResult) -> dict[CellId, CellResult]:
    return {CellId(f"i/gcc/b@{tree}"): found for tree, found in by_tree.items()}


def from_scratch(cell_id: CellId, verdict: Verdict = Verdict.PASS) -> CellResult:
    return done(id=cell_id, checks=(CheckResult(check="touch", verdict=verdict, examined=1),))


def test_a_patch_goes_on_with_the_last_build_from_scratch_that_it_may_go_on_with() -> None:
    results = results_of(p01=from_scratch(FIRST), p02=from_scratch(SECOND))
    assert schedule.predecessor(THIRD, PATCHES, results) == SECOND
    assert schedule.predecessor(SECOND, PATCHES, results) == FIRST


def test_a_patch_goes_on_with_no_build_that_went_on_itself_nor_with_one_that_does_not_rebuild() -> None:
    went_on = from_scratch(SECOND).model_copy(update={"gone_on": Predecessor(tree="p01", touched=())})
    assert schedule.predecessor(THIRD, PATCHES, results_of(p01=from_scratch(FIRST), p02=went_on)) == FIRST
    stale = results_of(p01=from_scratch(FIRST, Verdict.FAIL))
    assert schedule.predecessor(SECOND, PATCHES, stale) is None


def test_where_nothing_was_built_or_may_be_gone_on_with_a_cell_is_built_from_scratch() -> None:
    assert schedule.predecessor(SECOND, PATCHES, {}) is None
    assert schedule.predecessor(FIRST, PATCHES, results_of(p02=from_scratch(SECOND))) is None
    assert schedule.predecessor(SECOND, (), results_of(p01=from_scratch(FIRST))) is None


def test_a_build_is_awaited_by_a_cell_of_its_place_without_result_that_may_go_on_with_it() -> None:
    assert schedule.is_awaited(FIRST, PATCHES, {SECOND})
    assert schedule.is_awaited(SECOND, PATCHES, {THIRD})
    assert not schedule.is_awaited(SECOND, PATCHES, {FIRST})
    assert not schedule.is_awaited(FIRST, PATCHES, {FIRST})
    assert not schedule.is_awaited(FIRST, PATCHES, ids("other@p02"))
    assert not schedule.is_awaited(FIRST, (), {SECOND})
