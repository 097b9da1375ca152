from __future__ import annotations

import base64
import hashlib
import itertools
import re
from typing import TYPE_CHECKING

import pytest

from matrix.trace import lanes
from matrix.trace.cost import Account, Serial, account
from matrix.trace.spans import Span
from matrix.trace.views import picture
from tests.unit.trace.test_timeline import MAKE, ran, timeline
from tests.unit.trace.views.rendering import CELL, KINDS, SMALL, VIEWS, Page, bars, render

if TYPE_CHECKING:
    from matrix.trace.timeline import Timeline


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
