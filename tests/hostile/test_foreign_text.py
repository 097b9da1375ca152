"""Nothing but text comes of what strangers write: in no format, view, table or message does it steer, link or forge."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import pytest

from matrix import cli, untrusted
from matrix.cli.options import print_json
from matrix.errors import InfrastructureError, UsageError
from matrix.model.cell_id import CellId
from matrix.model.result import CellResult, CheckResult, Finding, Verdict
from matrix.reports import Report, formats, terminal
from matrix.runs import progress, store
from matrix.runs.assertion import assert_check
from matrix.runs.engine_access import EngineAccess
from matrix.trace import views
from matrix.trace.cost import account
from matrix.trace.simulation import PathItem
from tests.hostile import shown
from tests.hostile.foreign_text import BENIGN, EVERYTHING, NAME, TEXTS, noun, variants
from tests.unit.conftest import EPOCH, PERF, cell, file
from tests.unit.trace.test_timeline import ran, timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.trace.timeline import Timeline

WIDE = 1 << 20
"""Columns of a terminal on which no table folds a word."""

each_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
each_of_all = pytest.mark.parametrize("text", EVERYTHING.values(), ids=EVERYTHING)


@functools.cache
def reports_of(text: str, verdict: Verdict = Verdict.FAIL) -> tuple[Report, ...]:
    """Return reports of runs, gates and series, finished and not, each string of which is the text."""
    return tuple(_reports_of(text, verdict))


def _reports_of(text: str, verdict: Verdict) -> Iterator[Report]:
    for report in variants(Report, text, verdict):
        yield report
        if report.unfinished:
            yield report.model_copy(update={"unfinished": report.unfinished.model_copy(update={"running": None})})
            yield report.model_copy(update={"gate": None})


def test_each_format_and_view_has_a_parser_here() -> None:
    assert sorted(shown.FORMATS) == sorted(formats.registry())
    assert sorted(shown.VIEWS) == sorted(views.registry())


def parsed(name: str, report: Report) -> object:
    """Return what the reader of a format sees of a report."""
    return shown.FORMATS[name](formats.registry()[name].render(report))


@functools.cache
def parsed_benign(name: str, verdict: Verdict) -> tuple[object, ...]:
    return tuple(parsed(name, report) for report in reports_of(BENIGN, verdict))


@functools.cache
def report_of(text: str) -> Report:
    return noun(Report, text)


@functools.cache
def parsed_benign_report(name: str) -> object:
    return parsed(name, report_of(BENIGN))


@each_text
@pytest.mark.parametrize("name", sorted(shown.FORMATS))
def test_nothing_but_text_comes_through_a_format(name: str, text: str) -> None:
    assert parsed(name, report_of(text)) == parsed_benign_report(name)


@each_of_all
@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("name", sorted(shown.FORMATS))
def test_nothing_but_text_comes_through_any_part_of_a_format(name: str, verdict: Verdict, text: str) -> None:
    for hostile, benign in zip(reports_of(text, verdict), parsed_benign(name, verdict), strict=True):
        assert parsed(name, hostile) == benign


@pytest.mark.parametrize("name", ["", " ", "\x00", "`", "``"])
def test_a_name_of_nothing_ends_no_code_of_markdown(name: str) -> None:
    found, wanted = untrusted.markdown_code(name), untrusted.markdown_code(BENIGN)
    assert shown.markdown(f"| {found} | {found} |\n|---|---|\n") == shown.markdown(
        f"| {wanted} | {wanted} |\n|---|---|\n"
    )


def traced(text: str) -> Timeline:
    return timeline(
        ran(0, "make", "-f", "Makefile.perf", "all", at=(0, 10), parent=None),
        ran(1, "/bin/sh", "-c", text, at=(0, 1)),
        ran(2, f"/x/{text}", "-c", "-o", text, "a.c", at=(1, 5), cpu_s=0.25, status=2),
        ran(3, text, text, at=(2, 4), parent=2, cpu_s=2.5, cwd=f"/{text}"),
        ran(4, "make", "-f", "Makefile.build", text, at=(5, 9)),
        ran(5, "ld", "-r", "-o", f"{PERF}/{text}.o", at=(6, 9), parent=4, cpu_s=0.5),
        file(f"{PERF}/a.o", at=EPOCH + 5),
    )


def view(name: str, text: str) -> str:
    given = traced(text)
    path = [PathItem(name=text, process=one, wall_s=3.5, waited_for=text) for one in (2, 5)]
    return views.registry()[name].render(text, text, given, account(given), path)


def named(text: str) -> str:
    """Return a text as a file's name, which has no slash and is no option."""
    return "n" + text.replace("/", "%").replace("=", "%")


