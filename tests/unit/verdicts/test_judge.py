from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from matrix.checks import Check, Examined, registry
from matrix.model.build import Expect
from matrix.model.result import CheckResult, Finding, Verdict
from matrix.verdicts import judge
from tests.unit.conftest import PERF, build, cell, command, file, image, known, observations, process, tree

if TYPE_CHECKING:
    from matrix.model.known_failure import KnownFailure


def finding(subject: str, kind: str = "left") -> Finding:
    return Finding(kind=kind, subject=subject, expected="nothing", actual="a file")


def outcome(*subjects: str, examined: int = 1) -> Examined:
    return Examined(tuple(finding(subject) for subject in subjects), examined)


def judged(of: Examined, *entries: KnownFailure) -> CheckResult:
    check = Check("clean", "", owns=(), needs=(), examine=lambda _: of)
    return judge.check_result(check, observations(), entries)


@pytest.mark.parametrize(
    ("version", "verdict"), [("7.3.4", Verdict.XFAIL), ("7.31.0", Verdict.FAIL), ("", Verdict.FAIL)]
)
def test_an_entry_speaks_of_a_branch_on_top_of_its_version(version: str, verdict: Verdict) -> None:
    check = Check("clean", "", owns=(), needs=(), examine=lambda _: outcome("/src/a"))
    seen = dataclasses.replace(observations(cell(on=tree("git-0123456789"))), tree_version=version)
    assert judge.check_result(check, seen, [known("clean", "left:*", trees=("7.3",))]).verdict is verdict


def test_a_check_that_finds_nothing_passes() -> None:
    assert judged(outcome()).verdict is Verdict.PASS


def test_a_finding_is_a_failure() -> None:
    result = judged(outcome("/src/a"))
    assert (result.verdict, [one.key for one in result.findings]) == (Verdict.FAIL, ["left:/src/a"])


def test_a_check_that_examined_nothing_fails() -> None:
    result = judged(outcome(examined=0))
    assert result.verdict is Verdict.FAIL
    assert "examined nothing" in result.reason


def test_a_check_that_examined_nothing_still_tells_what_it_found() -> None:
    result = judged(outcome("/src/a", examined=0))
    assert result.verdict is Verdict.FAIL
    assert [one.key for one in result.findings] == ["left:/src/a"]


def test_a_check_that_does_not_apply_is_skipped_with_its_reason() -> None:
    result = judged(Examined(skip="an in-tree build"), known("clean", "left:*"))
    assert (result.verdict, result.reason) == (Verdict.SKIP, "an in-tree build")


def test_a_listed_finding_is_known_and_expected() -> None:
    result = judged(outcome("/src/a"), known("clean", "left:/src/a"))
    assert result.verdict is Verdict.XFAIL
    assert [one.known for one in result.findings] == ["the tree's own fault"]


def test_a_new_finding_beside_a_known_one_is_a_failure() -> None:
    result = judged(outcome("/src/a", "/src/b"), known("clean", "left:/src/a"))
    assert result.verdict is Verdict.FAIL
    assert [bool(one.known) for one in result.findings] == [True, False]


def test_globs_know_all_that_they_match() -> None:
    assert judged(outcome("/src/a", "/src/b"), known("clean", "left:/src/*")).verdict is Verdict.XFAIL


def test_of_too_many_findings_the_first_are_kept_and_their_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "FINDINGS", 2)
    assert len(judged(outcome("/a", "/b")).findings) == 2
    many = judged(outcome("/a", "/b", "/c", "/d"), known("clean", "left:/a"))
    assert [one.key for one in many.findings] == ["left:/b", "left:/c", "too-many-findings:findings"]
    assert many.findings[2].actual == "4, of which 2 are left out"
    assert many.verdict is Verdict.FAIL


def test_too_many_findings_that_are_all_known_are_as_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "FINDINGS", 2)
    many = judged(outcome("/a", "/b", "/c"), known("clean", "left:*"))
    assert many.verdict is Verdict.XFAIL
    assert all(one.known for one in many.findings)


def test_a_listed_finding_that_no_longer_occurs_is_a_failure_of_the_list() -> None:
    result = judged(outcome("/src/a"), known("clean", "left:/src/a", "left:/src/gone"))
    assert result.verdict is Verdict.FAIL
    [gone] = [one for one in result.findings if not one.known]
    assert gone.key == "known-failure-gone:left:/src/gone"
    assert gone.evidence == "the tree's own fault"


def test_each_of_an_entrys_findings_must_occur() -> None:
    assert judged(outcome(), known("clean", "left:a", "left:b")).verdict is Verdict.FAIL


