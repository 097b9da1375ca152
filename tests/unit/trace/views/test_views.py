from __future__ import annotations

import pytest

from tests.unit.trace.views.rendering import CELL, EMPTY, VIEWS, Page, bars, events, render


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_view_shows_the_cell_the_step_and_what_it_ran_for(name: str) -> None:
    shown = render(name)
    assert all(word in shown for word in (CELL, "build", "util/evsel.o"))
    assert VIEWS[name].suffix.startswith(".")
    assert shown.endswith("\n")


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
