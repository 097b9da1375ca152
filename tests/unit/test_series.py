from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix import series
from matrix.result import CellResult, CheckResult, Finding, Verdict
from matrix.series import Outcome, Row, Step
from tests.unit.conftest import result

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACE = "debian-trixie/gcc/default"


def step(number: int, *, idle: bool = False) -> Step:
    return Step(number=number, subject=f"patch {number}", tree=f"p{number:02}", idle=idle)


def on(tree: str, *, bad: bool = False, verdict: Verdict | None = None) -> CellResult:
    found = (Finding(kind="left", subject="/a", expected="none", actual="one"),) if bad else ()
    check = CheckResult(check="clean", verdict=Verdict.FAIL if bad else Verdict.PASS, findings=found, examined=1)
    return result(f"{PLACE}@{tree}", verdict or check.verdict, checks=(check,), reason="why")


def rows(said: dict[int, bool], count: int = 4) -> tuple[Row, ...]:
    """Return the rows of a series of which some patches were run: their numbers, and whether they newly fail."""
    results = [on("base"), *(on(f"p{number:02}", bad=bad) for number, bad in said.items())]
    steps = [step(number) for number in range(1, count + 1)]
    return series.rows(steps, [PLACE], {result.id: result for result in results})


def verdicts(found: Sequence[Row]) -> list[Verdict]:
    return [row.verdict for row in found]


def test_each_patch_is_held_against_the_base() -> None:
    assert verdicts(rows({1: False, 2: True})) == [Verdict.PASS, Verdict.FAIL, Verdict.SKIP, Verdict.SKIP]


def test_what_the_infrastructure_failed_at_is_an_error() -> None:
    results = {f"{PLACE}@base": on("base"), f"{PLACE}@p01": on("p01", verdict=Verdict.ERROR)}
    found = series.rows([step(1)], [PLACE], results)
    assert verdicts(found) == [Verdict.ERROR]
    assert series.suspects(found, PLACE) is None
    assert series.outcome("r", "b", found, [PLACE]).exit_status == 3


@pytest.mark.parametrize(
    ("said", "suspected"),
    [
        ({4: True}, (-1, 3)),
        ({2: False, 4: True}, (1, 3)),
        ({2: True, 4: True}, (-1, 1)),
        ({1: True, 2: False, 3: True, 4: True}, (1, 2)),
        ({2: True, 4: False}, None),
        ({2: True}, (-1, 1)),
        ({}, None),
    ],
)
def test_the_first_bad_patch_is_after_the_last_good_one(
    said: dict[int, bool], suspected: tuple[int, int] | None
) -> None:
    assert series.suspects(rows(said), PLACE) == suspected


def test_the_next_patch_to_run_is_halfway_and_not_idle() -> None:
    steps = [step(1), step(2, idle=True), step(3), step(4)]
    assert series.between((-1, 3), steps) == 2
    assert series.between((0, 2), steps) is None
    assert series.between((2, 3), steps) is None


def test_halving_ends_at_the_first_bad_patch() -> None:
    for first in range(1, 15):
        said = {14: True}
        while (suspected := series.suspects(rows(said, 14), PLACE)) is not None:
            at = series.between(suspected, [step(number) for number in range(1, 15)])
            if at is None:
                break
            said[at + 1] = at + 1 >= first
        assert series.outcome("r", "b", rows(said, 14), [PLACE]).first == {PLACE: first}
        assert len(said) <= 5


def test_a_series_names_the_first_patch_that_breaks_something_and_the_one_that_mends_it() -> None:
    found = series.outcome("r", "7.3", rows({1: False, 2: True, 3: False, 4: False}), [PLACE, "other"])
    assert (found.first, found.mended, found.exit_status) == ({PLACE: 2}, {PLACE: 3}, 1)


@pytest.mark.parametrize(("said", "status"), [({4: False}, 0), ({4: True}, 1), ({}, 3)])
def test_the_exit_status_is_0_only_where_something_was_run_and_nothing_newly_fails(
    said: dict[int, bool], status: int
) -> None:
    found: Outcome = series.outcome("r", "7.3", rows(said), [PLACE])
    assert found.exit_status == status


LISTED = series.patterns("COPYING\ntools/perf\n\narch/*/include/uapi/asm/x.h\ntools/lib/bpf\n")


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

    assert series.needed([1, 2, 3, 4, 5], 4, applies) == (1, 3)
    assert series.needed([1, 2, 3, 4, 5], 2, applies) == ()