def test_a_listed_finding_that_comes_and_goes_need_not_occur() -> None:
    entry = known("clean", "left:/src/a", intermittent=True)
    assert judged(outcome(), entry).verdict is Verdict.PASS
    assert judged(outcome("/src/a"), entry).verdict is Verdict.XFAIL
    assert judged(outcome("/src/a", "/src/b"), entry).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "entry",
    [
        known("no-op", "left:*"),
        known("clean", "left:*", trees=("7.2",)),
        known("clean", "left:*", cells=("debian-sid/*", "other")),
        known("clean", "left:*", cells=("*@7.2",)),
        known("clean", "left:*", out_of_tree=True),
        known("clean", "left:*", options={"bpf": "on"}),
    ],
)
def test_an_entry_of_another_check_tree_or_cell_has_no_say(entry: KnownFailure) -> None:
    assert judged(outcome(), entry).verdict is Verdict.PASS
    assert judged(outcome("/src/a"), entry).verdict is Verdict.FAIL


@pytest.mark.parametrize("cells", ["*", "debian-trixie", "*/gcc/*", "debian-trixie/gcc/default@7.3"])
def test_an_entry_speaks_of_cells_as_they_are_selected(cells: str) -> None:
    assert (
        judged(outcome("/src/a"), known("clean", "left:*", cells=("nothing", cells), trees=("6.12", "7.*"))).verdict
        is Verdict.XFAIL
    )


OPTIONS = command("options", "perf", output="bpf: [ on  ]  # X\nlibpython: [ OFF ]  # Y\n", traced=False)


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"bpf": "on"}, Verdict.XFAIL),
        ({"bpf": "on", "libpython": "OFF"}, Verdict.XFAIL),
        ({"bpf": "OFF"}, Verdict.FAIL),
    ],
)
def test_an_entry_speaks_of_cells_whose_perf_has_its_options(options: dict[str, str], verdict: Verdict) -> None:
    check = Check("clean", "", owns=(), needs=(), examine=lambda _: outcome("/src/a"))
    seen = observations(steps={"self-test": [OPTIONS]})
    assert judge.check_result(check, seen, [known("clean", "left:*", options=options)]).verdict is verdict


def test_an_entry_may_speak_of_builds_in_the_tree_alone() -> None:
    entry = known("clean", "left:*", out_of_tree=False, unless_make=("NO_JEVENTS",))
    assert judged(outcome("/src/a"), entry).verdict is Verdict.XFAIL


def test_an_entry_is_of_no_build_that_gives_make_what_avoids_the_cause() -> None:
    check = Check("clean", "", owns=(), needs=(), examine=lambda _: outcome("/src/a"))
    seen = observations(cell(what=build(make={"NO_JEVENTS": "1"})))
    entries = [known("clean", "left:*", unless_make=("NO_JEVENTS", "V"))]
    assert judge.check_result(check, seen, entries).verdict is Verdict.FAIL


def test_perf_that_was_not_run_has_the_options_that_its_build_is_expected_to_have() -> None:
    check = Check("clean", "", owns=(), needs=(), examine=lambda _: outcome("/src/a"))
    entries = [known("clean", "left:*", options={"bpf": "on"})]
    expected = cell(what=build(expect=Expect(options={"bpf": "on"})))
    assert judge.check_result(check, observations(expected, omit=("self-test",)), entries).verdict is Verdict.XFAIL
    lacking = cell(what=expected.build, of=image(lacks={"bpf": "too old"}))
    assert judge.check_result(check, observations(lacking, omit=("self-test",)), entries).verdict is Verdict.FAIL


def test_a_build_of_words_need_not_come_to_a_known_cause() -> None:
    check = Check("clean", "", owns=(), needs=(), examine=lambda _: outcome())
    seen = observations(cell(what=build("adhoc-1")))
    assert judge.check_result(check, seen, [known("clean", "left:a")]).verdict is Verdict.PASS


def named(name: str) -> Check:
    return registry()[name]


def test_a_failure_of_its_own_step_is_a_checks_failure() -> None:
    seen = observations(steps={"clean": [command("make", "make", exit_status=2)]})
    result = judge.check_result(named("clean"), seen, [])
    assert result.verdict is Verdict.FAIL
    [one] = result.findings
    assert (one.key, one.actual, one.where) == ("step-failed:clean", "exit status 2 of make", "logs/clean.log")


def test_a_step_that_is_known_to_fail_is_expected_to() -> None:
    seen = observations(steps={"clean": [command(exit_status=2)]})
    assert judge.check_result(named("clean"), seen, [known("clean", "step-failed:clean")]).verdict is Verdict.XFAIL


