from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.trace.cost import Serial, account
from matrix.trace.views import text
from tests.unit.trace.test_timeline import ran, timeline
from tests.unit.trace.views.rendering import CELL, SMALL, VIEWS, lines, render

if TYPE_CHECKING:
    import pytest


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
