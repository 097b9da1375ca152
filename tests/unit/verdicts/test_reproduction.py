from __future__ import annotations

from typing import Any

import pytest

from matrix.model.cell import Limits
from matrix.model.result import CellResult, CheckResult, Finding, StepResult, Verdict
from matrix.model.tree import Delta
from matrix.verdicts import reproduction
from tests.unit import conftest as make
from tests.unit.results import done, edited


def rows(then: CellResult, now: CellResult) -> dict[str, tuple[str, str]]:
    return {row.name: (row.same, row.note) for row in reproduction.compare(then, now)}


def check(name: str, verdict: Verdict, *subjects: str) -> CheckResult:
    findings = tuple(Finding(kind="k", subject=subject, expected="", actual="") for subject in subjects)
    return CheckResult(check=name, verdict=verdict, findings=findings)


def test_what_is_equal_is_the_same_and_what_is_not_said_is_unknown() -> None:
    found = rows(done(), done())
    assert {name for name, (same, _) in found.items() if same == "unknown"} == {"storage", "architecture", "processors"}
    assert not [name for name, (same, note) in found.items() if same == "differs" or note]
    assert set(found) == {
        "tool version", "base image", "image digest", "packages", "tree sha256", "tree version", "tree's origin",
        "image recipe", "toolchain gcc", "build", "tree's description", "edits", "patches", "environment", "limits",
        "make's jobs", "kernel BTF sha256", "engine", "storage", "kernel", "architecture", "processors",
    }  # fmt: skip
    bare = done(image=None, tree=None, host={}, jobs=0, definition=None)
    unknown = {name for name, (same, _) in rows(done(), bare).items() if same == "unknown"}
    assert {"base image", "image digest", "packages", "tree sha256", "make's jobs", "engine"} <= unknown
    assert "build" not in rows(done(), bare)
    assert rows(bare, done())["packages"][0] == "unknown"


def test_a_bootstrapped_base_has_nothing_to_compare() -> None:
    image = done().image
    assert image is not None
    then = done(image=image.model_copy(update={"base": "mmdebstrap trixie"}))
    assert rows(then, then)["base image"] == (
        "unknown", "it was bootstrapped, so there is no digest to compare: the packages say more"
    )  # fmt: skip


def changed(**more: Any) -> dict[str, tuple[str, str]]:
    return {name: row for name, row in rows(done(), done(**more)).items() if row[0] == "differs"}


def test_what_differs_is_named() -> None:
    then = done()
    assert then.image is not None
    assert then.tree is not None
    new = {"gcc": "15", "make": "4.4", "flex": "2"}
    image = then.image.model_copy(update={"digest": "sha256:3", "packages": new})
    assert changed(image=image) == {
        "image digest": ("differs", "an image that is built anew has another one: the packages say more"),
        "packages": ("differs", "flex: none > 2; gcc: 14 > 15"),
    }
    [packages] = [row for row in reproduction.compare(then, done(image=image)) if row.name == "packages"]
    assert (packages.then, packages.now) == ("2 packages", "3, 1 of them the same")
    many = then.image.model_copy(update={"packages": {f"p{number}": "1" for number in range(10)}})
    assert changed(image=many)["packages"][1].endswith("; and 4 more")
    tree = then.tree.model_copy(update={"origin": "elsewhere"})
    assert changed(tree=tree) == {"tree's origin": ("differs", "its sha256 says more")}
    assert changed(limits=Limits(pids=100)) == {"limits": ("differs", "pids: 2048 > 100")}
    assert changed(environment={**then.environment, "TZ": "X"}) == {"environment": ("differs", "TZ: UTC > X")}
    assert changed(tool_version="1", jobs=3).keys() == {"tool version", "make's jobs"}


def test_what_differs_of_a_definition_is_named_by_its_keys() -> None:
    image = make.image(toolchains={"gcc": {"CC": "gcc-15"}}, setup=("true",))
    cell = make.cell(of=image, what=make.build(make={"V": "1"}, goals=("all",)), on=make.tree(string_unit=True))
    found = changed(definition=cell)
    assert found["image recipe"] == ("differs", "in setup, toolchains")
    assert found["toolchain gcc"] == ("differs", "CC: none > gcc-15")
    assert found["build"] == ("differs", "in make, goals")
    assert found["tree's description"] == ("differs", "in string_unit")
    renamed = make.cell(what=make.build("other"))
    assert not changed(definition=renamed)
    delta = Delta(repository="r", base="1", commit="2", sha256="0")
    assert changed(definition=edited(delta=delta)).keys() == {"edits", "patches"}


