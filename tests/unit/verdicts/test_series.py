from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.model import globs
from matrix.model.result import CellResult, CheckResult, Verdict
from matrix.verdicts import breaks, kept_build, series
from tests.unit.patches import PLACE, on, rows, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.cell_id import CellId
    from matrix.verdicts.series import PatchResult, SeriesResult


def verdicts(found: Sequence[PatchResult]) -> list[Verdict]:
    return [row.verdict for row in found]


def test_each_patch_is_held_against_the_base() -> None:
    assert verdicts(rows({1: False, 2: True})) == [Verdict.PASS, Verdict.FAIL, Verdict.SKIP, Verdict.SKIP]


def test_what_the_infrastructure_failed_at_or_left_out_is_an_error() -> None:
    results = {PLACE.on("base"): on("base"), PLACE.on("p01"): on("p01", verdict=Verdict.ERROR)}
    found = series.patch_results([step(1), step(2)], [PLACE.on("p01"), PLACE.on("p02")], results)
    assert verdicts(found) == [Verdict.ERROR, Verdict.ERROR]
    assert breaks.next_row(found, PLACE) is None
    assert breaks.series_result("r", "b", found).exit_status == 3


def test_what_is_skipped_on_both_trees_proves_nothing() -> None:
    skipped = {PLACE.on(name): on(name, verdict=Verdict.SKIP) for name in ("base", "p01")}
    found = series.patch_results([step(1)], [PLACE.on("p01")], skipped)
    assert breaks.series_result("r", "b", found).exit_status == 3


@pytest.mark.parametrize(("said", "status"), [({4: False}, 0), ({4: True}, 1), ({}, 3)])
def test_the_exit_status_is_0_only_where_something_was_run_and_nothing_newly_fails(
    said: dict[int, bool], status: int
) -> None:
    found: SeriesResult = breaks.series_result("r", "7.3", rows(said))
    assert found.exit_status == status


LISTED = series.manifest_globs("COPYING\ntools/perf\n\narch/*/include/uapi/asm/x.h\ntools/lib/bpf\n")


@pytest.mark.parametrize(
    ("file", "idle"),
    [
        ("tools/perf/Makefile.perf", False),
        ("tools/perf", False),
        ("arch/x86/include/uapi/asm/x.h", False),
        ("tools/lib/bpf/Makefile", False),
        ("tools/lib/bpfx/Makefile", True),
        ("Documentation/x.rst", True),
        ("COPYING2", True),
    ],
)
def test_what_perf_is_not_built_from_is_idle(file: str, *, idle: bool) -> None:
    assert series.is_idle([file], LISTED) is idle
    assert not series.is_idle([file, "tools/perf/x"], LISTED)
    assert not series.is_idle([file], ())


def test_what_a_patch_needs_is_what_it_does_not_apply_without() -> None:
    needs = {4: {1, 3}, 3: {1}}

    def applies(numbers: Sequence[int]) -> bool:
        return all(needs.get(number, set()) <= set(numbers[:at]) for at, number in enumerate(numbers))

    assert series.needed_patches([1, 2, 3, 4, 5], 4, applies) == (1, 3)
    assert series.needed_patches([1, 2, 3, 4, 5], 2, applies) == ()


def test_a_build_goes_on_with_that_of_the_last_patch_of_another_kind() -> None:
    steps = [step(number, idle=number == 3) for number in range(1, 9)]
    found = kept_build.with_predecessors(steps, {1, 3, 4, 6, 7, 8})
    assert [one.may_go_on_with for one in found] == ["base", "", "", "p02", "", "p05", "p05", ""]


def test_the_end_of_a_series_is_built_from_scratch_even_where_idle_patches_follow() -> None:
    steps = [step(1), step(2), step(3, idle=True)]
    assert [one.may_go_on_with for one in kept_build.with_predecessors(steps, {1, 2})] == ["base", "", ""]


def test_patches_that_are_alone_go_on_with_the_base() -> None:
    steps = [step(number, alone=True) for number in (1, 2, 3)]
    assert [one.may_go_on_with for one in kept_build.with_predecessors(steps, {1, 3})] == ["base", "", "base"]


def test_a_build_goes_on_with_the_latest_that_differs_by_sources_alone() -> None:
    steps = kept_build.with_predecessors([step(number) for number in range(1, 7)], {1, 2, 4, 5, 6})
    assert kept_build.predecessors(steps, "p02") == ("p01", "base")
    assert kept_build.predecessors(steps, "p05") == ("p04", "p03")
    assert (
        kept_build.predecessors(steps, "p03")
        == kept_build.predecessors(steps, "p06")
        == kept_build.predecessors(steps, "base")
        == ()
    )
    alone = kept_build.with_predecessors([step(number, alone=True) for number in (1, 2)], {1, 2})
    assert kept_build.predecessors(alone, "p02") == ("base",)


def known(tree: str, *, gone: bool = False, after: str = "") -> CellResult:
    """Return a result with a finding that is known, or with that of the list where it is gone."""
    one = on(tree, left=("/a",), after=after)
    [check] = one.checks
    kind = "known-failure-gone" if gone else "left"
    finding = check.findings[0].model_copy(update={"kind": kind, "known": "" if gone else "so it is"})
    came = CheckResult(check="clean", verdict=Verdict.FAIL if gone else Verdict.XFAIL, findings=(finding,), examined=1)
    return one.model_copy(update={"checks": (came,)})


def doubtful(*results: CellResult) -> tuple[CellId, ...]:
    return kept_build.to_do_from_scratch({one.id: one for one in results})


@pytest.mark.parametrize("below", ["base", "p01"])
def test_what_went_on_and_came_to_something_else_is_to_be_done_from_scratch(below: str) -> None:
    doubt = (PLACE.on("p02"),)
    assert doubtful(on(below), on("p02", after=below)) == ()
    assert doubtful(on(below, bad=True), on("p02", bad=True, after=below)) == ()
    assert doubtful(on(below), on("p02", bad=True, after=below)) == doubt
    assert doubtful(on(below, bad=True), on("p02", after=below)) == doubt, "a copy may hide it"
    assert doubtful(known(below), known("p02", after=below)) == ()
    assert doubtful(known(below), on("p02", after=below)) == doubt
    assert doubtful(known(below), known("p02", gone=True, after=below)) == doubt
    assert doubtful(on(below, verdict=Verdict.SKIP), on("p02", after=below)) == doubt


def test_what_is_from_scratch_or_failed_for_another_reason_is_not_doubted() -> None:
    assert doubtful(on("base"), on("p01", bad=True)) == ()
    assert doubtful(on("base"), on("p01", verdict=Verdict.ERROR, after="base")) == ()
    assert doubtful(on("p01", bad=True, after="base")) == ()


def test_a_row_says_with_what_its_build_went_on() -> None:
    results = [on("base"), on("p01", bad=True, after="base"), on("p02", bad=True)]
    found = series.patch_results([step(1), step(2)], [one.id for one in results], {one.id: one for one in results})
    assert [held.on for row in found for held in row.held] == ["base", ""]


def test_each_glob_of_a_manifest_is_compiled_once_however_many_files_a_patch_changes() -> None:
    """With more globs than the cache holds, each was compiled again for every file."""
    globs._expression.cache_clear()
    manifest = tuple(f"tools/{number}" for number in range(2000))
    assert series.is_idle([f"net/{number}.c" for number in range(5)], manifest)
    assert globs._expression.cache_info().misses == 2 * len(manifest)