def test_a_check_whose_needed_step_failed_is_skipped_saying_so() -> None:
    seen = observations(steps={"build": [command(exit_status=2)]}, omit=["clean"])
    result = judge.check_result(named("relocations"), seen, [])
    assert result.verdict is Verdict.SKIP
    assert result.reason == "step build failed: exit status 2 of make"


def test_a_check_whose_step_was_not_run_after_a_failure_says_which_failed() -> None:
    seen = observations(steps={"build": [command(exit_status=2)]}, omit=["clean"])
    result = judge.check_result(named("clean"), seen, [])
    assert (result.verdict, result.reason) == (Verdict.SKIP, "step build failed: exit status 2 of make")


def test_a_check_whose_step_was_not_run_for_no_reason_says_so() -> None:
    result = judge.check_result(named("clean"), observations(omit=["clean"]), [])
    assert (result.verdict, result.reason) == (Verdict.SKIP, "step clean was not run")


def test_a_check_whose_step_is_not_in_the_scenario_says_so() -> None:
    result = judge.check_result(named("start-method"), observations(), [])
    assert (result.verdict, result.reason) == (Verdict.SKIP, "this build has no step regenerate")


def test_every_check_has_its_say_of_a_cell() -> None:
    results = judge.check_results(observations(), [])
    assert [result.check for result in results] == sorted(registry())


def test_a_cell_is_as_bad_as_its_worst_check() -> None:
    results = [judged(outcome()), judged(outcome("/src/a")), judged(Examined(skip="x"))]
    assert judge.cell_verdict(results) is Verdict.FAIL
    assert judge.cell_verdict([judged(outcome()), judged(Examined(skip="x"))]) is Verdict.PASS


def test_a_cell_without_any_step_is_not_all_right() -> None:
    seen = observations(omit=[step.name for step in observations().scenario.steps])
    assert judge.cell_verdict(judge.check_results(seen, [])) not in (Verdict.PASS, Verdict.SKIP, Verdict.XFAIL)


def test_the_steps_of_a_cell_are_told_with_their_figures() -> None:
    seen = observations(
        of=cell(on=tree("7.3")),
        steps={
            "build": [process(0, "make"), process(1, "cc1"), command(), file(f"{PERF}/perf"), file(f"{PERF}/a.o")],
            "self-test": [
                command("options", exit_status=1, traced=False, rss_bytes=7, wall_s=0.25),
                command("features", traced=False, rss_bytes=9, wall_s=0.5),
            ],
            "rebuild": [command(exit_status=2)],
        },
        omit=["touch-source", "touch-header", "clean"],
    )
    steps = {step.name: step for step in judge.step_results(seen)}
    assert list(steps) == [step.name for step in seen.scenario.steps]
    build = steps["build"]
    assert (build.verdict, build.processes, build.files_changed, build.wall_s) == (Verdict.PASS, 2, 2, 1.5)
    test = steps["self-test"]
    assert (test.exit_status, test.processes, test.files_changed) == (1, None, 2)
    assert (test.rss_bytes, test.wall_s) == (9, 0.75)
    assert (steps["rebuild"].verdict, steps["rebuild"].reason) == (Verdict.FAIL, "exit status 2 of make")
    assert steps["clean"].verdict is Verdict.SKIP
    assert steps["clean"].reason == "step rebuild failed: exit status 2 of make"


def test_a_step_that_ran_no_command_has_no_exit_status() -> None:
    seen = observations(errors={"clean": "the container ended"})
    cut = {**seen.steps, "clean": type(seen.steps["clean"])(seen.steps["clean"].step, "log", error="ended")}
    results = {step.name: step for step in judge.step_results(dataclasses.replace(seen, steps=cut))}
    assert results["clean"].exit_status is None
    assert results["clean"].rss_bytes == 0


@pytest.mark.parametrize("check", [check for check in registry().values() if check.processes], ids=lambda c: c.name)
def test_a_check_of_processes_is_skipped_where_they_cannot_be_followed(check: Check) -> None:
    untraced = {name: [command(traced=False)] for name in ("build", *check.owns, *check.needs) if name != "generate"}
    method = "spawn" if "generate" in check.owns else None
    seen = observations(cell(what=build(start_method=method)), untraced)
    result = judge.check_result(check, seen, [])
    assert (result.verdict, result.reason) == (
        Verdict.SKIP,
        "ptrace is forbidden here, so the processes of the steps are not known",
    )
