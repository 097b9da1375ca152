from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections import defaultdict
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from matrix.trace import lanes, views, work
from matrix.trace.cost import Account, Serial, account
from matrix.trace.simulation import PathItem
from matrix.trace.spans import Span
from matrix.trace.views import perfetto, picture, text
from tests.unit.conftest import EPOCH, PERF, file
from tests.unit.trace.test_timeline import MAKE, OWN, ran, timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.trace.timeline import Timeline

CELL = "debian-trixie/gcc/default@7.3"
VIEWS = views.registry()
KINDS = {*work.KINDS, "make", "other"}
EVIL = "<script>evil\x1b[31m\u202e.o"

SMALL = timeline(
    ran(0, "make", "-f", "Makefile.perf", "all", at=(0, 10), parent=None),
    ran(1, "/bin/sh", "-c", "gcc -dM -E", at=(0, 1), stdout=OWN),
    ran(2, "/bin/sh", "-c", "gcc -c -o util/evsel.o util/evsel.c", at=(1, 5), cpu_s=0.25, status=2),
    ran(3, "cc1", "util/evsel.c", at=(2, 4), parent=2, cpu_s=2.5),
    ran(4, "make", "-f", "Makefile.build", "dir=./util", "obj=perf-util", at=(4, 9)),
    ran(5, "ld", "-r", "-o", "util/perf-util-in.o", "util/evsel.o", at=(6, 9), parent=4, cpu_s=0.5),
    ran(6, "python3", "util/gen.py", at=(4, 6)),
    ran(7, at=(6, 7), parent=0, status=None),
    ran(8, "sh", "-c", f"gen '{EVIL}'", at=(9, 10)),
    file(f"{PERF}/util/evsel.o", at=EPOCH + 5),
    file(f"{PERF}/util/perf-util-in.o", at=EPOCH + 9),
    file(f"{PERF}/{EVIL}", at=EPOCH + 10),
)


def render(name: str, given: Timeline = SMALL, critical: Sequence[int] = ()) -> str:
    path = [PathItem(name=f"n{one}", process=one, wall_s=3.5, waited_for="what it needs") for one in critical]
    return VIEWS[name].render(CELL, "build", given, account(given), path)


def lines(name: str, given: Timeline = SMALL, critical: Sequence[int] = ()) -> list[str]:
    return [" ".join(line.split()) for line in render(name, given, critical).splitlines()]


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_view_shows_the_cell_the_step_and_what_it_ran_for(name: str) -> None:
    shown = render(name)
    assert all(word in shown for word in (CELL, "build", "util/evsel.o"))
    assert VIEWS[name].suffix.startswith(".")
    assert shown.endswith("\n")


EMPTY = {
    "none": (timeline(), 0),
    "short": (timeline(ran(0, "make", at=(0, 0), parent=None)), 1),
}
"""Steps that took no time, and the number of makes that ran in them."""


@pytest.mark.parametrize("name", sorted(VIEWS))
@pytest.mark.parametrize("given", sorted(EMPTY))
def test_every_view_renders_a_step_that_took_no_time(name: str, given: str) -> None:
    line, _ = EMPTY[given]
    shown = render(name, line)
    assert CELL in shown
    assert shown.endswith("\n")
    assert "nan" not in shown.lower().split()
    assert "inf" not in shown.lower().split()


@pytest.mark.parametrize("given", sorted(EMPTY))
def test_a_step_that_took_no_time_has_a_bar_for_each_of_its_makes_and_no_share_of_time(given: str) -> None:
    line, makes = EMPTY[given]
    assert len([event for event in events(line) if event["ph"] == "X"]) == makes
    assert len(bars(Page(render("picture", line)), "make")) == makes
    headline = " ".join(render("text", line).split())
    assert "wall 0.0 s work 0.0 s of CPU time parallelism 0.00" in headline
    assert f"processes {makes} 0 of them" in headline


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_no_view_lets_a_name_from_the_build_steer_what_shows_it(name: str) -> None:
    shown = render(name)
    assert "evil" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    assert r"\u001b" not in shown


def test_no_two_views_would_write_one_file() -> None:
    assert len({view.suffix for view in VIEWS.values()}) == len(VIEWS) == 3


def test_the_text_says_what_the_step_cost() -> None:
    shown = lines("text")
    assert shown[0] == f"{CELL}: build, as it was traced"
    assert {
        "wall 10.0 s",
        "work 3.2 s of CPU time",
        "parallelism 0.33 work / wall",
        "processes 9 1 of them with an exit status other than 0",
        "makefile parses 2",
        "$(shell) 1 functions, 1 processes below them",
        "compiler runs 1",
        "peak memory 0 MiB, of one process",
    } <= set(shown)
    assert not any(line.startswith("critical path") for line in shown)


