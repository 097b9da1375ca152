"""The report for a merge request, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.model.result import Verdict
from matrix.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.result import CellResult
    from matrix.reports import Report
    from matrix.verdicts.regressions import CheckFinding, Gate

SHOWN = 20


def render(report: Report) -> str:
    """Return the report as Markdown."""
    lines = list(_gate(report, report.gate)) if report.gate else list(_run(report))
    return "\n".join([*lines, "", f"perf-build-matrix, run `{_code(report.run)}`", ""])


def _gate(report: Report, gate: Gate) -> Iterator[str]:
    yield f"## {report.verdict}: `{_code(gate.head)}` against `{_code(gate.base)}`"
    yield ""
    yield "| cell | breaks | mends | broken already | |"
    yield "|---|--:|--:|--:|---|"
    for held in gate.held:
        counts = (len(held.broken), len(held.mended), len(held.already))
        why = f"could not be decided: {_cell(held.undecided)}" if held.undecided else ""
        yield f"| `{_code(gate.name(held))}` | {' | '.join(str(count or '') for count in counts)} | {why} |"
    yield from (f"\n{_cell(note)}" for note in report.notes)
    for text, (verdict, why) in gate.required.items():
        yield f"\n**{verdict}** {_cell(text)}: {_cell(why)}"
    again = {cell.id: cell.reproduce for cell in report.cells}
    for held in gate.held:
        if held.broken:
            yield f"\n### `{_code(gate.name(held))}` newly fails\n"
            yield from _said(held.broken)
            yield f"\n```sh\n{_fenced(again.get(held.id, ''))}\n```"
        if held.mended:
            yield f"\n### `{_code(gate.name(held))}` no longer fails\n"
            yield from _said(held.mended)


def _said(said: Sequence[CheckFinding]) -> Iterator[str]:
    for each in said[:SHOWN]:
        finding = each.finding
        said_of_it = f"expected {_cell(finding.expected)}, actual {_cell(finding.actual)}"
        yield f"- {each.check}: `{_code(finding.key)}`: {said_of_it}"
    if len(said) > SHOWN:
        yield f"- … and {len(said) - SHOWN} more"


def _run(report: Report) -> Iterator[str]:
    names = sorted({check.check for cell in report.cells for check in cell.checks})
    yield f"## {report.verdict}: `{_code(report.tree)}`"
    yield ""
    yield f"| cell | verdict | {' | '.join(names)} | s |"
    yield f"|---|---|{'---|' * len(names)}--:|"
    for cell in report.cells:
        by_name = {check.check: check for check in cell.checks}
        marks = [str(by_name[name].verdict) if name in by_name else "" for name in names]
        yield f"| `{_code(cell.id)}` | {cell.verdict} | {' | '.join(marks)} | {cell.wall_s:.0f} |"
    for name in report.missing:
        yield f"| `{_code(name)}` | {Verdict.ERROR} | {' | '.join('' for _ in names)} | |"
    for cell in report.cells:
        yield from _failed(cell)


def _failed(cell: CellResult) -> Iterator[str]:
    bad = [check for check in cell.checks if check.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
    if cell.reason:
        yield f"\n`{_code(cell.id)}` {cell.verdict}: {_cell(cell.reason)}"
    if bad:
        yield f"\n### `{_code(cell.id)}` fails\n"
    for check in bad:
        new = [finding for finding in check.findings if not finding.known]
        for finding in new[:SHOWN]:
            yield f"- {check.check}: `{_code(finding.key)}`: {_cell(finding.actual)}"
        if len(new) > SHOWN or not new:
            yield f"- {check.check}: {f'… and {len(new) - SHOWN} more' if new else _cell(check.reason)}"
    if bad:
        yield f"\n```sh\n{_fenced(cell.reproduce)}\n```"


def _code(text: str) -> str:
    return plain(text, lines=False).replace("`", "'").replace("|", "\\|")


def _cell(text: str) -> str:
    """Return text that is neither markup nor the end of a table's cell."""
    kept = plain(text, lines=False)
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!" else c for c in kept)


def _fenced(text: str) -> str:
    return plain(text, lines=False).replace("```", "'''")
