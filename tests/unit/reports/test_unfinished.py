"""The reports that leave the terminal: JUnit XML, Markdown, mail; and a gate as text."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from matrix import reports
from matrix.model.result import CellResult, Verdict
from matrix.reports import Report, Unfinished, formats
from tests.unit.reports.test_formats import BROKEN, check, finding, of_gate, of_run, on

UNFINISHED = Unfinished(
    lacking=tuple(f"i/t/b{number}@7.3" for number in range(5)), cells=9, command="perf-matrix gate --resume r1"
)


LEFT = (
    "not finished: 5 of 9 cells left (i/t/b0@7.3, i/t/b1@7.3, i/t/b2@7.3, and 2 more);"
    " go on: perf-matrix gate --resume r1"
)


@pytest.mark.parametrize("report", [of_run(on("7.3")), BROKEN])
@pytest.mark.parametrize("name", ["text", "markdown", "mail"])
def test_a_report_of_an_unfinished_run_begins_with_what_is_left(name: str, report: Report) -> None:
    render = formats.registry()[name].render
    first, _, rest = render(report.model_copy(update={"unfinished": UNFINISHED})).partition("\n")
    assert first.strip("*`") == LEFT
    assert rest.strip("\n") == render(report).strip("\n")


RUNNING, WAITING = "i/t/running@7.3", "i/t/waiting@7.3"


GOING_ON = Unfinished(lacking=(RUNNING, WAITING), cells=3, command="perf-matrix run --resume r1", running=(RUNNING,))


def going_on(*cells: CellResult) -> Report:
    return of_run(*cells, wanted=(RUNNING, WAITING)).model_copy(update={"unfinished": GOING_ON})


@pytest.mark.parametrize("name", ["text", "markdown", "mail", "junit"])
def test_a_report_of_a_run_that_goes_on_names_its_running_cells_and_no_command(name: str) -> None:
    text = formats.registry()[name].render(going_on(on("7.3")))
    plain = text.replace("\\", "")
    assert f"going on: 1 of 3 cells done, so the verdict is not final (running: {RUNNING})" in plain
    assert "--resume" not in text
    assert "not begun yet" in text
    assert ("ERROR" in text, "no result" in text) == (False, False)


def test_the_last_line_of_a_run_that_goes_on_has_no_verdict_until_a_cell_fails() -> None:
    render = formats.registry()["text"].render
    assert "verdict: not finished (1 PASS, 1 running, 1 lacking)\n" in render(going_on(on("7.3")))
    failed = on("7.3", check(finding()), verdict=Verdict.FAIL)
    assert "verdict: FAIL (1 FAIL, 1 running, 1 lacking)\n" in render(going_on(failed))
    waiting = GOING_ON.model_copy(update={"running": ()})
    assert waiting.sentence == "going on: 1 of 3 cells done, so the verdict is not final"


def test_a_gate_that_goes_on_does_not_call_its_cells_undecided() -> None:
    gone = of_gate(on("base"), on("head", verdict=Verdict.ERROR, reason="no space"))
    assert "head: no space" in formats.registry()["text"].render(gone)
    shown = formats.registry()["text"].render(gone.model_copy(update={"unfinished": GOING_ON}))
    assert "head: no space" not in shown
    assert "verdict: not finished" in shown


@pytest.mark.parametrize("name", ["text", "markdown", "mail", "junit"])
def test_a_requirement_whose_measurement_is_still_to_come_is_no_error(name: str) -> None:
    measuring = GOING_ON.model_copy(update={"lacking": (), "running": ()})
    gate = of_gate(on("base", check()), on("head", check()), build=reports.NOT_YET_MEASURED)
    text = formats.registry()[name].render(gate.model_copy(update={"unfinished": measuring}))
    assert "going on: 3 of 3 cells done, so the verdict is not final" in text
    assert ("ERROR" in text, "not yet measured" in text) == (False, True)
    if name != "junit":
        assert "build: not yet measured" in text.replace("`", "")


def test_a_cell_without_a_result_is_counted_as_lacking() -> None:
    text = formats.registry()["text"].render(of_run(on("7.3"), wanted=("lost",)))
    assert "verdict: ERROR (1 PASS, 1 lacking)" in text


@pytest.mark.parametrize("report", [of_run(on("7.3")), BROKEN])
def test_the_first_suite_of_an_unfinished_run_is_an_error(report: Report) -> None:
    text = formats.registry()["junit"].render(report.model_copy(update={"unfinished": UNFINISHED}))
    first = ET.fromstring(text)[0]  # noqa: S314 - what was just rendered
    assert (first.get("name"), first.get("errors")) == ("run", "1")
    error = first.find("testcase/error")
    assert error is not None
    assert error.get("message") == LEFT


def test_an_unfinished_run_has_a_field_of_its_own_in_json() -> None:
    text = formats.registry()["json"].render(of_run().model_copy(update={"unfinished": UNFINISHED}))
    assert json.loads(text)["unfinished"]["command"] == UNFINISHED.command
    assert json.loads(formats.registry()["json"].render(of_run()))["unfinished"] is None