def test_the_text_has_a_line_for_each_number_of_leaves_with_none_and_one_together() -> None:
    given = account(SMALL).model_copy(update={"wall_s": 10.0, "leaves_s": {0: 1.0, 1: 4.0, 2: 2.5, 14: 1.5, 40: 1.0}})
    shown = VIEWS["text"].render(CELL, "build", SMALL, given).splitlines()
    found = [re.split(r"\s+", line.strip()) for line in shown if "%" in line]
    assert [line[:3] for line in found] == [
        ["0", "or", "1"],
        ["2", "2.50", "25.0%"],
        ["12", "or", "more"],
    ]
    assert [line[-1].count("█") for line in found] == [text.BAR_CHARS, text.BAR_CHARS // 2, text.BAR_CHARS // 2]


def test_the_text_names_what_ran_alone_and_the_makes_with_what_they_started() -> None:
    shown = lines("text")
    assert "what ran alone: 7.0 s" in shown
    assert "3.00 util/evsel.o" in shown
    assert "10.00 0.00 5 1 all" in shown
    assert "5.00 4.00 1 0 util/perf-util-in.o" in shown
    assert "1 (fork)" in shown


def test_the_text_sums_up_what_it_does_not_list() -> None:
    [make] = account(timeline(ran(0, "make", at=(0, 9), parent=None))).makes
    given = account(SMALL).model_copy(
        update={
            "serial": tuple(Serial(name=f"s{number}", wall_s=0.5) for number in range(text.SERIAL + 3)),
            "programs": {f"p{number}": 2 for number in range(text.PROGRAMS + 2)},
            "makes": tuple(make.model_copy(update={"wall_s": 1.0 + number}) for number in range(text.MAKES + 1)),
        }
    )
    shown = [" ".join(line.split()) for line in VIEWS["text"].render(CELL, "build", SMALL, given).splitlines()]
    assert {"and 3 more: 1.50 s", "and 2 more: 4 processes", "0 0 and 1 more"} <= set(shown)
    assert "13.00 0.00 0 0 all" in shown
    assert "1.00 0.00 0 0 all" not in shown


def test_the_text_says_what_is_on_the_critical_path() -> None:
    shown = lines("text", critical=[2, 5])
    at = shown.index("critical path: 7.0 s of CPU time in 2 jobs")
    assert shown[at + 4 : at + 6] == ["3.50 n2 what it needs", "3.50 n5 what it needs"]
    many = lines("text", critical=range(20))
    assert "and 8 more: 28.00 s" in many


def test_the_text_is_as_wide_without_a_terminal_whatever_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    long = timeline(ran(0, "make", "x" * 300, at=(0, 1), parent=None))
    before = render("text", long)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert render("text", long) == before
    assert max(map(len, before.splitlines())) <= text.WIDTH
    assert before.count("x") >= 300


def events(given: Timeline = SMALL, critical: Sequence[int] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render("perfetto", given, critical))["traceEvents"]
    return found


def complete(given: Timeline = SMALL, critical: Sequence[int] = ()) -> dict[str, dict[str, Any]]:
    return {event["name"]: event for event in events(given, critical) if event["ph"] == "X"}


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


class Page(HTMLParser):
    """The elements of a page, and the text in its titles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.titles: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "title" and data.strip():
            self.titles.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def bars(page: Page, *kinds: str) -> list[dict[str, str]]:
    return [rect for rect in page.all("rect") if rect["class"].split()[0] in kinds]


def test_the_picture_has_a_bar_for_each_job_and_each_make() -> None:
    page = Page(render("picture"))
    found = bars(page, *KINDS)
    assert sorted(rect["class"] for rect in found) == sorted(
        [*(bar.kind for bar in lanes.jobs(SMALL)), *("make" for _ in SMALL.tree.makes)]
    )
    [compiler] = bars(page, "compiler")
    assert compiler == {"class": "compiler", "x": "1000.0", "y": "0", "width": "4000.0", "height": "20"}


def test_no_two_bars_of_the_picture_overlap() -> None:
    found = bars(Page(render("picture")), *KINDS - {"make"})
    for one, two in itertools.combinations(found, 2):
        ends = [float(rect["x"]) + float(rect["width"]) for rect in (one, two)]
        assert one["y"] != two["y"] or ends[0] <= float(two["x"]) or ends[1] <= float(one["x"])


def test_a_bar_of_the_picture_says_what_it_is() -> None:
    assert any(
        title.splitlines() == [
            "util/evsel.o",
            "compiler: 4.00 s, from 1.00 s; 2.75 s of CPU time; exit status 2; from make: all",
            "/bin/sh -c 'gcc -c -o util/evsel.o util/evsel.c'",
        ]
        for title in Page(render("picture")).titles
    )  # fmt: skip
    assert any("not seen to end" in title and "(fork)" in title for title in Page(render("picture")).titles)


def test_a_job_that_took_no_time_can_be_seen_in_the_picture() -> None:
    given = timeline(ran(0, "make", at=(0, 10), parent=None), ran(1, "true", at=(1, 1)))
    [rect] = bars(Page(render("picture", given)), "other")
    assert float(rect["width"]) > 0


def test_the_picture_says_what_its_colours_mean_and_shows_no_other() -> None:
    shown = render("picture")
    assert "compiler: 1 job, 2.8 s of CPU time" in shown
    assert "other: 3 jobs" in shown
    assert "install:" not in shown
    assert "on the critical path" not in shown


def test_the_picture_outlines_the_critical_path() -> None:
    page = Page(render("picture", critical=[2]))
    assert [rect["class"] for rect in page.all("rect") if "critical" in rect["class"]] == ["compiler critical"]
    assert "on the critical path" in render("picture", critical=[2])


def test_the_picture_shows_when_one_process_worked_alone_and_which() -> None:
    page = Page(render("picture"))
    alone = [(rect["x"], rect["width"]) for rect in bars(page, "alone")]
    assert alone == [("0.0", "1000.0"), ("1000.0", "3000.0"), ("7000.0", "2000.0"), ("9000.0", "1000.0")]
    assert "util/evsel.o\nalone for 3.00 s, from 1.00 s" in page.titles


def test_the_strip_of_what_ran_alone_shows_when_nothing_ran() -> None:
    spans = [Span(0.0, 1.0, ()), Span(1.0, 2.0, (0, 1))]
    strip = "\n".join(picture._alone(timeline(MAKE), spans, 2.0))
    assert strip.count("<rect") == 1
    assert "(nothing ran)\nalone for 1.00 s, from 0.00 s" in strip


def test_what_is_too_short_to_be_seen_is_not_in_the_strip_of_what_ran_alone() -> None:
    given = timeline(ran(0, "make", at=(0, 10), parent=None), ran(1, "true", at=(1, 1.001)), ran(2, "x", at=(2, 5)))
    assert len(bars(Page(render("picture", given)), "alone")) == 4 - 1 + 1


def test_the_picture_has_the_seconds_of_what_ran_alone_and_sums_up_the_rest() -> None:
    assert "<tr><td>3.00</td><td>util/evsel.o</td></tr>" in render("picture")
    more = tuple(Serial(name=f"s{number}", wall_s=0.5) for number in range(picture.SERIAL + 3))
    given: Account = account(SMALL).model_copy(update={"serial": more})
    shown = VIEWS["picture"].render(CELL, "build", SMALL, given)
    assert "<tr><td>1.50</td><td>(for 3 more)</td></tr>" in shown


def area(given: Timeline) -> list[float]:
    """Return how high the chart of leaves is in each of its bins."""
    path = next(each["d"] for each in Page(render("picture", given)).all("path") if each["class"] == "area")
    top = float(path.split("V")[0].split(" ")[1])
    return [top - float(height) for height in re.findall(r"V([\d.]+)H", path)]


def test_the_chart_is_as_high_as_leaves_run() -> None:
    heights = area(SMALL)
    assert len(heights) == picture.BINS
    assert [heights[picture.BINS * at // 20] for at in (1, 7, 9, 11, 13, 15, 19)] == [1, 1, 3, 2, 2, 1, 1]


def test_the_chart_of_many_leaves_has_few_lines() -> None:
    many = [ran(1 + number, "true", at=(0, 10)) for number in range(64)]
    page = Page(render("picture", timeline(ran(0, "make", at=(0, 10), parent=None), *many)))
    assert 5 < len([path for path in page.all("path") if path["class"] == "line"]) < picture.LEVELS
    assert max(area(timeline(ran(0, "make", at=(0, 10), parent=None), *many))) == 64


@pytest.mark.parametrize("wall_s", [0.002, 1, 64.2, 5000, 1e12])
def test_the_time_axis_has_some_labels_and_not_too_many(wall_s: float) -> None:
    found = list(picture._ticks(wall_s))
    assert 2 <= len(found) <= picture.TICKS + 1
    assert 1 <= len([tick for tick in found if "minor" not in tick]) <= picture.TICKS // picture.MAJOR + 1


def test_what_a_build_calls_its_files_is_text_in_the_picture() -> None:
    shown = render("picture")
    page = Page(shown)
    assert "<script>evil" not in shown
    assert "&lt;script&gt;evil" in shown
    assert len(page.all("script")) == 1
    assert any("<script>evil?[31m?.o" in title for title in page.titles)


def test_the_picture_needs_nothing_from_outside_and_runs_no_script_but_its_own() -> None:
    shown = render("picture")
    page = Page(shown)
    assert not {"src", "href", "srcset", "data"} & {key for _, attributes in page.elements for key in attributes}
    assert "url(" not in shown
    assert "@import" not in shown
    script = shown.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = [meta["content"] for meta in page.all("meta") if "content" in meta and "default-src" in meta["content"]]
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_the_picture_has_a_dark_scheme() -> None:
    assert "prefers-color-scheme: dark" in render("picture")
    assert all(shade in render("picture") for pair in picture.COLOURS.values() for shade in pair)
