"""The reports that leave the terminal: JUnit XML, Markdown, mail; and a gate as text."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from matrix import reports
from matrix.model.cell_id import Place
from matrix.model.result import CellResult, CheckResult, Finding, ImageIdentity, RequirementVerdict, Verdict
from matrix.reports import Report, formats
from matrix.verdicts import regressions
from matrix.verdicts.regressions import Gate
from tests.unit.conftest import result

PLACE = Place("debian-trixie/gcc/default")


HOSTILE = "left:/a\x1b[31m|`<b>\nx"


PACKAGES = {"gcc-14": "14.2.0-19", "libc6": "2.41", "clang-19": "19.1.7"}


def finding(key: str = "left:/a", **more: Any) -> Finding:
    kind, _, subject = key.partition(":")
    values = {"expected": "none", "actual": "one", "evidence": "ls -l\n-rw /a", **more}
    return Finding(kind=kind, subject=subject, **values)


def check(*findings: Finding, name: str = "clean", verdict: Verdict | None = None) -> CheckResult:
    came = verdict or (Verdict.FAIL if findings else Verdict.PASS)
    return CheckResult(check=name, verdict=came, findings=findings, examined=1, reason="why not")


def on(tree: str, *checks: CheckResult, **more: Any) -> CellResult:
    identity = ImageIdentity(name="debian-trixie", tag="t", digest="d", base="b", packages=PACKAGES)
    values = {"checks": checks, "image": identity, "wall_s": 12.5, "reproduce": "perf-matrix run --tree x", **more}
    return result(PLACE.on(tree), **values)


def of_run(*cells: CellResult, wanted: tuple[str, ...] = ()) -> Report:
    return reports.build("r1", "/runs/r1", ["7.3"], [*(cell.id for cell in cells), *wanted], cells)


def of_gate(base: CellResult, head: CellResult, **required: RequirementVerdict) -> Report:
    report = of_run(base, head)
    held = regressions.compare_trees([base, head], [base.id, head.id], "base", "head")
    found = Gate(base="base", head="head", held=held, required=required)
    return report.model_copy(update={"gate": found, "verdict": found.verdict})


BROKEN = of_gate(
    on("base", check(finding("left:/old"), finding("left:/gone"))),
    on("head", check(finding("left:/old"), finding("left:/new"), verdict=Verdict.FAIL), verdict=Verdict.FAIL),
    build=RequirementVerdict(Verdict.INCONCLUSIVE, "about 7 pairs would decide"),
)


@pytest.mark.parametrize("name", ["text", "markdown", "mail"])
def test_a_gate_names_what_is_broken_and_mended_and_blames_nothing_else(name: str) -> None:
    text = formats.registry()[name].render(BROKEN)
    assert "left:/new" in text
    assert "left:/gone" in text
    assert "left:/old" not in text
    assert "perf-matrix run --tree x" in text
    assert "about 7 pairs would decide" in text.replace("\\", "")


STOPPED = check(finding("step-failed:build"), name="build")
ON_BOTH = of_gate(
    on("base", STOPPED, check(verdict=Verdict.SKIP), verdict=Verdict.FAIL),
    on("head", STOPPED, check(verdict=Verdict.SKIP), verdict=Verdict.FAIL),
)


def test_a_cell_that_stops_on_both_trees_is_not_right_in_any_format() -> None:
    mail = formats.registry()["mail"].render(ON_BOTH)
    assert f"{PLACE}@head: FAIL (not examined: a step fails here and on the base, and the causes may differ)" in mail
    assert ": Ok" not in mail
    assert cases(ON_BOTH)[f"{PLACE}@head:cell"] == "error"


@pytest.mark.parametrize("name", ["text", "markdown", "mail", "junit"])
def test_no_format_passes_on_what_steers_a_terminal(name: str) -> None:
    hostile = finding(HOSTILE, actual=HOSTILE, expected=HOSTILE, evidence=HOSTILE)
    for report in (
        of_run(on("7.3", check(hostile), verdict=Verdict.FAIL)),
        of_gate(on("base", check()), on("head", check(hostile))),
    ):
        assert "\x1b" not in formats.registry()[name].render(report)


def test_markdown_has_no_markup_of_a_trees() -> None:
    text = formats.registry()["markdown"].render(
        of_run(on("7.3", check(finding("left:/a", actual="<img src=x>|`")), verdict=Verdict.FAIL))
    )
    assert "- clean: `left:/a`: `<img src=x>¦'`\n" in text
    assert "| `debian-trixie/gcc/default@7.3` | FAIL | FAIL | 12 |" in text


def cases(report: Report) -> dict[str, str]:
    root = ET.fromstring(formats.registry()["junit"].render(report))  # noqa: S314 - our own
    found = {}
    for case in root.iter("testcase"):
        kinds = [child.tag for child in case]
        found[f"{case.get('classname')}:{case.get('name')}"] = kinds[0] if kinds else "passed"
    return found


def test_a_mail_blames_no_cell_that_was_not_compared() -> None:
    other = on("other", check(finding("left:/other"), verdict=Verdict.FAIL), verdict=Verdict.FAIL)
    mail = formats.registry()["mail"].render(BROKEN.model_copy(update={"cells": (*BROKEN.cells, other)}))
    assert f"{PLACE}@other: Ok" in mail
    assert "left:/other" not in mail


def test_junit_has_a_case_per_check() -> None:
    skip, error = check(name="touch", verdict=Verdict.SKIP), check(name="no-op", verdict=Verdict.ERROR)
    checks = (check(finding()), check(name="build"), skip, error, check(name="x", verdict=Verdict.FAIL))
    report = of_run(on("7.3", *checks, verdict=Verdict.FAIL), wanted=("lost",))
    cell = PLACE.on("7.3")
    assert cases(report) == {
        f"{cell}:clean": "failure",
        f"{cell}:build": "passed",
        f"{cell}:touch": "skipped",
        f"{cell}:no-op": "error",
        f"{cell}:x": "failure",
        "lost:cell": "error",
    }
    root = ET.fromstring(formats.registry()["junit"].render(report))  # noqa: S314 - our own
    assert [case.get("message") for case in root.iter("failure")] == ["FAIL: 1 finding", "why not"]
    counts = [(suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) for suite in root]
    assert counts == [("5", "2", "1", "1"), ("1", "0", "1", "0")]


def test_junit_of_a_cell_that_the_infrastructure_failed_at() -> None:
    assert cases(of_run(on("7.3", verdict=Verdict.ERROR, reason="no space"))) == {f"{PLACE}@7.3:cell": "error"}


def test_junit_of_a_gate_blames_the_head_for_what_it_breaks_alone() -> None:
    assert cases(BROKEN) == {f"{PLACE}@head:clean": "failure", "time:build": "failure"}
    assert 'message="the base did not fail so: 1 finding"' in formats.registry()["junit"].render(BROKEN)
    old = check(finding("left:/old"))
    skip = check(name="touch", verdict=Verdict.SKIP)
    good = check(name="build")
    report = of_gate(
        on("base", old, skip, good),
        on("head", old, skip, good),
        build=RequirementVerdict(Verdict.PASS, ""),
        no=RequirementVerdict(Verdict.ERROR, ""),
    )
    assert cases(report) == {
        f"{PLACE}@head:build": "passed",
        f"{PLACE}@head:clean": "skipped",
        f"{PLACE}@head:touch": "skipped",
        "time:build": "passed",
        "time:no": "error",
    }


def test_junit_of_a_gate_is_not_green_where_the_gate_is_not() -> None:
    lost = of_gate(on("base", check()), on("head", verdict=Verdict.SKIP, reason="no pool"))
    assert cases(lost) == {f"{PLACE}@head:cell": "failure"}
    unknown = of_gate(on("base", verdict=Verdict.ERROR, reason="no space"), on("head", check()))
    assert cases(unknown) == {f"{PLACE}@head:cell": "error", f"{PLACE}@head:clean": "passed"}


def test_a_mail_has_a_line_per_image_as_the_maintainers_have() -> None:
    lines = formats.registry()["mail"].render(of_run(on("7.3", check()))).splitlines()
    assert "   1    12.50 debian-trixie                 : Ok   gcc-14 14.2.0-19, clang-19 19.1.7" in lines
    failed = formats.registry()["mail"].render(of_run(on("7.3", check(finding()), verdict=Verdict.FAIL)))
    assert "debian-trixie                 : FAIL gcc-14" in failed
    assert "> clean: left:/a\n>   expected: none\n>   actual: one\n>   | ls -l" in failed
    error = formats.registry()["mail"].render(
        of_run(on("7.3", verdict=Verdict.ERROR, reason="no space", image=None), wanted=("lost",))
    )
    assert "debian-trixie                 : ERR" in error
    assert "no space" in error
    assert "lost: no result" in error


def test_a_mail_tells_what_was_skipped_and_what_is_known_from_what_is_right() -> None:
    skipped = formats.registry()["mail"].render(of_run(on("7.3", verdict=Verdict.SKIP, reason="why not")))
    assert "debian-trixie                 : SKIP" in skipped
    assert f"{PLACE}@7.3: SKIP\n" in skipped
    known = check(finding(known="the tree's own fault"), verdict=Verdict.XFAIL)
    expected = formats.registry()["mail"].render(of_run(on("7.3", known, verdict=Verdict.XFAIL)))
    assert f"{PLACE}@7.3: Ok (1 known failure)\n" in expected


def test_what_examined_nothing_is_told_in_every_format() -> None:
    report = of_run(on("7.3", check(verdict=Verdict.FAIL), verdict=Verdict.FAIL))
    for name in ("text", "markdown", "mail", "junit"):
        assert "why not" in formats.registry()[name].render(report)


def test_long_lists_are_cut_and_say_so() -> None:
    many = [finding(f"left:/{number}") for number in range(30)]
    for report in (
        of_run(on("7.3", check(*many), verdict=Verdict.FAIL)),
        of_gate(on("base", check()), on("head", check(*many))),
    ):
        for name in ("text", "markdown", "mail"):
            assert " more" in formats.registry()[name].render(report)
            assert "left:/29" not in formats.registry()[name].render(report)
    mended = of_gate(on("base", check(*many)), on("head", check()))
    assert "and 27 more" in formats.registry()["mail"].render(mended)
    assert mended.verdict == Verdict.PASS


def of_series() -> Report:
    """Return the report of two patches on a base that has a finding, of which the second adds another."""
    bad = check(finding("left:/old"))
    results = [on("base", bad), on("p01", bad), on("p02", check(finding("left:/old"), finding("left:/new")))]
    held = tuple(
        regressions.compare_cell(PLACE, tree, results[0], one)
        for tree, one in zip(("p01", "p02"), results[1:], strict=True)
    )
    subjects = {"p01": "Do <nothing>", "p02": "Break it"}
    found = Gate(base="base", head="2 patches", held=held, subjects=subjects)
    return of_run(*results).model_copy(update={"gate": found, "verdict": found.verdict, "notes": ("a note",)})


@pytest.mark.parametrize("name", ["text", "markdown", "mail"])
def test_a_series_blames_each_patch_for_what_it_breaks_and_names_it(name: str) -> None:
    text = formats.registry()[name].render(of_series())
    assert "left:/new" in text
    assert "left:/old" not in text
    assert f"{PLACE}@p02 (Break it)" in text or f"{PLACE}@p02 fails (Break it)" in text
    assert "a note" in text


def test_a_mail_and_junit_say_of_each_patch_whether_it_fails() -> None:
    mail = formats.registry()["mail"].render(of_series())
    assert f"{PLACE}@p01: Ok" in mail
    assert f"{PLACE}@p02: FAIL" in mail
    assert "@base:" not in mail
    assert cases(of_series()) == {f"{PLACE}@p01:clean": "skipped", f"{PLACE}@p02:clean": "failure"}


def test_the_log_of_what_is_mended_is_the_bases_and_of_what_is_broken_the_heads() -> None:
    bad = check(finding(where="logs/clean.log"))
    mended = formats.registry()["text"].render(of_gate(on("base", bad), on("head", check())))
    assert f"cells/{PLACE}@base/logs/clean.log" in mended
    broken = formats.registry()["text"].render(of_gate(on("base", check()), on("head", bad)))
    assert f"cells/{PLACE}@head/logs/clean.log" in broken


def test_the_table_breaks_a_long_checks_name_at_its_hyphens() -> None:
    lines = (
        formats.registry()["text"]
        .render(of_run(on("7.3", check(name="process-budget"), check(name="no-op"))))
        .splitlines()
    )
    [first] = [line for line in lines if "process-" in line]
    [second] = [line for line in lines if "budget" in line]
    assert "no-op" in second
    assert first != second


def test_what_is_undecided_or_unseen_is_told() -> None:
    report = of_gate(on("base", verdict=Verdict.ERROR, reason="no space"), on("head", check()))
    for name in ("text", "markdown", "mail"):
        assert "no space" in formats.registry()[name].render(report)
    failed = check(finding("step-failed:build"), name="build")
    unseen = of_gate(on("base", failed, check(verdict=Verdict.SKIP)), on("head", check(name="build"), check(finding())))
    shown = formats.registry()["text"].render(unseen)
    assert "1 finding of a check that could not examine the base, so the head is not blamed" in shown
    missing = reports.build("r", "/r", ["7.3"], ["lost"], [])
    assert "lost" in formats.registry()["markdown"].render(missing)
    assert "no space" in formats.registry()["markdown"].render(
        of_run(on("7.3", verdict=Verdict.ERROR, reason="no space"))
    )
