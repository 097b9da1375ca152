"""The report for a merge request, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.model.result import Verdict
from matrix.reports import NOT_YET_MEASURED
from matrix.reports.formats import Format
from matrix.untrusted import markdown_code, one_line
from matrix.verdicts.wording import number_left

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.result import CellResult, CheckResult, RequirementVerdict
    from matrix.reports import Report
    from matrix.verdicts.regressions import CellComparison, CheckFinding, Gate

SHOWN = 20
"""Findings of one list that are shown."""


def render(report: Report) -> str:
    """Return the report as Markdown."""
    lines = _gate(report, report.gate) if report.gate else _run(report)
    unfinished = [f"**{markdown_code(report.unfinished.sentence)}**", ""] if report.unfinished else []
    return "\n".join([*unfinished, *lines, "", f"perf-build-matrix, run {markdown_code(report.run)}", ""])


FORMAT = Format(name="markdown", file_name="gate.md", render=render)


def _gate(report: Report, gate: Gate) -> Iterator[str]:
    yield f"## {report.verdict_word}: {markdown_code(gate.head)} against {markdown_code(gate.base)}"
    yield ""
    yield "| cell | breaks | mends | broken already | |"
    yield "|---|--:|--:|--:|---|"
    for comparison in gate.held:
        yield _gate_row(gate, comparison)
    for note in report.notes:
        yield f"\n{markdown_code(note)}"
    for text, required in gate.required.items():
        yield f"\n{_verdict_on(required)}{markdown_code(text)}: {markdown_code(required.why)}"
    for comparison in gate.held:
        yield from _gate_details(report, gate, comparison)


def _verdict_on(required: RequirementVerdict) -> str:
    return "" if required == NOT_YET_MEASURED else f"**{required.verdict}** "


def _gate_row(gate: Gate, comparison: CellComparison) -> str:
    numbers = [len(comparison.broken), len(comparison.mended), len(comparison.already)]
    columns = [str(number or "") for number in numbers]
    why = f"could not be decided: {markdown_code(comparison.undecided)}" if comparison.undecided else ""
    return f"| {markdown_code(gate.name(comparison))} | {' | '.join(columns)} | {why} |"


def _gate_details(report: Report, gate: Gate, comparison: CellComparison) -> Iterator[str]:
    """Yield the findings that the head breaks, with the command that reproduces them, and those that it mends."""
    name = markdown_code(gate.name(comparison))
    if comparison.broken:
        yield f"\n### {name} newly fails\n"
        yield from _findings(comparison.broken)
        yield _shell_block(report.reproduce(comparison.id))
    if comparison.mended:
        yield f"\n### {name} no longer fails\n"
        yield from _findings(comparison.mended)


def _findings(check_findings: Sequence[CheckFinding]) -> Iterator[str]:
    for check_finding in check_findings[:SHOWN]:
        finding = check_finding.finding
        values = f"expected {markdown_code(finding.expected)}, actual {markdown_code(finding.actual)}"
        yield f"- {check_finding.check}: {markdown_code(finding.key)}: {values}"
    left = number_left(check_findings, SHOWN)
    if left:
        yield f"- … and {left} more"


def _run(report: Report) -> Iterator[str]:
    names = report.check_names
    yield f"## {report.verdict_word}: {markdown_code(report.tree)}"
    yield ""
    yield f"| cell | verdict | {' | '.join(names)} | s |"
    yield f"|---|---|{'---|' * len(names)}--:|"
    for cell in report.cells:
        yield _cell_row(cell, names)
    for cell_id in report.missing:
        state = report.why_missing(cell_id) if report.is_going_on else Verdict.ERROR
        yield f"| {markdown_code(cell_id)} | {state} | {' | '.join([''] * len(names))} | |"
    for cell in report.cells:
        yield from _failures(cell)


def _cell_row(cell: CellResult, check_names: Sequence[str]) -> str:
    marks = [_mark(cell.check(name)) for name in check_names]
    seconds = "reused" if cell.reused else f"{cell.wall_s:.0f}"
    return f"| {markdown_code(cell.id)} | {cell.verdict} | {' | '.join(marks)} | {seconds} |"


def _mark(check: CheckResult | None) -> str:
    return str(check.verdict) if check else ""


def _failures(cell: CellResult) -> Iterator[str]:
    """Yield a cell's reason, the new findings of its failed checks, and the command that reproduces them."""
    if cell.reason:
        yield f"\n{markdown_code(cell.id)} {cell.verdict}: {markdown_code(cell.reason)}"
    if not cell.failed_checks:
        return
    yield f"\n### {markdown_code(cell.id)} fails\n"
    for check in cell.failed_checks:
        yield from _check_findings(check)
    yield _shell_block(cell.reproduce)


def _check_findings(check: CheckResult) -> Iterator[str]:
    new = check.new_findings
    if not new:
        yield f"- {check.check}: {markdown_code(check.reason)}"
    for finding in new[:SHOWN]:
        yield f"- {check.check}: {markdown_code(finding.key)}: {markdown_code(finding.actual)}"
    left = number_left(new, SHOWN)
    if left:
        yield f"- {check.check}: … and {left} more"


def _shell_block(command: str) -> str:
    fenced = one_line(command).replace("```", "'''")  # which would end the block
    return f"\n```sh\n{fenced}\n```"
