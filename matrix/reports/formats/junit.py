"""The report as JUnit XML, which CI systems show: a suite per cell, a case per check.

The elements are those of the schema of the Jenkins xUnit plugin, which GitLab reads, too: testsuites, testsuite,
testcase with failure, error or skipped
(https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from matrix.model.result import Verdict
from matrix.reports import NOT_EXAMINED, NOT_YET_MEASURED
from matrix.reports.formats import Format
from matrix.untrusted import one_line, quotation
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matrix.model.result import CellResult, CheckResult, Finding, RequirementVerdict
    from matrix.reports import Report, Unfinished
    from matrix.verdicts.regressions import CellComparison


def render(report: Report) -> str:
    """Return the report as JUnit XML; of a gate, the head's cells, failed only where the head is to blame."""
    root = ET.Element("testsuites", name=one_line(f"perf-build-matrix {report.run}"))
    for suite in _suites(report):
        _set_counts(suite)
        root.append(suite)
    ET.indent(root)  # for people who open it, as when a CI system refuses it
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


PLAIN_MARKS = {Verdict.ERROR: "error", Verdict.SKIP: "skipped"}
"""The marks of cases of checks that have a reason in place of findings."""

EVIDENCE_LINES = 100
"""Lines of one finding's evidence that are in the report."""

FORMAT = Format(name="junit", file_name="gate.xml", render=render)


def _suites(report: Report) -> Iterator[ET.Element]:
    if report.unfinished:
        yield _unfinished_suite(report.unfinished)
    for cell in report.judged_cells:
        yield _cell_suite(cell, report.comparison(cell.id))
    for cell_id in report.missing:
        yield _missing_suite(cell_id, report.why_missing(cell_id))
    yield from itertools.starmap(_requirement_suite, report.requirements.items())


def _cell_suite(cell: CellResult, comparison: CellComparison | None) -> ET.Element:
    suite = ET.Element("testsuite", name=one_line(cell.id), time=f"{cell.took_s:.1f}", timestamp=one_line(cell.started))
    _add_cell_case(suite, cell, comparison)
    for check in cell.checks:
        case = _add_case(suite, cell.id, check.check)
        if comparison is None:
            _mark_plainly(case, cell, check)
        else:
            _mark_by_blame(case, cell, check, comparison.broken_by(check.check))
    return suite


def _unfinished_suite(unfinished: Unfinished) -> ET.Element:
    # A suite of its own, as a half-done run without any failure would show green.
    suite = ET.Element("testsuite", name="run")
    _add_mark(_add_case(suite, "run", "finished"), "error", unfinished.sentence, "")
    return suite


def _missing_suite(cell_id: str, why: str) -> ET.Element:
    suite = ET.Element("testsuite", name=one_line(cell_id))
    _add_mark(_add_case(suite, cell_id, "cell"), "error", why, "")
    return suite


def _requirement_suite(text: str, required: RequirementVerdict) -> ET.Element:
    suite = ET.Element("testsuite", name="time")
    case = _add_case(suite, "time", text)
    why = required.why if required == NOT_YET_MEASURED else f"{required.verdict}: {required.why}"
    if required.verdict == Verdict.ERROR:
        _add_mark(case, "error", why, "")
    elif required.verdict != Verdict.PASS:
        _add_mark(case, "failure", why, "")
    return suite


def _add_cell_case(suite: ET.Element, cell: CellResult, comparison: CellComparison | None) -> None:
    """Add a case for the cell as a whole, where it could not be judged or is lost on the head."""
    undecided = _undecided(cell, comparison)
    lost = comparison.lost_cell if comparison else None
    if comparison and comparison.is_stopped_on_both:
        _add_mark(_add_case(suite, cell.id, "cell"), "error", NOT_EXAMINED, _details([], cell))
    elif undecided:
        _add_mark(_add_case(suite, cell.id, "cell"), "error", undecided, _details([], cell))
    elif lost:
        _add_mark(_add_case(suite, cell.id, "cell"), "failure", lost.actual, _details([lost], cell))


def _undecided(cell: CellResult, comparison: CellComparison | None) -> str:
    """Return the reason why a cell could not be judged; empty where it could."""
    if comparison:
        return comparison.undecided
    return cell.reason if cell.verdict == Verdict.ERROR else ""


def _mark_plainly(case: ET.Element, cell: CellResult, check: CheckResult) -> None:
    """Mark a check's case by the check's own verdict."""
    if check.verdict.fails:
        _add_mark(case, "failure", _failure_message(check), _details(check.new_findings, cell))
    elif check.verdict in PLAIN_MARKS:
        _add_mark(case, PLAIN_MARKS[check.verdict], check.reason, "")


def _failure_message(check: CheckResult) -> str:
    number = len(check.new_findings)
    return f"{check.verdict}: {count(number, 'finding')}" if number else check.reason


def _mark_by_blame(case: ET.Element, cell: CellResult, check: CheckResult, broken: list[Finding]) -> None:
    """Mark a check's case as failed only for findings that the head is to blame for."""
    if broken:
        _add_mark(case, "failure", f"the base did not fail so: {count(len(broken), 'finding')}", _details(broken, cell))
    elif check.skipped or check.verdict.fails:
        _add_mark(case, "skipped", _why_not_blamed(check), "")


def _why_not_blamed(check: CheckResult) -> str:
    return check.reason if check.skipped else "the base has the same findings in this check"


def _details(findings: Iterable[Finding], cell: CellResult) -> str:
    lines = [line for finding in findings for line in _finding_lines(finding)]
    return "\n".join([*lines, f"to reproduce: {one_line(cell.reproduce)}"])


def _finding_lines(finding: Finding) -> list[str]:
    words = (finding.key, f"  expected: {finding.expected}", f"  actual: {finding.actual}")
    return [*map(one_line, words), *quotation(finding.evidence, EVIDENCE_LINES)]


def _add_case(suite: ET.Element, classname: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=one_line(classname), name=one_line(name))


def _add_mark(case: ET.Element, kind: str, why: str, text: str) -> None:
    """Add the element (failure, error or skipped) without which a case has passed."""
    ET.SubElement(case, kind, message=one_line(why)).text = text


def _set_counts(suite: ET.Element) -> None:
    # After the cases, which are made one by one; readers take the numbers and do not count.
    suite.set("tests", str(len(suite)))
    for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(len(suite.findall(f"testcase/{kind}"))))
