"""The report for people: a table of cells by checks, then every finding that is not known, with its evidence."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from matrix.model.result import Verdict
from matrix.reports import NOT_YET_MEASURED, terminal
from matrix.reports.formats import Format
from matrix.reports.terminal import STYLES, WIDTH, mark
from matrix.untrusted import message, one_line, quotation
from matrix.verdicts.wording import count, number_left

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.result import CellResult, CheckResult, Finding, RequirementVerdict
    from matrix.reports import Report, Unfinished
    from matrix.verdicts.regressions import CellComparison, CheckFinding, Gate

SHOWN = 8
"""Findings of one check in one cell that are shown."""

SHORT = 7
"""Characters up to which a check's name is written in one line, as its column is not narrower."""

EVIDENCE_LINES = 6

DETAILED = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
"""The verdicts of checks whose findings are shown."""


def render(report: Report, *, colour: bool = False, width: int = WIDTH) -> str:
    """Return the report as text, in lines of at most `width` columns where a table can be cut."""
    # Into a string, so that a report has the same bytes on a terminal of any kind, in a file and in a pipe.
    out = io.StringIO()
    console = terminal.console(file=out, width=width, force_terminal=colour, no_color=not colour)
    if report.unfinished:
        console.print(_unfinished(report.unfinished), soft_wrap=True)
    console.print(_table(report))
    for line in _lines(report):
        console.print(line, soft_wrap=True)  # a wrapped line could not be copied: it may be a command or a path
    return out.getvalue()


FORMAT = Format(name="text", file_name="gate.txt", render=render)


def _unfinished(unfinished: Unfinished) -> Text:
    return Text(one_line(unfinished.sentence), style=STYLES[Verdict.ERROR])


def _lines(report: Report) -> Iterator[Text]:
    """Yield all that is below the table."""
    for cell in report.cells:
        yield from _reason(cell)
        if report.gate is None:
            yield from _failures(cell, report.folder)
    if report.gate:
        yield from _gate(report, report.gate)
    yield Text("")
    yield from _known_failures(report)
    yield from _end(report)