@each_text
@pytest.mark.parametrize("name", sorted(shown.VIEWS))
def test_nothing_but_text_comes_through_a_view(name: str, text: str) -> None:
    shown.VIEWS[name](view(name, text))


@functools.cache
def elements_of_a_benign_picture() -> object:
    return shown.html(view("picture", named(BENIGN)))


@pytest.mark.parametrize("text", [*TEXTS.values(), *EVERYTHING.values()], ids=[*TEXTS, *EVERYTHING])
def test_a_picture_of_files_of_any_name_has_the_same_elements(text: str) -> None:
    assert shown.html(view("picture", named(text))) == elements_of_a_benign_picture()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Exception], str]:
    """Return the function that gives what a command writes which ends in an error."""

    def written(error: Exception) -> str:
        def broken() -> None:
            raise error

        monkeypatch.setattr(cli, "app", broken)
        with pytest.raises(SystemExit):
            cli.main()
        return capsys.readouterr().err

    return written


@each_text
@pytest.mark.parametrize("kind", [UsageError, InfrastructureError])
def test_nothing_but_text_comes_through_an_error(
    kind: type[UsageError], text: str, failing: Callable[[Exception], str]
) -> None:
    found = failing(kind(f"no tree {text}", f"{text} ends:\n  {text}"))
    assert shown.text(found) == shown.text(failing(kind("no tree a", "b ends:\n  b")))


@each_text
def test_nothing_but_text_comes_through_an_error_of_the_system(text: str, failing: Callable[[Exception], str]) -> None:
    assert shown.text(failing(OSError(2, text, text))) == shown.text(failing(OSError(2, "a", "b")))
    assert shown.lines(failing(KeyError(text)))
    assert shown.lines(failing(Exception(text)))


@each_text
def test_nothing_but_text_comes_through_a_line_of_progress(text: str) -> None:
    out = io.StringIO()
    EngineAccess(None, terminal.console(file=out, width=WIDE)).say(f"downloading {text}")
    assert len(shown.lines(out.getvalue())) == 2


@each_text
@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_but_text_comes_through_the_progress_display(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path))
    run = store.begin([cell()], ["7.3"], [], 1)
    run.progress(cell().id, text.replace("\udce9\udcff\ud800", "?"))
    out = io.StringIO()
    console = terminal.console(file=out, width=WIDE, force_terminal=is_terminal, no_color=True)
    display = progress.Progress(run, [cell().id], console)
    display.look()
    console.print(display.table())
    assert len(shown.lines(out.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", ""))) == (3 if is_terminal else 4)


@each_text
@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict != Verdict.PASS])
def test_nothing_but_text_comes_through_the_outcome_of_a_test(verdict: Verdict, text: str) -> None:
    def message(word: str) -> str:
        of_check = noun(CheckResult, word, verdict, findings=variants(Finding, word))
        result = noun(CellResult, word, verdict, checks=(of_check,))
        with pytest.raises((pytest.fail.Exception, pytest.skip.Exception, pytest.xfail.Exception)) as ended:
            assert_check(result, NAME)
        return str(ended.value.msg)

    assert shown.text(f"E {message(text)}") == shown.text(f"E {message(BENIGN)}")


@each_text
def test_json_for_machines_is_json_in_any_encoding(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(noun(Report, text).model_dump(mode="json"))
    shown.machine(capsys.readouterr().out)
    print_json([{text: [text]}])
    shown.machine(capsys.readouterr().out)


@each_text
def test_a_result_with_any_text_can_be_kept_and_read_again(text: str, tmp_path: Path) -> None:
    run = store.Run(tmp_path / "r1")
    run.save(noun(CellResult, text))
    kept = run.result(CellId(f"i/t/b@{NAME}"))
    assert kept is not None
    assert kept.reason == text or not text.isprintable()


@pytest.mark.parametrize("text", [text for name, text in TEXTS.items() if name != "long"])
def test_no_id_of_a_cell_is_such_a_text(text: str) -> None:
    for hostile in (f"{text}/t/b@t", f"i/{text}/b@t", f"i/t/{text}@t", f"i/t/b@{text}"):
        with pytest.raises(ValueError, match="IMAGE/TOOLCHAIN/BUILD@TREE"):
            CellId(hostile)
