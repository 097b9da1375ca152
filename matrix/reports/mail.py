"""The report as a plain-text mail: a line per image as in the perf maintainers' summaries, then what fails, quoted."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from matrix.model.result import Verdict
from matrix.untrusted import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult, Finding
    from matrix.reports import Report
    from matrix.verdicts.regressions import CellComparison

WIDTH = 72
SHOWN = 10
COMPILER = re.compile(r"(gcc|clang)-\d+")
BAD = (Verdict.FAIL, Verdict.INCONCLUSIVE)


def render(report: Report) -> str:
    """Return the report as a mail's text."""
    gate = report.gate
    cells = [cell for cell in report.cells if gate is None or not cell.id.endswith(f"@{gate.base}")]
    failed = {held.id for held in gate.held if held.broken} if gate else set[str]()
    bad = {cell.id for cell in cells if (cell.id in failed if gate else cell.verdict in BAD)}
    lines = [f"perf-build-matrix: {report.verdict}: {gate.head if gate else report.tree}", ""]
    if gate:
        lines[1:1] = [f"held against {gate.base}"]
    lines += [*_images(cells, bad), ""]
    for cell_id in report.missing:
        lines.append(f"{cell_id}: no result")
    for text, (verdict, why) in (gate.required if gate else {}).items():
        lines.append(f"{verdict}: {text}: {why}")
    lines += [f"note: {note}" for note in report.notes]
    for cell in cells:
        lines += _cell(cell, report)
    return plain("\n".join(lines).rstrip() + "\n")


def _images(cells: list[CellResult], bad: set[CellId]) -> Iterator[str]:
    """Yield a line per image (number, seconds of its cells, image, Ok or FAIL, compilers), below it one per cell.

    An image is what the worst of its cells is; SKIP is the least, as it took nothing from those that were built.
    """
    images: dict[str, list[CellResult]] = {}
    for cell in cells:
        images.setdefault(cell.id.partition("/")[0], []).append(cell)
    for number, (name, group) in enumerate(images.items(), 1):
        wall_s = sum(cell.wall_s for cell in group)
        words = {_word(cell, bad) for cell in group}
        said = next(word for word in ("FAIL", "ERR", "Ok", "SKIP") if word in words)
        packages = next((cell.image.packages for cell in group if cell.image), {})
        compilers = ", ".join(f"{name} {version}" for name, version in packages.items() if COMPILER.fullmatch(name))
        yield f"{number:4} {wall_s:8.2f} {name:30}: {said:4} {compilers}".rstrip()
        for cell in group:
            known = sum(bool(finding.known) for check in cell.checks for finding in check.findings)
            beside = f" ({known} known failures)" if known else ""
            yield f"     {cell.wall_s:8.2f}   {cell.id}: {_word(cell, bad)}{beside}"


def _word(cell: CellResult, bad: set[CellId]) -> str:
    if cell.id in bad:
        return "FAIL"
    return {Verdict.ERROR: "ERR", Verdict.SKIP: "SKIP"}.get(cell.verdict, "Ok")


def _cell(cell: CellResult, report: Report) -> Iterator[str]:
    found: list[tuple[str, Finding]] = []
    if report.gate:
        for held in (held for held in report.gate.held if held.id == cell.id):
            yield from _beside(held)
            found = [(said.check, said.finding) for said in held.broken]
    else:
        if cell.reason:
            yield from (f"{cell.id}: {cell.verdict}: {cell.reason}", "")
        bad = [check for check in cell.checks if check.verdict in BAD]
        yield from (f"{cell.id}: {check.check}: {check.reason}\n" for check in bad if not check.findings)
        found = [(check.check, finding) for check in bad for finding in check.findings if not finding.known]
    if found:
        subject = report.gate.subjects.get(cell.id.tree, "") if report.gate else ""
        yield from _quoted(cell, found, subject)


def _beside(held: CellComparison) -> Iterator[str]:
    if held.undecided:
        yield from (f"{held.cell}: could not be decided: {held.undecided}", "")
    if held.mended:
        names = [f"{each.check} {each.finding.key}" for each in held.mended[:3]]
        more = f" and {len(held.mended) - 3} more" if len(held.mended) > 3 else ""
        yield from (f"{held.cell}: mends {', '.join(names)}{more}", "")


def _quoted(cell: CellResult, found: list[tuple[str, Finding]], subject: str) -> Iterator[str]:
    yield from (f"{cell.id} fails{f' ({subject})' if subject else ''}:", "")
    for check, finding in found[:SHOWN]:
        yield f"> {check}: {finding.key}"
        for word, text in (("expected", finding.expected), ("actual", finding.actual)):
            yield from textwrap.wrap(f"{word}: {text}", WIDTH, initial_indent=">   ", subsequent_indent=">     ")
        yield from (f">   | {line}" for line in finding.evidence.splitlines()[:5])
    if len(found) > SHOWN:
        yield f"> and {len(found) - SHOWN} more"
    yield from ("", "To see it again:", f"  {cell.reproduce}", "")