def _table(report: Report) -> Table:
    names = report.check_names
    # A title that was folded would have a line that begins with a word of a tree's name.
    title = Text(one_line(f"run {report.run}, tree {report.tree}"), no_wrap=True, overflow="ignore")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("cell", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in names:
        table.add_column(_heading(name), overflow="fold")
    for name in ("first\nbuild", "second\nmake", "all"):
        table.add_column(name, justify="right", overflow="fold")
    for cell in report.cells:
        table.add_row(*_row(cell, names))
    return table


def _heading(check: str) -> str:
    return check.replace("-", "-\n") if len(check) > SHORT else check  # a narrow column for a mark and a number


def _row(cell: CellResult, check_names: Sequence[str]) -> list[Text | str]:
    marks = [_check_mark(cell.check(name)) for name in check_names]
    whole = "reused" if cell.reused else f"{cell.wall_s:.0f} s"
    times = [_step_time(cell, "build"), _step_time(cell, "rebuild"), whole]
    return [Text(one_line(cell.id)), mark(cell.verdict), *marks, *times]


def _check_mark(check: CheckResult | None) -> Text:
    if check is None:
        return Text("")
    return mark(check.verdict, f" {len(check.findings)}" if check.findings else "")


def _step_time(cell: CellResult, name: str) -> str:
    step = cell.step(name)
    if step is None or step.exit_status is None:
        return ""
    return f"{step.wall_s:.1f} s"


def _reason(cell: CellResult) -> Iterator[Text]:
    if cell.reason:
        yield Text(f"{one_line(cell.id)}: ").append_text(mark(cell.verdict)).append(f": {message(cell.reason)}")


def _failures(cell: CellResult, folder: str) -> Iterator[Text]:
    """Yield the new findings of a cell, check by check, and the command that reproduces it."""
    cell_folder = f"{one_line(folder)}/cells/{one_line(cell.id)}"
    for check in _detailed_checks(cell):
        yield from _check_findings(cell, check, cell_folder)
    if _has_failed(cell) and cell.reproduce:  # a cell that could not be begun has none
        yield Text(f"  to reproduce: {one_line(cell.reproduce)}")


def _detailed_checks(cell: CellResult) -> list[CheckResult]:
    return [check for check in cell.checks if check.verdict in DETAILED]


def _has_failed(cell: CellResult) -> bool:
    return bool(_detailed_checks(cell)) or cell.verdict in (Verdict.FAIL, Verdict.ERROR)


def _check_findings(cell: CellResult, check: CheckResult, folder: str) -> Iterator[Text]:
    summary = f" {check.check}: {_summary(check)}"
    yield Text(f"\n{one_line(cell.id)} ").append_text(mark(check.verdict)).append(summary)
    for finding in check.new_findings[:SHOWN]:
        yield from _finding(finding, folder)
    left = number_left(check.new_findings, SHOWN)
    if left:
        yield Text(f"  … and {left} more; all are in {folder}/result.json")


def _summary(check: CheckResult) -> str:
    summary = count(len(check.new_findings), "finding") if check.findings else message(check.reason)
    known = len(check.known_findings)
    return f"{summary} ({count(known, 'known finding')} beside)" if known else summary


def _finding(finding: Finding, folder: str) -> Iterator[Text]:
    yield Text(f"  {one_line(finding.key)}")
    yield Text(f"    expected: {one_line(finding.expected)}")
    yield Text(f"    actual:   {one_line(finding.actual)}")
    yield from map(Text, quotation(finding.evidence, EVIDENCE_LINES, "    | "))
    if finding.where:
        yield Text(f"    see {one_line(f'{folder}/{finding.where}')}")


def _gate(report: Report, gate: Gate) -> Iterator[Text]:
    """Yield the findings that the head breaks and mends, the numbers of those it has no blame for, the requirements."""
    for comparison in gate.held:
        yield from _comparison(report, gate, comparison)
    yield from _findings_without_blame(gate)
    for text, required in gate.required.items():
        yield _requirement(one_line(f"{text}: {required.why}"), required)


def _requirement(sentence: str, required: RequirementVerdict) -> Text:
    if required == NOT_YET_MEASURED:
        return Text(sentence)
    return mark(required.verdict).append(f" {sentence}", style="default")


def _findings_without_blame(gate: Gate) -> Iterator[Text]:
    """Yield the numbers of findings that the head is not blamed for, with the reason."""
    on_base = sum(len(comparison.already) for comparison in gate.held)
    unseen = sum(len(comparison.unseen) for comparison in gate.held)
    yield from _not_blamed(on_base, "on the base already")
    yield from _not_blamed(unseen, "of a check that could not examine the base")


def _not_blamed(number: int, which: str) -> Iterator[Text]:
    if number:
        yield Text(f"\n{count(number, 'finding')} {which}, so the head is not blamed: `--format json` has each")


def _comparison(report: Report, gate: Gate, comparison: CellComparison) -> Iterator[Text]:
    name = one_line(gate.name(comparison))
    place = f"{one_line(report.folder)}/cells/{one_line(comparison.cell)}"
    if comparison.undecided and not report.is_going_on:
        yield Text(f"\n{name} ").append_text(mark(Verdict.ERROR)).append(f": {message(comparison.undecided)}")
    if comparison.broken:
        yield Text(f"\n{name} ").append("newly fails", STYLES[Verdict.FAIL])
        yield from _blamed_findings(comparison.broken, f"{place}@{comparison.tree}")
        yield Text(f"  to reproduce: {one_line(report.reproduce(comparison.id))}")
    if comparison.mended:
        yield Text(f"\n{name} ").append("no longer fails", STYLES[Verdict.PASS])
        yield from _blamed_findings(comparison.mended, f"{place}@{gate.base}")


def _blamed_findings(findings: Sequence[CheckFinding], folder: str) -> Iterator[Text]:
    for check_finding in findings[:SHOWN]:
        yield Text(f"  {one_line(check_finding.check)}:")
        yield from _finding(check_finding.finding, folder)
    left = number_left(findings, SHOWN)
    if left:
        yield Text(f"  … and {left} more; `--format json` has each")


def _known_failures(report: Report) -> Iterator[Text]:
    """Yield the reason of each known failure once: they are in no other line of this report."""
    cell_ids = _cells_by_known_failure(report)
    if cell_ids:
        yield Text("known failures (configs/known-failures.yaml; `--format json` has each finding):")
    for (check, why), ids in sorted(cell_ids.items()):
        yield Text(f"  {check}: {one_line(why)} ({len(ids)} in {count(len(set(ids)), 'cell')})")


def _cells_by_known_failure(report: Report) -> dict[tuple[str, str], list[str]]:
    """Return the id of the cell of each known finding, by its check and the reason why it is known."""
    cell_ids: dict[tuple[str, str], list[str]] = {}
    for cell in report.cells:
        for check, why in _known_reasons(cell):
            cell_ids.setdefault((check, why), []).append(cell.id)
    return cell_ids


def _known_reasons(cell: CellResult) -> Iterator[tuple[str, str]]:
    for check in cell.checks:
        for finding in check.known_findings:
            yield check.check, finding.known


def _end(report: Report) -> Iterator[Text]:
    for note in report.notes:
        yield Text(f"note: {one_line(note)}")
    for cell_id in report.missing:
        yield _missing(report, cell_id)
    yield Text("verdict: ").append(report.verdict_word, STYLES[report.verdict]).append(f" ({_verdict_counts(report)})")
    yield Text(f"run: {one_line(report.folder)}")


def _missing(report: Report, cell_id: str) -> Text:
    name, why = Text(f"{one_line(cell_id)}: "), report.why_missing(cell_id)
    return name.append(why) if report.is_going_on else name.append_text(mark(Verdict.ERROR)).append(f": {why}")


def _verdict_counts(report: Report) -> str:
    """Return the number of cells of each verdict, then those of the cells that run and that have no result."""
    running = [cell_id for cell_id in report.missing if report.why_missing(cell_id) == "running"]
    numbers: Counter[str] = Counter(cell.verdict for cell in report.cells)
    numbers |= {"running": len(running), "lacking": len(report.missing) - len(running)}
    counts = [f"{numbers[state]} {state}" for state in (*Verdict, "running", "lacking") if numbers[state]]
    return ", ".join(counts) or "no cell was run"
