from __future__ import annotations

import pytest

from matrix.trace import simulation
from matrix.trace.jobgraph import Make, Task
from matrix.trace.simulation import Prediction, predict, span


def task(serial_s: float, *needs: int, nested: Make | None = None, pool_s: float = 0.0, name: str = "t") -> Task:
    return Task(0, name, serial_s, pool_s, frozenset(needs), nested)


def make(*tasks: Task, parse_s: float = 1.0, name: str = "all") -> Make:
    return Make(0, name, parse_s, tasks, declared=True)


def walls(root: Make, *jobs: int) -> list[float]:
    return [predict(root, number).wall_s for number in jobs]


def test_one_job_takes_all_the_work() -> None:
    assert walls(make(task(2), task(3), task(5)), 1) == [11.0]


def test_independent_jobs_take_what_the_busiest_core_does() -> None:
    assert walls(make(task(2), task(3), task(5)), 2, 3, 99) == [8.0, 6.0, 6.0]


def test_a_job_waits_for_what_it_needs() -> None:
    assert walls(make(task(2), task(3, 0), task(5)), 99) == [6.0]
    assert walls(make(task(2), task(3, 0), task(5, 1)), 99) == [11.0]
    assert walls(make(task(2), task(3), task(5, 0, 1)), 99) == [9.0]


def test_a_nested_make_reads_its_makefiles_first_and_ends_with_its_last_job() -> None:
    inner = make(task(2), task(2))
    assert walls(make(task(1, nested=inner), task(1, 0)), 1, 2) == [8.0, 6.0]


def test_a_nested_make_without_work_ends_at_once() -> None:
    assert walls(make(task(0, nested=make()), task(1, 0)), 1) == [3.0]


def test_makes_share_one_set_of_slots() -> None:
    inner = make(*[task(1) for _ in range(4)])
    root = make(task(0, nested=inner), task(0, nested=inner))
    assert walls(root, 1, 2, 4) == [11.0, 6.0, 4.0]


def test_a_slot_that_a_make_no_longer_needs_goes_to_another() -> None:
    busy = make(*[task(1) for _ in range(6)], parse_s=0)
    root = make(task(1), task(0, nested=busy), parse_s=0)
    assert walls(root, 2) == [4.0]


def test_a_pool_is_split_among_the_cores_but_not_beyond_its_pieces() -> None:
    root = make(task(1, pool_s=8), parse_s=0)
    assert walls(root, 1, 2, 4) == [9.0, 5.0, 3.0]
    assert predict(root, 8, pool=2).wall_s == 5.0


def test_more_than_there_are_cores_share_them() -> None:
    assert predict(make(task(2), task(2), parse_s=0), 2, cores=1).wall_s == 4.0
    pooled = make(task(0, pool_s=4), task(2), parse_s=0)
    assert predict(pooled, 2).wall_s == 3.0


def test_the_span_is_what_no_number_of_cores_can_shorten() -> None:
    root = make(task(2, name="a"), task(3, 0, name="b"), task(1, name="c"))
    found = span(root, 64)
    assert found.wall_s == 6.0
    assert [(item.name, item.wall_s, item.waited_for) for item in found.path] == [
        ("make: all", 1.0, ""),
        ("a", 2.0, "its make's makefiles"),
        ("b", 3.0, "what it needs"),
    ]


def test_the_path_says_what_waited_for_a_slot() -> None:
    found = predict(make(task(2, name="a"), task(3, name="b")), 1)
    assert [(item.name, item.waited_for) for item in found.path][1:] == [
        ("a", "its make's makefiles"),
        ("b", "a free job slot"),
    ]


def test_the_path_goes_through_pools_and_nested_makes() -> None:
    found = predict(make(task(1, nested=make(task(1, pool_s=2, name="jevents"), name="in"), name="in")), 1)
    assert [(item.name, item.waited_for) for item in found.path] == [
        ("make: all", ""),
        ("in", "its make's makefiles"),
        ("make: in", "the recipe that runs it"),
        ("jevents", "its make's makefiles"),
        ("jevents", "its own beginning"),
    ]


@pytest.mark.parametrize("jobs", [1, 2, 3, 7, 1000])
def test_nothing_is_faster_than_the_span_or_the_work_over_the_cores(jobs: int) -> None:
    inner = make(*[task(0.5 + number % 3, *([number - 2] if number % 4 == 3 else [])) for number in range(20)])
    root = make(task(1, nested=inner), task(4), task(2, 0), task(1, pool_s=6), task(0, 2, nested=make(task(3))))
    found = predict(root, jobs)
    least = max(span(root, jobs).wall_s, found.work_s / jobs)
    assert least - 1e-3 <= found.wall_s <= found.work_s + 1e-3
    assert sum(item.wall_s for item in found.path) <= found.wall_s + 1e-3


def test_what_limits_it_is_the_cores_where_they_are_busy_and_else_the_longest_of_the_path() -> None:
    busy = Prediction(jobs=2, wall_s=5, work_s=9, use=0.9, path=())
    assert simulation.limit(busy) == "cores (90% busy)"
    idle = simulation.limit(predict(make(task(2, name="a"), task(3, 0, name="b"), task(1, name="c")), 8))
    assert idle == "path (15% busy): b 3.0 s, a 2.0 s, make: all 1.0 s"


def test_a_make_without_work_takes_no_time() -> None:
    nothing = predict(make(parse_s=0), 2)
    assert (nothing.wall_s, nothing.work_s) == (0.0, 0.0)
