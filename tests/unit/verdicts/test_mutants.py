from __future__ import annotations

from typing import Any

import pytest

from matrix.errors import UsageError
from matrix.model.cell_id import Place
from matrix.model.edit import Edit, Expected
from matrix.model.result import CellResult, CheckResult, Finding, Verdict
from matrix.verdicts import mutants
from matrix.verdicts.mutants import Detection, PlantedFault
from tests.unit.conftest import result

PLACE = Place("i/gcc/b")


def fault(name: str = "f", findings: tuple[str, ...] = ("left:/src/*",), **more: Any) -> Edit:
    expect = Expected(check="clean", cells=more.pop("cells", (PLACE,)), findings=findings)
    return Edit(name=name, summary=name, trees=more.pop("trees", ("7.3",)), expect=expect, **more)


def check(name: str, *keys: str, known: str = "", verdict: Verdict = Verdict.FAIL, reason: str = "") -> CheckResult:
    findings = tuple(
        Finding(kind=key.partition(":")[0], subject=key.partition(":")[2], expected="", actual="", known=known)
        for key in keys
    )
    return CheckResult(check=name, verdict=verdict, findings=findings, reason=reason)


def cell(*checks: CheckResult, verdict: Verdict = Verdict.FAIL, tree: str = "7.3+f", **more: Any) -> CellResult:
    return result(f"{PLACE}@{tree}", verdict, checks=checks, wall_s=10.0, **more)


def outcome(edit: Edit | None, found: CellResult | None) -> PlantedFault:
    if edit is None:
        return mutants.control(PLACE, found)
    assert edit.expect
    return mutants.planted_fault(edit, edit.expect, PLACE, found)


def fate(edit: Edit | None, found: CellResult | None) -> Detection:
    return outcome(edit, found).fate


def test_a_fault_is_killed_by_its_check_for_the_stated_finding() -> None:
    row = outcome(fault(), cell(check("clean", "left:/src/x")))
    assert row.fate == Detection.KILLED
    assert row.killers == {"clean": ("left:/src/x",)}
    assert (row.fault, row.check, row.cell, row.wall_s) == ("f", "clean", PLACE, 10.0)


def test_each_stated_finding_must_occur() -> None:
    both = fault(findings=("left:/src/*", "gone:/src/y"))
    assert fate(both, cell(check("clean", "left:/src/x"))) == Detection.KILLED_BY_ANOTHER
    assert fate(both, cell(check("clean", "left:/src/x", "gone:/src/y"))) == Detection.KILLED


@pytest.mark.parametrize(
    "found", [check("clean", "gone:/src/x"), check("no-op", "left:/src/x"), check("no-op", reason="examined nothing")]
)
def test_another_check_or_another_finding_is_not_as_intended(found: CheckResult) -> None:
    assert fate(fault(), cell(found)) == Detection.KILLED_BY_ANOTHER


@pytest.mark.parametrize(
    "found",
    [
        check("clean", verdict=Verdict.PASS),
        check("clean", "left:/src/x", known="the tree's", verdict=Verdict.XFAIL),
        check("clean", "known-failure-gone:left:/src/x"),
    ],
)
def test_a_fault_that_no_new_finding_shows_survived(found: CheckResult) -> None:
    assert fate(fault(), cell(found)) == Detection.SURVIVED


def test_what_is_said_to_be_equivalent_must_be_silent() -> None:
    same = fault(equivalent="make does nothing more")
    assert fate(same, cell(verdict=Verdict.PASS)) == Detection.EQUIVALENT
    assert outcome(same, cell(verdict=Verdict.PASS)).reason == "make does nothing more"
    assert fate(same, cell(check("no-op", "changed:/src/x"))) == Detection.NOT_EQUIVALENT


@pytest.mark.parametrize("found", [None, cell(verdict=Verdict.ERROR, reason="no engine")])
@pytest.mark.parametrize("edit", [None, fault()])
def test_a_cell_without_a_verdict_proves_nothing(edit: Edit | None, found: CellResult | None) -> None:
    row = outcome(edit, found)
    assert row.fate == Detection.ERROR
    assert row.reason == ("no engine" if found else "the cell has no result")


def test_with_nothing_planted_a_cell_must_be_silent() -> None:
    known = check("clean", "left:/src/x", known="the tree's", verdict=Verdict.XFAIL)
    assert fate(None, cell(known, verdict=Verdict.XFAIL)) == Detection.SILENT
    assert fate(None, cell(check("clean", "left:/src/x"))) == Detection.ALARM
    assert fate(None, cell(check("clean", "known-failure-gone:left:/src/x"))) == Detection.ALARM


def test_faults_are_those_for_the_tree_that_a_glob_selects() -> None:
    known = {
        each.name: each
        for each in (
            fault("b"),
            fault("a"),
            fault("old", trees=("6.12",)),
            Edit(name="no-fault", summary="s", trees=("*",)),
        )
    }
    assert [edit.name for edit in mutants.select_faults(known, "7.3", [])] == ["a", "b"]
    assert [edit.name for edit in mutants.select_faults(known, "7.3", ["b*"])] == ["b"]
    with pytest.raises(UsageError, match="selects no fault; did you mean 'a'"):
        mutants.select_faults(known, "7.3", ["aa"])
    with pytest.raises(UsageError, match="no fault is meant for tree '5'"):
        mutants.select_faults(known, "5", [])


