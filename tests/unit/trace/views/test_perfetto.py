from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

from matrix.trace.views import perfetto, picture
from tests.unit.conftest import PERF
from tests.unit.trace.test_timeline import ran, timeline
from tests.unit.trace.views.rendering import CELL, KINDS, complete, events, render


def crossing(found: list[dict[str, Any]]) -> list[str]:
    """Return the events that neither nest in what runs on their thread when they start nor wait for its end."""
    open_until: dict[tuple[int, int], list[int]] = defaultdict(list)
    wrong = []
    for event in found:
        start, end = event["ts"], event["ts"] + event["dur"]
        stack = open_until[event["pid"], event["tid"]]
        while stack and stack[-1] <= start:
            stack.pop()
        if stack and end > stack[-1]:
            wrong.append(event["name"])
        stack.append(end)
    return wrong


def test_the_trace_has_an_event_for_each_job_with_its_facts() -> None:
    event = complete()["util/evsel.o"]
    assert {key: event[key] for key in ("ts", "dur", "cat", "cname")} == {
        "ts": 1_000_000,
        "dur": 4_000_000,
        "cat": "compiler",
        "cname": perfetto.COLOURS["compiler"],
    }
    assert event["args"] == {
        "command": "/bin/sh -c 'gcc -c -o util/evsel.o util/evsel.c'",
        "exit status": 2,
        "target": f"{PERF}/util/evsel.o",
        "origin": "recipe",
        "make": "all",
        "cpu_s": 2.75,
        "processes": 2,
        "processes_drawn": 2,
    }


def test_the_trace_nests_the_processes_of_a_job_on_its_row() -> None:
    found = complete()
    inner, outer = found["cc1"], found["util/evsel.o"]
    assert (inner["pid"], inner["tid"], inner["cat"], inner["cname"]) == (
        outer["pid"], outer["tid"], "process", outer["cname"],
    )  # fmt: skip
    assert inner["args"] == {"command": "cc1 util/evsel.c", "exit status": 0, "cpu_s": 2.5}


def test_the_trace_does_not_draw_a_process_that_would_not_nest() -> None:
    given = timeline(
        ran(0, "make", at=(0, 20), parent=None),
        ran(1, "sh", "-c", "a | b; c", at=(1, 9)),
        ran(2, "short", at=(1, 3), parent=1),
        ran(3, "long", at=(2, 6), parent=1),
        ran(4, "after", at=(6, 7), parent=1),
        ran(5, "left-behind", at=(7, 12), parent=1),
        ran(6, "inner", at=(3, 4), parent=3),
        ran(7, "below-short", at=(1, 2), parent=2),
        ran(8, at=(4, 5), parent=3),
    )
    found = events(given)
    drawn = [event["name"] for event in found if event["ph"] == "X" and event["cat"] == "process"]
    assert drawn == ["long", "inner", "(fork)", "after"]
    [args] = [event["args"] for event in found if event.get("cat") == "other"]
    assert (args["processes"], args["processes_drawn"]) == (8, 5)
    assert not crossing([event for event in found if event["ph"] == "X"])


def test_an_outer_process_is_before_an_inner_one_that_starts_with_it() -> None:
    given = timeline(
        ran(0, "make", at=(0, 9), parent=None),
        ran(1, "sh", "-c", "gcc x", at=(1, 2)),
        ran(2, "gcc", at=(1, 2), parent=1),
        ran(3, "cc1", at=(1, 2), parent=2),
    )
    names = [event["name"] for event in events(given) if event["ph"] == "X"]
    assert names == ["all", "a recipe of make: all", "gcc", "cc1"]


def test_the_trace_is_in_the_order_of_time_and_nests_on_every_row() -> None:
    found = [event for event in events() if event["ph"] == "X"]
    assert all(earlier["ts"] <= later["ts"] for earlier, later in itertools.pairwise(found))
    assert all(type(event[key]) is int and event[key] >= 0 for event in found for key in ("ts", "dur"))
    assert max(event["ts"] + event["dur"] for event in found) == 10_000_000
    assert not crossing(found)


def test_makes_that_run_at_once_at_one_depth_have_rows_of_their_own() -> None:
    given = timeline(
        ran(0, "make", at=(0, 9), parent=None),
        ran(1, "make", "-C", "a", at=(1, 5)),
        ran(2, "make", "-C", "b", at=(2, 6)),
        ran(3, "make", "-C", "c", at=(2, 4), parent=1),
    )
    found = [event for event in events(given) if event["ph"] == "X"]
    rows = {event["tid"]: event["args"]["name"] for event in events(given) if event["name"] == "thread_name"}
    assert {event["name"]: rows[event["tid"]] for event in found} == {
        "all": "depth 0",
        "a/all": "depth 1",
        "b/all": "depth 1, row 2",
        "c/all": "depth 2",
    }
    assert not crossing(found)


def test_a_make_of_the_trace_says_what_it_started() -> None:
    event = complete()["all"]
    assert (event["pid"], event["cat"], event["dur"]) == (perfetto.MAKES_PID, "make", 10_000_000)
    assert (event["args"]["recipe processes"], event["args"]["$(shell) functions"]) == (5, 1)


def test_every_row_of_the_trace_is_named_once_and_in_order() -> None:
    found = events()
    used = {(event["pid"], event["tid"]) for event in found if event["ph"] == "X"}
    named = [(event["pid"], event["tid"]) for event in found if event["name"] == "thread_name"]
    assert sorted(used) == named
    assert len({tid for _, tid in named}) == len(named)
    assert {event["args"]["name"] for event in found if event["name"] == "process_name"} == {
        f"jobs of {CELL}: build",
        f"makes of {CELL}: build",
    }


def test_the_counter_is_how_many_leaves_run_whenever_that_changes() -> None:
    counted = [(event["ts"] / 1e6, event["args"]["leaves"]) for event in events() if event["ph"] == "C"]
    assert counted == [(0, 1), (4, 3), (5, 2), (7, 1), (10, 0)]
    assert [at for at, _ in counted] == sorted({at for at, _ in counted})


def test_the_trace_marks_the_critical_path() -> None:
    found = complete(critical=[2])
    assert [name for name, event in found.items() if event["args"].get("critical")] == ["util/evsel.o"]
    assert not any("critical" in event["args"] for event in complete().values())


def test_every_kind_has_a_colour_of_its_own() -> None:
    assert set(perfetto.COLOURS) == set(picture.COLOURS) == KINDS
    assert len(set(perfetto.COLOURS.values())) == len(KINDS)
    for shades in zip(*picture.COLOURS.values(), strict=True):
        assert len(set(shades)) == len(KINDS)
    assert all(f".{kind} " in render("picture") for kind in KINDS)


RESERVED = {
    "cq_build_abandoned", "rail_animation", "rail_idle", "rail_load", "rail_response", "thread_state_uninterruptible",
}  # fmt: skip


def test_the_colours_of_the_trace_are_reserved_ones() -> None:
    """chrome://tracing gives up on a trace with a colour that tracing/tracing/base/color_scheme.html does not have."""
    assert set(perfetto.COLOURS.values()) <= RESERVED
