"""The report as a plain-text mail: a line per image as in the perf maintainers' summaries, then findings, quoted."""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import TYPE_CHECKING

from matrix.model.result import Verdict
from matrix.reports import NOT_EXAMINED, NOT_YET_MEASURED
from matrix.reports.formats import Format
from matrix.untrusted import mail_beginning, mail_line, message, one_line, quotation
from matrix.verdicts.wording import count, cut, number_left

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult, Finding, RequirementVerdict
    from matrix.reports import Report
    from matrix.verdicts.regressions import CellComparison, Gate

WIDTH = 72
"""The columns of a line, so that it stays below 80 when it has been quoted a few times."""

SHOWN = 10
"""Findings of one cell that are quoted."""

MENDS_SHOWN = 3  # a mail is about what breaks
EVIDENCE_LINES = 5
COMPILER = re.compile(r"(gcc|clang)-\d+")
WORDS = ("FAIL", "ERR", "Ok", "SKIP")
"""The words of the maintainers' summaries, the worst first; a skipped cell says nothing against the built ones."""


def render(report: Report) -> str:
    """Return the report as a mail's text."""
    lines = [*_unfinished(report), *_head(report), "", *_images(report), "", *_remarks(report)]
    for cell in report.judged_cells:
        lines += _details(cell, report.gate)
    return "\n".join(map(mail_line, lines)).rstrip() + "\n"


FORMAT = Format(name="mail", file_name="gate.mail", render=render)


def _unfinished(report: Report) -> list[str]:
    return [report.unfinished.sentence, ""] if report.unfinished else []


def _details(cell: CellResult, gate: Gate | None) -> Iterator[str]:
    """Return the lines on the findings of a cell: without a gate all new ones, in a gate those it is to blame for."""
    return _failures(cell) if gate is None else _blamed(cell, gate)


def _head(report: Report) -> list[str]:
    if report.gate is None:
        return [f"perf-build-matrix: {report.verdict_word}: {report.tree}"]
    return [f"perf-build-matrix: {report.verdict_word}: {report.gate.head}", f"compared with {report.gate.base}"]


def _remarks(report: Report) -> Iterator[str]:
    """Yield the lines on cells without a result, on requirements, and the notes."""
    yield from (f"{mail_beginning(cell_id)}: {_why_missing(report, cell_id)}" for cell_id in report.missing)
    yield from itertools.starmap(_requirement, report.requirements.items())
    yield from (f"note: {note}" for note in report.notes)


def _requirement(text: str, required: RequirementVerdict) -> str:
    sentence = f"{mail_beginning(text)}: {required.why}"
    return sentence if required == NOT_YET_MEASURED else f"{required.verdict}: {sentence}"


def _why_missing(report: Report, cell_id: str) -> str:
    return report.why_missing(cell_id) if report.is_going_on else "no result"


def _images(report: Report) -> Iterator[str]:
    """Yield a line per image (number, seconds of its cells, image, worst word, compilers), below it one per cell."""
    failed = _failed_cells(report)
    for number, (image, cells) in enumerate(_by_image(report.judged_cells).items(), 1):
        yield _image_line(number, image, cells, failed)
        yield from (
            f"     {cell.took_s:8.2f}   {cell.id}: {_word(cell, failed)}{_known(cell)}{_not_examined(cell, report)}"
            for cell in cells
        )