def test_each_place_has_a_control_before_its_faults() -> None:
    chosen = [fault("b"), fault("a", cells=(PLACE, "i/gcc/c"))]
    assert mutants.wanted_cells(chosen, "7.3") == (
        "i/gcc/b@7.3",
        "i/gcc/b@7.3+a",
        "i/gcc/b@7.3+b",
        "i/gcc/c@7.3",
        "i/gcc/c@7.3+a",
    )


def judged(*fates: Detection, control: CheckResult | None = None) -> mutants.MutantsResult:
    chosen, results = [], {PLACE.on("7.3"): cell(*([control] if control else []), verdict=Verdict.PASS, tree="7.3")}
    for number, wanted in enumerate(fates):
        name = f"f{number}"
        chosen.append(fault(name, equivalent="same" if "equivalent" in wanted else ""))
        keys = {Detection.KILLED: ["left:/src/x"], Detection.KILLED_BY_ANOTHER: ["gone:/src/x"]}.get(wanted, [])
        if wanted == Detection.NOT_EQUIVALENT:
            keys = ["left:/src/x"]
        verdict = Verdict.ERROR if wanted == Detection.ERROR else Verdict.FAIL
        checks = [check("clean", *keys)] if keys else []
        results[PLACE.on(f"7.3+{name}")] = cell(*checks, verdict=verdict, tree=f"7.3+{name}")
    return mutants.mutants_result("r1", "7.3", chosen, results)


def test_the_score_is_over_what_is_neither_equivalent_nor_an_error_and_the_time_over_all() -> None:
    found = judged(
        Detection.KILLED, Detection.KILLED, Detection.KILLED_BY_ANOTHER, Detection.EQUIVALENT, Detection.ERROR
    )
    assert found.score == round(2 / 3, 4)
    assert found.mean_s == 10.0
    assert found.planted[0].fate == Detection.SILENT
    assert len(found.planted) == 6


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (judged(Detection.KILLED), 0),
        (judged(Detection.KILLED, Detection.EQUIVALENT), 0),
        (judged(*[Detection.KILLED] * 19, Detection.KILLED_BY_ANOTHER), 0),
        (judged(*[Detection.KILLED] * 18, Detection.KILLED_BY_ANOTHER), 1),
        (judged(Detection.KILLED, control=check("no-op", "changed:/src/x")), 1),
        (judged(*[Detection.KILLED] * 19, Detection.SURVIVED), 0),
        (judged(*[Detection.KILLED] * 18, Detection.SURVIVED), 1),
        (judged(*[Detection.KILLED] * 99, Detection.NOT_EQUIVALENT), 1),
        (judged(Detection.KILLED, Detection.ERROR), 3),
        (judged(Detection.EQUIVALENT), 3),
        (judged(), 3),
    ],
)
def test_the_exit_status_says_whether_the_checks_can_be_trusted(found: mutants.MutantsResult, status: int) -> None:
    assert mutants.exit_status(found) == status


def test_without_faults_there_is_no_score() -> None:
    found = judged()
    assert (found.score, found.mean_s, found.planted) == (None, 0.0, ())
    no_fault = Edit(name="none", summary="s", trees=("*",))
    assert mutants.mutants_result("r1", "7.3", [no_fault], {}).planted == ()


def test_the_faults_of_a_run_are_those_that_it_planted_and_unchanged() -> None:
    known = {"a": fault("a"), "b": fault("b"), "none": Edit(name="none", summary="s", trees=("*",))}
    noted = mutants.digests([known["b"], known["a"]])
    assert mutants.faults_of_run(known, noted) == (known["b"], known["a"])
    for now in ({"b": known["b"]}, {**known, "a": fault("a", findings=("gone:*",))}):
        with pytest.raises(UsageError, match="planted a, which is no longer the same"):
            mutants.faults_of_run(now, noted)


def test_a_control_must_pass_the_checks_of_the_faults_at_its_place() -> None:
    other = Expected(check="no-op", cells=(Place("i/gcc/c"),), findings=("*",))
    chosen = [fault("a"), fault("b").model_copy(update={"expect": other}), Edit(name="n", summary="s", trees=("*",))]
    assert mutants.checks_at(PLACE, chosen) == ("clean",)


@pytest.mark.parametrize(("evidence", "fate"), [("pick.e", Detection.KILLED), ("timeout", Detection.KILLED_BY_ANOTHER)])
def test_a_finding_must_say_what_it_is_to_say(evidence: str, fate: Detection) -> None:
    edit = fault()
    assert edit.expect
    edit = edit.model_copy(update={"expect": edit.expect.model_copy(update={"evidence": evidence})})
    found = check("clean", "left:/src/x")
    said = tuple(finding.model_copy(update={"evidence": "cannot pickle"}) for finding in found.findings)
    assert outcome(edit, cell(found.model_copy(update={"findings": said}))).fate == fate


def test_a_check_that_was_skipped_proves_nothing() -> None:
    skipped = check("clean", verdict=Verdict.SKIP, reason="no pool")
    row = outcome(fault(), cell(skipped))
    assert (row.fate, row.reason) == (Detection.ERROR, "no pool")
    assert outcome(fault(), cell(skipped, check("no-op", "changed:x"))).fate == Detection.KILLED_BY_ANOTHER
    for edit in (None, fault()):
        row = outcome(edit, cell(verdict=Verdict.SKIP, reason="no pool"))
        assert (row.fate, row.reason) == (Detection.ERROR, "no pool")
