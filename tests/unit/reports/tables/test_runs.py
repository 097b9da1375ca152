from __future__ import annotations

import io

import pytest
from rich.console import Console

from matrix.model.result import Verdict
from matrix.reports.tables import runs
from matrix.reports.tables.runs import RunRow

MANY = tuple(f"git-{number:010}" for number in range(14))


def row(**more: object) -> RunRow:
    values = {"run": "20261125T182011Z-ea7a", "folder": "/r", "going_on": False, "command": "series", **more}
    return RunRow.model_validate(values)


def printed(*rows: RunRow, older: int = 0, width: int = 196) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in runs.parts(rows, older):
        console.print(part)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 196])
def test_a_run_is_one_line_whatever_the_number_of_its_trees(width: int) -> None:
    verdicts = {Verdict.PASS: 100, Verdict.XFAIL: 20, Verdict.FAIL: 3}
    found = printed(
        row(trees=MANY, started="2026-11-25T18:20:11Z", cells=126, verdicts=verdicts, lacking=3, going_on=True),
        row(trees=("x" * 500,), command="run"),
        width=width,
    )
    assert len(found) == 3
    assert all(len(line) <= width for line in found)
    assert all(line.startswith("20261125T182011Z-ea7a  ") for line in found[1:])


def test_times_are_read_easily_and_their_zone_is_in_the_heading() -> None:
    heading, line = printed(row(trees=("7.3", "7.2"), started="2026-11-25T18:20:11Z", cells=4, lacking=4))
    assert "started (UTC)" in heading
    assert line == "20261125T182011Z-ea7a  2026-11-25 18:20  series       4  4 lacking  7.3, 7.2"


@pytest.mark.parametrize("started", ["", "yesterday", "2026-11-25", "2026-11-25T18:20:11+01:00"])
def test_a_time_of_another_form_is_shown_as_it_is(started: str) -> None:
    assert runs.minute(started) == started


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), ""),
        (("7.3",), "7.3"),
        (("7.3", "7.2"), "7.3, 7.2"),
        (("7.3", "7.2", "6.12"), "7.3, 7.2 and 1 more"),
        (MANY, f"{MANY[0]}, {MANY[1]} and 12 more"),
    ],
)
def test_a_long_list_is_its_first_names_and_the_number_of_the_others(names: tuple[str, ...], text: str) -> None:
    assert runs.short_list(names) == text


def test_a_run_says_what_came_of_its_cells_and_whether_it_goes_on() -> None:
    verdicts = {Verdict.PASS: 2, Verdict.FAIL: 1}
    [_, line, damaged, why, more] = printed(
        row(cells=4, verdicts=verdicts, lacking=1, going_on=True),
        RunRow(run="r2", folder="/r", going_on=False, problem="run.json holds no run: \x1b[2J"),
        older=7,
    )
    assert "2 PASS, 1 FAIL, 1 lacking, going on" in line
    assert "unreadable" in damaged
    assert why == "r2: run.json holds no run: ?[2J"
    assert more == "and 7 older ones: --most 0 names all"


def test_what_a_stranger_wrote_is_only_text() -> None:
    [_, line] = printed(row(trees=("[red]x\x1b[2J\ny",)))
    assert "[red]x?[2J" in line


def test_without_runs_it_is_said_how_to_make_one() -> None:
    assert printed() == ["no run yet: `perf-matrix run --profile smoke` makes one"]