def _by_image(cells: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    images: dict[str, list[CellResult]] = {}
    for cell in cells:
        images.setdefault(cell.id.place.image, []).append(cell)
    return images


def _image_line(number: int, image: str, cells: Sequence[CellResult], failed: set[CellId]) -> str:
    wall_s = sum(cell.took_s for cell in cells)
    word = min((_word(cell, failed) for cell in cells), key=WORDS.index)  # the worst stands for the image
    return f"{number:4} {wall_s:8.2f} {image:30}: {word:4} {_compilers(cells)}".rstrip()


def _not_examined(cell: CellResult, report: Report) -> str:
    comparison = report.comparison(cell.id)
    return f" ({NOT_EXAMINED})" if comparison and comparison.is_stopped_on_both else ""


def _failed_cells(report: Report) -> set[CellId]:
    if report.gate:
        return {one.id for one in report.gate.held if one.broken or one.is_stopped_on_both}
    return {cell.id for cell in report.cells if cell.verdict.fails}


def _word(cell: CellResult, failed: set[CellId]) -> str:
    if cell.id in failed:
        return "FAIL"
    return {Verdict.ERROR: "ERR", Verdict.SKIP: "SKIP"}.get(cell.verdict, "Ok")


def _compilers(cells: Sequence[CellResult]) -> str:
    packages = next((cell.image.packages for cell in cells if cell.image), {})
    return ", ".join(f"{name} {version}" for name, version in packages.items() if COMPILER.fullmatch(name))


def _known(cell: CellResult) -> str:
    number = sum(len(check.known_findings) for check in cell.checks)
    return f" ({count(number, 'known failure')})" if number else ""


def _blamed(cell: CellResult, gate: Gate) -> Iterator[str]:
    """Yield the lines of a gate on a cell: the reason why it is undecided, and the findings it mends and breaks."""
    comparison = gate.comparison(cell.id)
    if comparison is None:
        return
    yield from _undecided_or_mended(comparison)
    broken = [(each.check, each.finding) for each in comparison.broken]
    yield from _quoted(cell, broken, gate.subjects.get(cell.id.tree, ""))


def _undecided_or_mended(comparison: CellComparison) -> Iterator[str]:
    if comparison.undecided:
        yield from _paragraph(f"{comparison.cell}: could not be decided: {comparison.undecided}")
    if comparison.mended:
        yield from (f"{comparison.cell}: mends {', '.join(cut(comparison.mended_keys, MENDS_SHOWN))}", "")


def _failures(cell: CellResult) -> Iterator[str]:
    """Yield a cell's reason, the reasons of checks that fail without a finding, and the new findings of the others."""
    yield from _reasons(cell)
    new = [(check.check, finding) for check in cell.failed_checks for finding in check.new_findings]
    yield from _quoted(cell, new)


def _reasons(cell: CellResult) -> Iterator[str]:
    if cell.reason:
        yield from _paragraph(f"{cell.id}: {cell.verdict}: {cell.reason}")
    without_findings = [check for check in cell.failed_checks if not check.findings]
    for check in without_findings:
        yield from _paragraph(f"{cell.id}: {check.check}: {check.reason}")


def _paragraph(text: str) -> Iterator[str]:
    """Yield the lines of a text that may quote strangers in several, and an empty line."""
    yield from message(text).split("\n")
    yield ""


def _quoted(cell: CellResult, findings: Sequence[tuple[str, Finding]], subject: str = "") -> Iterator[str]:
    """Yield the findings (each with its check's name) of a cell that fails, and the command that reproduces it."""
    if not findings:
        return
    in_patch = f" ({subject})" if subject else ""
    yield from (f"{cell.id} fails{in_patch}:", "")
    for check, finding in findings[:SHOWN]:
        yield from _quoted_finding(check, finding)
    left = number_left(findings, SHOWN)
    if left:
        yield f"> and {left} more"
    yield from ("", "To see it again:", f"  {mail_beginning(cell.reproduce)}", "")


def _quoted_finding(check: str, finding: Finding) -> Iterator[str]:
    yield f"> {check}: {finding.key}"
    for word, text in (("expected", finding.expected), ("actual", finding.actual)):
        line = one_line(f"{word}: {text}")
        yield from textwrap.wrap(line, WIDTH, initial_indent=">   ", subsequent_indent=">     ")
    yield from quotation(finding.evidence, EVIDENCE_LINES, ">   | ")
