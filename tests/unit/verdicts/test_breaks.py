from __future__ import annotations

import pytest

from matrix.model.result import Verdict
from matrix.verdicts import breaks, series
from matrix.verdicts.series import Break
from tests.unit.patches import PLACE, on, rows, step


@pytest.mark.parametrize(
    ("said", "following"),
    [
        ({4: True}, 1),
        ({2: False, 4: True}, 2),
        ({1: False, 2: False, 3: True, 4: True}, None),
        ({2: True, 4: False}, None),
        ({}, None),
    ],
)
def test_the_next_row_to_run_is_halfway_between_right_and_not(said: dict[int, bool], following: int | None) -> None:
    assert breaks.next_row(rows(said), PLACE) == following


def test_idle_patches_and_those_that_were_tried_are_not_run() -> None:
    steps = [step(1), step(2, idle=True), step(3), step(4)]
    results = {PLACE.on("base"): on("base"), PLACE.on("p04"): on("p04", bad=True)}
    wanted = [PLACE.on("p04")]
    assert breaks.next_row(series.patch_results(steps, wanted, results), PLACE) == 2
    results[PLACE.on("p03")] = on("p03", verdict=Verdict.ERROR)
    wanted.append(PLACE.on("p03"))
    assert breaks.next_row(series.patch_results(steps, wanted, results), PLACE) == 0
    results[PLACE.on("p01")] = on("p01")
    found = series.patch_results(steps, [*wanted, PLACE.on("p01")], results)
    assert breaks.next_row(found, PLACE) is None
    assert breaks.series_result("r", "b", found).breaks == (
        Break(cell=PLACE, keys=("clean left:/a",), suspects=(3, 4)),
    )


def test_halving_ends_at_the_first_bad_patch() -> None:
    for first in range(1, 15):
        said = {14: True}
        while (at := breaks.next_row(rows(said, 14), PLACE)) is not None:
            said[at + 1] = at + 1 >= first
        [broken] = breaks.series_result("r", "b", rows(said, 14)).breaks
        assert (broken.suspects, broken.mended) == ((first,), 0)
        assert len(said) <= 5


def test_what_was_mended_does_not_hide_what_broke_after_it() -> None:
    keys = {2: ("/a",), 10: (), 12: ("/b",), 14: ("/b",)}
    results = {PLACE.on("base"): on("base")}
    steps = [step(number) for number in range(1, 15)]

    def run(number: int) -> None:
        left = next((keys[at] for at in sorted(keys, reverse=True) if at <= number), ())
        results[PLACE.on(f"p{number:02}")] = on(f"p{number:02}", left=left)

    run(14)
    while (at := breaks.next_row(series.patch_results(steps, list(results), results), PLACE)) is not None:
        run(at + 1)
    found = breaks.series_result("r", "b", series.patch_results(steps, list(results), results)).breaks
    assert [(each.keys, each.suspects) for each in found if not each.mended] == [(("clean left:/b",), (12,))]


def test_a_series_names_the_first_patch_that_breaks_something_and_the_one_that_mends_it() -> None:
    found = breaks.series_result("r", "7.3", rows({1: False, 2: True, 3: False, 4: False}))
    assert found.breaks == (Break(cell=PLACE, keys=("clean left:/a",), suspects=(2,), mended=3),)
    assert found.exit_status == 1
