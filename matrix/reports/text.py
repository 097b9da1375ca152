"""The report for people: a table of cells by checks, then every finding that is not known, with its evidence."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.model.result import Verdict
from matrix.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.result import CellResult, CheckResult, Finding
    from matrix.reports import Report
    from matrix.verdicts.regressions import CheckFinding, Gate

STYLES = {
    Verdict.PASS: "green",
    Verdict.SKIP: "dim",
    Verdict.XFAIL: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.ERROR: "bold magenta",
    Verdict.FAIL: "bold red",
}
SHOWN = 8
SHORT = 7
"""A check's name is written in one line up to this many characters, as its column is not narrower."""

WIDTH = 196
EVIDENCE_LINES = 6


def render(report: Report, *, colour: bool = False, width: int = WIDTH) -> str:
    """Return the report as text."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    console.print(_table(report))
    for cell in report.cells:
        for line in _reason(cell) if report.gate else _cell(cell, report.folder):
            console.print(line, soft_wrap=True)
    for line in [*(_gate(report, report.gate) if report.gate else ()), *_end(report)]:
        console.print(line, soft_wrap=True)
    return out.getvalue()


def _table(report: Report) -> Table:
    names = sorted({check.check for cell in report.cells for check in cell.checks})
    title = Text(plain(f"run {report.run}, tree {report.tree}", lines=False))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("cell", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in names:
        table.add_column(name.replace("-", "-\n") if len(name) > SHORT else name, overflow="fold")
    for name in ("first\nbuild", "second\nmake", "all"):
        table.add_column(name, justify="right", overflow="fold")
    for cell in report.cells:
        checks = {check.check: check for check in cell.checks}
        walls = {step.name: f"{step.wall_s:.1f} s" for step in cell.steps if step.exit_status is not None}
        table.add_row(
            Text(plain(cell.id, lines=False)),
            _mark(cell.verdict),
            *(_check_mark(checks.get(name)) for name in names),
            walls.get("build", ""),
            walls.get("rebuild", ""),
            f"{cell.wall_s:.0f} s",
        )
    return table


def _mark(verdict: Verdict, more: str = "") -> Text:
    return Text(f"{verdict}{more}", style=STYLES[verdict])


def _check_mark(check: CheckResult | None) -> Text:
    if check is None:
        return Text("")
    return _mark(check.verdict, f" {len(check.findings)}" if check.findings else "")


def _reason(cell: CellResult) -> Iterator[Text]:
    if cell.reason:
        name = plain(cell.id, lines=False)
        yield Text(f"{name}: ").append_text(_mark(cell.verdict)).append(f": {plain(cell.reason)}")


def _cell(cell: CellResult, folder: str) -> Iterator[Text]:
    name = plain(cell.id, lines=False)
    yield from _reason(cell)
    bad = False
    for check in cell.checks:
        if check.verdict not in (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE):
            continue
        bad = True
        new = [finding for finding in check.findings if not finding.known]
        yield Text(f"\n{name} ").append_text(_mark(check.verdict)).append(f" {check.check}: {_count(new, check)}")
        for finding in new[:SHOWN]:
            yield from _finding(finding, f"{folder}/cells/{name}")
        if len(new) > SHOWN:
            yield Text(f"  … and {len(new) - SHOWN} more; all are in {folder}/cells/{name}/result.json")
    if bad or cell.verdict in (Verdict.FAIL, Verdict.ERROR):
        yield Text(f"  to reproduce: {plain(cell.reproduce, lines=False)}")


def _gate(report: Report, gate: Gate) -> Iterator[Text]:
    """Say what the head breaks, with evidence, what it mends, and how much was broken already."""
    again = {cell.id: cell.reproduce for cell in report.cells}
    for held in gate.held:
        name = plain(gate.name(held), lines=False)
        if held.undecided:
            yield Text(f"\n{name} ").append_text(_mark(Verdict.ERROR)).append(f": {plain(held.undecided)}")
        head, base = (
            f"{report.folder}/cells/{plain(held.cell, lines=False)}@{tree}" for tree in (held.tree, gate.base)
        )
        yield from _said(name, Text("newly fails", STYLES[Verdict.FAIL]), held.broken, head)
        if held.broken:
            yield Text(f"  to reproduce: {plain(again.get(held.id, ''), lines=False)}")
        yield from _said(name, Text("no longer fails", STYLES[Verdict.PASS]), held.mended, base)
    for title, count in (
        ("were on the base already", sum(len(held.already) for held in gate.held)),
        ("are of checks that the base did not come to", sum(len(held.unseen) for held in gate.held)),
    ):
        if count:
            yield Text(f"\n{count} findings {title}, so the head is not blamed: `--format json` has each")
    for text, (verdict, why) in gate.required.items():
        yield _mark(verdict).append(f" {plain(f'{text}: {why}', lines=False)}", style="default")


def _said(name: str, title: Text, said: Sequence[CheckFinding], folder: str) -> Iterator[Text]:
    if said:
        yield Text(f"\n{name} ").append_text(title)
    for each in said[:SHOWN]:
        yield Text(f"  {each.check}:")
        yield from _finding(each.finding, folder)
    if len(said) > SHOWN:
        yield Text(f"  … and {len(said) - SHOWN} more; `--format json` has each")


def _count(new: list[Finding], check: CheckResult) -> str:
    known = len(check.findings) - len(new)
    count = f"{len(new)} finding{'s' if len(new) != 1 else ''}" if check.findings else plain(check.reason)
    return f"{count} ({known} known ones beside)" if known else count


def _finding(finding: Finding, folder: str) -> Iterator[Text]:
    yield Text(f"  {plain(finding.key, lines=False)}")
    yield Text(f"    expected: {plain(finding.expected, lines=False)}")
    yield Text(f"    actual:   {plain(finding.actual, lines=False)}")
    lines = finding.evidence.splitlines()
    for line in lines[:EVIDENCE_LINES]:
        yield Text(plain(f"    | {line}"))
    if finding.where:
        yield Text(f"    see {plain(f'{folder}/{finding.where}', lines=False)}")


def _known(report: Report) -> Iterator[Text]:
    """Say what the known failures are, each reason once: they are in no other line of this report."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in report.cells:
        for check in cell.checks:
            for finding in check.findings:
                if finding.known:
                    found.setdefault((check.check, finding.known), []).append(cell.id)
    if found:
        yield Text("known failures (configs/known-failures.yaml; `--format json` has each finding):")
    for (check_name, why), ids in sorted(found.items()):
        cells = len(set(ids))
        counts = f"{len(ids)} in {cells} cell{'s' if cells != 1 else ''}"
        yield Text(f"  {check_name}: {plain(why, lines=False)} ({counts})")


def _end(report: Report) -> Iterator[Text]:
    yield Text("")
    yield from _known(report)
    for note in report.notes:
        yield Text(f"note: {plain(note, lines=False)}")
    for cell_id in report.missing:
        yield Text(f"{plain(cell_id, lines=False)}: ").append_text(_mark(Verdict.ERROR)).append(": it has no result")
    counts = ", ".join(
        f"{number} {verdict}" for verdict in Verdict if (number := sum(c.verdict == verdict for c in report.cells))
    )
    yield Text("verdict: ").append_text(_mark(report.verdict)).append(f" ({counts or 'no cell was run'})")
    yield Text(f"run: {report.folder}")