def test_patches_that_make_the_same_tree_are_the_same_whatever_their_commits_are_called() -> None:
    def patched(commit: str, sha256: str) -> CellResult:
        delta = Delta(repository="r", base="1", commit=commit, sha256="0")
        result = done(make.cell(on=make.tree("p01", delta=delta)))
        assert result.tree
        return result.model_copy(update={"tree": result.tree.model_copy(update={"sha256": sha256})})

    def row(then: CellResult, now: CellResult) -> str:
        return next(row.same for row in reproduction.compare(then, now) if row.name == "patches")

    assert row(patched("2", "5"), patched("3", "5")) == "same"
    assert row(patched("2", "5"), patched("3", "6")) == "differs"
    assert row(patched("2", "5"), patched("2", "6")) == "same"


BASE = (
    check("a", Verdict.PASS),
    check("b", Verdict.FAIL, "x"),
    check("c", Verdict.FAIL, "y"),
    check("d", Verdict.SKIP),
)


@pytest.mark.parametrize(
    ("now", "answer", "reason"),
    [
        (BASE, "reproduced", "2 of 2 checks that found faults came out alike"),
        ((*BASE[:3], check("d", Verdict.FAIL, "z")), "reproduced", "2 of 2"),
        (BASE[:2], "partly", "1 of 2"),
        ((check("a", Verdict.FAIL, "n"), *BASE[1:]), "partly", "2 of 2"),
        ((BASE[0], check("b", Verdict.PASS), check("c", Verdict.FAIL, "y", "z")), "not reproduced", "0 of 2"),
    ],
)
def test_the_checks_that_found_faults_decide(now: tuple[CheckResult, ...], answer: str, reason: str) -> None:
    outcome = reproduction.outcome(done(checks=BASE), done(checks=now))
    assert (outcome.answer, outcome.compared) == (answer, 3)
    assert outcome.reason.startswith(reason)
    assert bool(outcome.differences) == (answer != "reproduced")


def test_each_difference_is_told() -> None:
    outcome = reproduction.outcome(done(checks=BASE), done(checks=(BASE[0], check("b", Verdict.FAIL, "z"))))
    assert [one.model_dump() for one in outcome.differences] == [
        {"check": "b", "then": "FAIL", "now": "FAIL", "gone": ("k:x",), "new": ("k:z",)},
        {"check": "c", "then": "FAIL", "now": "not run", "gone": ("k:y",), "new": ()},
    ]


def test_where_all_passed_all_must_pass_again() -> None:
    then = done(checks=BASE[:1], verdict=Verdict.PASS)
    assert reproduction.outcome(then, then).reason == "1 of 1 checks came out alike"
    worse = done(checks=(check("a", Verdict.FAIL, "x"),))
    assert reproduction.outcome(then, worse).answer == "not reproduced"


def test_where_no_check_said_anything_the_verdict_and_its_reason_decide() -> None:
    skipped = done(checks=(), verdict=Verdict.SKIP, reason="no pool")
    same = reproduction.outcome(skipped, skipped)
    assert (same.answer, same.reason) == ("reproduced", "no check said anything then: SKIP no pool")
    assert reproduction.outcome(skipped, done()).answer == "not reproduced"


def test_an_error_of_a_machine_decides_nothing() -> None:
    broken = done(verdict=Verdict.ERROR, reason="disk full")
    assert reproduction.outcome(broken, done()).reason == "the first result is an ERROR of its machine: disk full"
    later = reproduction.outcome(done(), broken)
    assert (later.answer, later.reason) == ("undecided", "the second result is an ERROR of its machine: disk full")


def test_the_failing_step_is_the_first_that_failed_or_the_one_of_the_check_that_did() -> None:
    steps = tuple(
        StepResult(name=name, command="", verdict=Verdict.PASS)
        for name in ("build", "rebuild", "touch-source", "clean")
    )
    assert reproduction.failing_step(done()) == "clean"
    failed = steps[0].model_copy(update={"verdict": Verdict.FAIL})
    assert reproduction.failing_step(done(steps=(failed, *steps[1:]))) == "build"
    assert reproduction.failing_step(done(steps=steps, checks=(check("process-budget", Verdict.FAIL),))) == "rebuild"
    assert reproduction.failing_step(done(checks=(check("unheard-of", Verdict.FAIL),))) == ""
    assert reproduction.failing_step(done(steps=steps, checks=BASE[:1])) == ""
