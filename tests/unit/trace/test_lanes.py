from __future__ import annotations

import itertools
import random

import pytest

from matrix.scenario import plan
from matrix.trace import lanes
from tests.unit.conftest import PERF, file
from tests.unit.trace.test_timeline import OWN, ran, timeline

Spans = list[tuple[float, float]]
_chance = random.Random(1)  # noqa: S311 - the same spans each time
RANDOM: Spans = [(float(at), float(at + _chance.randrange(20))) for at in sorted(_chance.choices(range(200), k=300))]


@pytest.mark.parametrize(
    ("spans", "rows"),
    [
        ([], ()),
        ([(0, 2), (1, 3), (2, 4), (3, 5)], (0, 1, 0, 1)),
        ([(0, 9), (1, 5), (2, 3), (3, 4), (5, 6)], (0, 1, 2, 2, 1)),
        ([(0, 3), (0, 2), (0, 1), (3, 4)], (0, 1, 2, 0)),
        ([(1, 1), (1, 1), (1, 2)], (0, 0, 0)),
    ],
)
def test_a_span_takes_the_lowest_row_that_is_free(spans: Spans, rows: tuple[int, ...]) -> None:
    assert lanes.rows(spans) == rows


def test_no_two_spans_overlap_on_a_row_and_no_lower_row_is_free() -> None:
    rows = lanes.rows(RANDOM)
    assert max(rows) > 3
    for (earlier, a), (later, b) in itertools.combinations(zip(RANDOM, rows, strict=True), 2):
        assert a != b or earlier[1] <= later[0]
    for index, ((start, _), row) in enumerate(zip(RANDOM, rows, strict=True)):
        taken = {rows[before] for before in range(index) if RANDOM[before][1] > start}
        assert set(range(row)) <= taken


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ([], ()),
        ([(0, 2), (2, 3), (3, 3), (3, 5)], (0, 1, 2, 3)),
        ([(0, 3), (1, 9), (8, 10)], (1,)),
        ([(0, 2), (1, 9), (9, 10)], (1, 2)),
        ([(4, 5), (0, 1), (4, 5)], (1, 0)),
        ([(0, 9), (5, 5)], (0,)),
    ],
)
def test_of_spans_that_overlap_the_longest_is_kept(spans: Spans, kept: tuple[int, ...]) -> None:
    assert lanes.apart(spans) == kept


def test_what_is_kept_does_not_overlap_and_what_is_not_overlaps_something_as_long() -> None:
    kept = [RANDOM[index] for index in lanes.apart(RANDOM)]
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(kept))
    for start, end in RANDOM:
        over = [one for one in kept if one[0] < end and start < one[1]] or [one for one in kept if one == (start, end)]
        inside = [one for one in kept if start == end and one[0] <= start <= one[1]]
        assert any(one[1] - one[0] >= end - start for one in [*over, *inside])


MAKE = ran(0, "make", "all", at=(0, 20), parent=None)


def test_the_jobs_are_those_with_no_make_below_them_by_what_they_ran_for() -> None:
    built = timeline(
        MAKE,
        ran(1, "gcc", "-c", "-o", "util/evsel.o", "util/evsel.c", at=(1, 5)),
        ran(2, "gcc", "-c", "-o", "/src/tools/lib/a.o", "a.c", at=(2, 4)),
        ran(3, "sh", "-c", "make -C x", at=(4, 9)),
        ran(4, "make", "-C", "x", at=(4, 9), parent=3),
        ran(5, "true", at=(5, 6), parent=4),
        file(f"{PERF}/util/evsel.o"),
        file("/src/tools/lib/a.o"),
    )
    assert [(bar.name, bar.row, bar.start_s, bar.end_s) for bar in lanes.jobs(built)] == [
        ("util/evsel.o", 0, 1, 5),
        ("tools/lib/a.o", 1, 2, 4),
        ("a recipe of make: x/all", 0, 5, 6),
    ]


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("/bin/sh", "-c", "uname -m | sed s/i.86/x86/"), "$(shell uname -m | sed s/i.86/x86/)"),
        (("/bin/sh", "/usr/bin/which", "flex"), "$(shell /bin/sh /usr/bin/which flex)"),
        (("sh", "-c", "x" * 200), f"$(shell {'x' * (lanes.NAME_CHARS - 1)}…)"),
    ],
)
def test_a_shell_function_is_named_by_its_command(argv: tuple[str, ...], name: str) -> None:
    [bar] = lanes.jobs(timeline(MAKE, ran(1, *argv, at=(0, 1), stdout=OWN)))
    assert bar.name == name


def test_the_makes_are_by_how_many_makes_are_above_them() -> None:
    built = timeline(
        MAKE,
        ran(1, "make", "-C", "a", at=(1, 5)),
        ran(2, "sh", "-c", "cd b; make c", at=(2, 6)),
        ran(3, "make", "c", at=(3, 6), parent=2),
        ran(4, "make", "-C", "d", at=(5, 6)),
        ran(5, "make", "-C", "e", at=(5, 6), parent=4),
    )
    found = [[(bar.name, bar.kind, bar.row) for bar in bars] for bars in lanes.makes(built)]
    assert found == [[("all", "make", 0)], [("a/all", "make", 0), ("c", "make", 1), ("d/all", "make", 0)],
                     [("e/all", "make", 0)]]  # fmt: skip


def test_a_make_below_others_alone_is_on_a_row_of_its_depth_all_the_same() -> None:
    built = timeline(MAKE, ran(1, "make", at=(1, 2)), ran(2, "make", at=(1, 2), parent=1))
    assert [len(bars) for bars in lanes.makes(built)] == [1, 1, 1]


def test_a_process_that_ends_before_it_starts_takes_no_time() -> None:
    [bar] = lanes.jobs(timeline(MAKE, ran(1, "true", at=(3, 2))))
    assert (bar.start_s, bar.end_s, bar.wall_s) == (3, 3, 0)


def test_an_empty_step_has_neither_jobs_nor_makes() -> None:
    assert (lanes.jobs(timeline()), lanes.makes(timeline())) == ((), ())


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("/src/tools/perf/util/a.o", "util/a.o"),
        ("make: /src/tools/build/fixdep", "make: tools/build/fixdep"),
        ("/out/perf", "perf"),
        (f"{plan.GENERATED}/x.c", "x.c"),
        ("/usr/src/tools/perf/a", "/usr/src/tools/perf/a"),
        ("a/src/b", "a/src/b"),
    ],
)
def test_a_name_loses_the_folder_that_all_names_have(name: str, short: str) -> None:
    assert lanes.short(name) == short


def test_the_cpu_time_of_a_job_is_that_of_all_below_it() -> None:
    built = timeline(
        MAKE,
        ran(1, "gcc", at=(0, 3), cpu_s=0.5),
        ran(2, "cc1", at=(1, 2), parent=1, cpu_s=1.0),
        ran(3, "x", at=(4, 5), cpu_s=8.0),
    )
    assert built.tree.cpu_s(built.tree.processes[1]) == pytest.approx(1.5)
