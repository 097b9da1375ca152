"""The report of a run as it stands: of one that ended, of one that another process does, of a gate and of a series."""

from __future__ import annotations

import pytest

from matrix.model.result import CheckResult, Finding, RequirementVerdict, Verdict
from matrix.reports import NOT_YET_MEASURED, Unfinished, exit_status
from matrix.runs import launch, locks, run_report, schedule, store
from matrix.runs.run_kind import BisectRun, GateRun, PlainRun, RunKind, SeriesRun
from matrix.verdicts.series import PatchTree
from tests.unit.conftest import cell, result, tree

ID = "debian-trixie/gcc/default@7.3"


def finding(kind: str = "left", subject: str = "/src/a") -> Finding:
    return Finding(kind=kind, subject=subject, expected="nothing", actual="a file is left")


def check(*findings: Finding, name: str = "clean", verdict: Verdict = Verdict.FAIL) -> CheckResult:
    return CheckResult(check=name, verdict=verdict, findings=findings, examined=1)


@pytest.mark.usefixtures("places")
def test_the_report_of_a_run_is_made_of_what_it_has_kept() -> None:
    run = store.begin([cell()], ["7.3"], [], 1)
    assert run_report.of_run(run).missing == (ID,)
    run.save(result(ID))
    report = run_report.of_run(run)
    assert (report.run, report.tree, report.verdict) == (run.name, "7.3", Verdict.PASS)


@pytest.mark.usefixtures("places")
def test_a_series_is_reported_as_a_gate_patch_by_patch() -> None:
    bad, good = check(finding()), check(verdict=Verdict.PASS)
    found = {"base": good, "p01": good, "p02": bad}
    there = [cell(on=tree(name)) for name in found]
    steps = (PatchTree(number=1, subject="one", tree="p01"), PatchTree(number=2, subject="two", tree="p02"))
    run = store.begin(there, list(found), [], 2, base="base", kind=SeriesRun(patches=steps))
    for one, said in zip(there, found.values(), strict=True):
        run.save(result(one.id, said.verdict, checks=(said,)))
    report = run_report.of_run(run)
    assert report.gate
    assert [(held.tree, len(held.broken)) for held in report.gate.held] == [("p01", 0), ("p02", 1)]
    assert (report.gate.head, report.gate.subjects) == ("2 patches", {"p01": "one", "p02": "two"})
    assert (report.verdict, exit_status(report)) == (Verdict.FAIL, 1)


@pytest.mark.parametrize(
    ("kind", "command"), [(PlainRun(), "run"), (GateRun(head="7.3"), "gate"), (BisectRun(check="clean"), "run")]
)
@pytest.mark.usefixtures("places")
def test_a_run_that_lacks_cells_is_unfinished_and_names_the_command_that_goes_on(
    kind: RunKind, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(launch.RUN_COMMAND_VARIABLE, raising=False)
    run = store.begin([cell()], ["7.3"], [], 1, base="7.3", kind=kind)
    for interrupted in (False, True):
        if interrupted:
            run.save(result(ID, Verdict.ERROR))
        unfinished = run_report.of_run(run).unfinished
        assert unfinished == Unfinished(lacking=(ID,), cells=1, command=f"perf-matrix {command} --resume {run.name}")
    run.save(result(ID, Verdict.FAIL))
    assert run_report.of_run(run).unfinished is None


@pytest.mark.usefixtures("places")
def test_a_cell_that_runs_is_missing_and_no_error_while_another_process_does_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = [cell(on=tree(name)) for name in ("a", "b", "c", "d")]
    ended, failed, running, waiting = (one.id for one in there)
    run = store.begin(there, ["a", "b", "c", "d"], [], 1)
    run.save(result(ended))
    run.save(result(failed, Verdict.ERROR, reason="no space"))
    run.save(result(running, Verdict.ERROR, reason=schedule.BEGUN))
    killed = run_report.of_run(run)
    assert killed.missing == (waiting,)
    assert not killed.is_going_on
    monkeypatch.setattr(locks, "is_being_done_elsewhere", lambda _: True)
    report = run_report.of_run(run)
    assert report.missing == (running, waiting)
    assert report.unfinished
    assert (report.unfinished.lacking, report.unfinished.running) == ((failed, running, waiting), (running,))
    assert (report.is_going_on, exit_status(report)) == (True, 3)


@pytest.mark.usefixtures("places")
def test_a_gate_goes_on_until_what_it_requires_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "build no slower than 5 %"
    run = store.begin([cell()], ["7.3"], [], 1, base="7.3", kind=GateRun(head="7.3", require=(text,)))
    run.save(result(ID))
    ended = run_report.of_run(run)
    assert (ended.requirements[text].why, ended.unfinished) == ("it was not measured", None)
    monkeypatch.setattr(locks, "is_being_done_elsewhere", lambda _: True)
    report = run_report.of_run(run)
    assert (report.requirements[text], report.is_going_on) == (NOT_YET_MEASURED, True)
    run.save_required({text: RequirementVerdict(Verdict.PASS, "1.01")})
    assert run_report.of_run(run).unfinished is None


@pytest.mark.usefixtures("places")
def test_an_unfinished_run_of_tox_names_the_command_of_tox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launch.RUN_COMMAND_VARIABLE, "tox -e matrix --")
    run = store.begin([cell()], ["7.3"], [], 1)
    unfinished = run_report.of_run(run).unfinished
    assert unfinished is not None
    assert unfinished.command == f"tox -e matrix -- --resume {run.name}"


@pytest.mark.usefixtures("places")
def test_a_gate_that_nothing_was_examined_for_says_so() -> None:
    head, base = cell(on=tree("head")), cell(on=tree("base"))
    run = store.begin([base, head], ["base", "head"], [], 2, base="base", kind=GateRun(head="head"))
    failed = check(finding(kind="step-failed", subject="build"), name="build")
    run.save(result(base.id, Verdict.FAIL, checks=(failed,)))
    run.save(result(head.id, Verdict.FAIL, checks=(failed,)))
    assert run_report.NO_EVIDENCE in run_report.of_run(run).notes
    run.save(result(head.id, checks=(check(verdict=Verdict.PASS, name="build"),)))
    assert run_report.NO_EVIDENCE not in run_report.of_run(run).notes
