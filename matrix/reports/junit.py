"""The report as JUnit XML, which CI systems show: a suite per cell, a case per check.

The elements are those of the schema that GitLab and the Jenkins xUnit plugin read: testsuites, testsuite, testcase with
failure, error or skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from matrix.model.result import Verdict
from matrix.untrusted import plain
from matrix.verdicts.regressions import THE_CELL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.model.result import CellResult, CheckResult, Finding
    from matrix.reports import Report
    from matrix.verdicts.regressions import CellComparison

BAD = (Verdict.FAIL, Verdict.INCONCLUSIVE)


def render(report: Report) -> str:
    """Return the report as JUnit XML; of a gate, the head's cells with what is the head's doing."""
    root = ET.Element("testsuites", name=plain(f"perf-build-matrix {report.run}"))
    beside = {held.id: held for held in report.gate.held} if report.gate else {}
    for cell in report.cells:
        if report.gate is None or not cell.id.endswith(f"@{report.gate.base}"):
            root.append(_suite(cell, beside.get(cell.id)))
    for name in report.missing:
        suite = ET.SubElement(root, "testsuite", name=plain(name))
        _sub(ET.SubElement(suite, "testcase", classname=plain(name), name="cell"), "error", "it has no result", "")
    for text, (verdict, why) in (report.gate.required if report.gate else {}).items():
        suite = ET.SubElement(root, "testsuite", name="time")
        case = ET.SubElement(suite, "testcase", classname="time", name=plain(text))
        if verdict != Verdict.PASS:
            _sub(case, "error" if verdict == Verdict.ERROR else "failure", f"{verdict}: {why}", "")
    for suite in root:
        _count(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(cell: CellResult, held: CellComparison | None) -> ET.Element:
    suite = ET.Element("testsuite", name=plain(cell.id), time=f"{cell.wall_s:.1f}", timestamp=plain(cell.started))
    open_why = held.undecided if held else cell.reason if cell.verdict == Verdict.ERROR else ""
    lost = [said.finding for said in held.broken if said.finding.subject == THE_CELL] if held else []
    if open_why or lost:
        case = ET.SubElement(suite, "testcase", classname=plain(cell.id), name="cell")
        _sub(case, "error" if open_why else "failure", open_why or lost[0].actual, _text(lost, cell))
    for check in cell.checks:
        case = ET.SubElement(suite, "testcase", classname=plain(cell.id), name=plain(check.check))
        if held is None:
            _plain_case(case, cell, check)
        else:
            _blamed_case(case, cell, check, [said.finding for said in held.broken if said.check == check.check])
    return suite


def _plain_case(case: ET.Element, cell: CellResult, check: CheckResult) -> None:
    if check.verdict in BAD:
        new = [finding for finding in check.findings if not finding.known]
        _sub(case, "failure", f"{check.verdict}: {len(new)} findings" if new else check.reason, _text(new, cell))
    elif check.verdict == Verdict.ERROR:
        _sub(case, "error", check.reason, "")
    elif check.verdict == Verdict.SKIP:
        _sub(case, "skipped", check.reason, "")


def _blamed_case(case: ET.Element, cell: CellResult, check: CheckResult, broken: list[Finding]) -> None:
    if broken:
        _sub(case, "failure", f"the base did not fail so: {len(broken)} findings", _text(broken, cell))
    elif check.verdict == Verdict.SKIP:
        _sub(case, "skipped", check.reason, "")
    elif check.verdict in BAD:
        _sub(case, "skipped", "what fails here the base fails, too", "")


def _text(findings: Iterable[Finding], cell: CellResult) -> str:
    lines = [
        f"{finding.key}\n  expected: {finding.expected}\n  actual: {finding.actual}\n{finding.evidence}".rstrip()
        for finding in findings
    ]
    return "\n".join([*lines, f"to reproduce: {cell.reproduce}"])


def _sub(case: ET.Element, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, kind, message=plain(message, lines=False)).text = plain(text)


def _count(suite: ET.Element) -> None:
    suite.set("tests", str(len(suite)))
    for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(len(suite.findall(f"testcase/{kind}"))))
