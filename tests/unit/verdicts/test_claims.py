from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from matrix.model.cell_id import CellId, Place
from matrix.model.claim import Claim, DecidedBy, MeasuredBy
from matrix.model.result import CellResult, CheckResult, Finding, TreeIdentity, Verdict
from matrix.verdicts import claims
from matrix.verdicts.claims import Answer
from tests.unit.conftest import result, session

if TYPE_CHECKING:
    from matrix.verdicts.comparison import ComparisonRun

PLACE = Place("i/gcc/b")
TIMED = MeasuredBy(measure="build", cell=PLACE, at_most=0.5)
BY = DecidedBy(check="clean", cell=PLACE, refuted_by=("left:*",), figure="made")


def claim(name: str = "c", **more: Any) -> Claim:
    return Claim(name=name, **{"summary": name, "decided_by": BY, **more})


def cell(*keys: str, verdict: Verdict = Verdict.PASS, tree: str = "7.3", **more: Any) -> dict[CellId, CellResult]:
    findings = tuple(
        Finding(kind=key.partition(":")[0], subject=key.partition(":")[2], expected="", actual="", known="listed")
        for key in keys
    )
    values = {"examined": 5, "figures": {"made": 7}, **more}
    check = CheckResult(check="clean", verdict=verdict, findings=findings, **values)
    return {PLACE.on(tree): result(PLACE.on(tree), verdict, checks=(check,))}


def test_a_check_that_finds_nothing_against_a_claim_confirms_it() -> None:
    decision = claims.decide(claim(), "7.3", cell("gone:/src/x"))
    assert (decision.answer, decision.figure, decision.why) == (Answer.CONFIRMED, "7", "")


def test_a_finding_refutes_a_claim_even_if_it_is_a_known_one() -> None:
    decision = claims.decide(claim(), "7.3", cell("left:/src/x", "left:/src/y", verdict=Verdict.XFAIL))
    assert (decision.answer, decision.why) == (Answer.REFUTED, "left:/src/x (+1)")
    assert claims.decide(claim(), "7.3", cell("left:/src/x")).why == "left:/src/x"


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ({}, "the cell has no result"),
        (cell(verdict=Verdict.SKIP, reason="no step"), "no step"),
        (cell("step-failed:build", verdict=Verdict.FAIL), "not shown: step-failed:build"),
        (cell("left:/src/x", "unreadable:perf", verdict=Verdict.FAIL), "not shown: unreadable:perf"),
        (cell(examined=0, verdict=Verdict.FAIL, reason="examined nothing"), "examined nothing"),
        ({PLACE.on("7.3"): result(PLACE.on("7.3"), Verdict.ERROR, reason="no engine")}, "no engine"),
    ],
)
def test_what_was_not_shown_is_undecided_with_the_reason(results: dict[CellId, CellResult], why: str) -> None:
    decision = claims.decide(claim(), "7.3", results)
    assert (decision.answer, decision.why) == (Answer.UNDECIDED, why)


def test_a_claim_that_cannot_be_decided_yet_may_have_a_figure() -> None:
    assert claims.decide(claim(undecided="later"), "7.3", cell("left:/src/x")).figure == "7"
    assert claims.decide(claim(undecided="later"), "7.3", cell("left:/src/x")).answer == Answer.UNDECIDED
    assert claims.decide(claim(decided_by=None, undecided="later"), "7.3", {}).why == "later"
    for wrong in ({"decided_by": None}, {"measured_by": TIMED}):
        with pytest.raises(ValidationError, match="one of decided_by, measured_by and undecided"):
            claim(**wrong)


def test_without_a_figure_none_is_given() -> None:
    assert claims.decide(claim(decided_by=BY.model_copy(update={"figure": ""})), "7.3", cell()).figure == ""


def test_rows_are_in_the_series_order_and_hold_the_base_beside_the_tree() -> None:
    known = [claim("whole"), claim("b", patch=2), claim("a", patch=2), claim("first", patch=1)]
    found = claims.claim_rows(known, "7.3", "old", {**cell(), **cell("left:/src/x", tree="old")})
    assert [row.claim for row in found] == ["first", "a", "b", "whole"]
    assert {(row.tree.answer, row.base.answer) for row in found} == {(Answer.CONFIRMED, Answer.REFUTED)}
    assert found[0].decided_by == "clean in i/gcc/b"
    assert not found[0].same
    assert claims.claim_rows([claim()], "7.3", "old", {**cell(), **cell(tree="old")})[0].same
    assert not claims.claim_rows([claim()], "7.3", "old", {})[0].same
    assert claims.claim_rows([claim(decided_by=None, undecided="x")], "7.3", "old", {})[0].decided_by == ""


def test_cells_and_checks_are_those_that_decide() -> None:
    known = [claim(), claim("d", decided_by=None, undecided="x"), claim("e")]
    assert claims.places(known) == (PLACE,)
    assert claims.check_names(known) == ("clean",)


def test_a_figure_that_must_be_something_refutes_a_claim_where_it_is_not() -> None:
    by = BY.model_copy(update={"figure_is": "7"})
    assert claims.decide(claim(decided_by=by), "7.3", cell()).answer == Answer.CONFIRMED
    other = claims.decide(claim(decided_by=by), "7.3", cell(figures={"made": 8}))
    assert (other.answer, other.why) == (Answer.REFUTED, "made: 8")
    assert claims.decide(claim(decided_by=by), "7.3", cell(figures={})).why == "made: unknown"


def test_a_listed_failure_that_is_gone_refutes_nothing() -> None:
    by = BY.model_copy(update={"refuted_by": ("*",)})
    assert claims.decide(claim(decided_by=by), "7.3", cell("known-failure-gone:left:/src/x")).answer == Answer.CONFIRMED


def status(results: dict[CellId, CellResult], of: Claim) -> int:
    return claims.exit_status(
        claims.claim_rows([of], "7.3", "7.3", results), claims.undecided_cells([of], ["7.3"], results)
    )


def test_the_exit_status_is_1_where_a_claim_is_refuted_or_none_is_decided_and_3_where_a_cell_lacks() -> None:
    assert status(cell(), claim()) == 0
    assert status(cell("left:/src/x"), claim()) == 1
    assert status({}, claim(decided_by=None, undecided="x")) == 1
    assert status({}, claim()) == 3
    assert status({PLACE.on("7.3"): result(PLACE.on("7.3"), Verdict.ERROR)}, claim()) == 3


def saving(before: Any, now: Any = 7, *, saves: int = 100) -> claims.Decision:
    by = DecidedBy(check="clean", cell=PLACE, figure="made", saves=saves)
    results = {**cell(figures={"made": now}), **cell(figures={"made": before}, tree="old")}
    [row] = claims.claim_rows([claim(decided_by=by)], "7.3", "old", results)
    assert (row.base.answer, row.base.why) == (Answer.UNDECIDED, "the base, which the tree is compared with")
    return row.tree


def test_what_a_claim_saves_is_told_by_the_figure_of_the_base() -> None:
    enough = saving(107)
    assert (enough.answer, enough.figure, enough.why) == (Answer.CONFIRMED, "7", "100 less, 100 are claimed")
    assert saving(106).answer == Answer.REFUTED
    assert saving(6).why == "-1 less, 100 are claimed"
    assert saving(107, "none").answer == saving("none").answer == Answer.UNDECIDED
    assert saving(107, "none").why == "made is no number: none"


def test_what_is_saved_is_undecided_where_the_base_or_the_figure_is_not_known() -> None:
    of = claim(decided_by=DecidedBy(check="clean", cell=PLACE, figure="made", saves=1))
    without = claims.decide(of, "7.3", cell(), "old")
    assert (without.answer, without.why) == (
        Answer.UNDECIDED,
        "made is not known of the base: the cell has no result",
    )
    assert claims.decide(of, "7.3", cell(figures={}), "old").why == "made: not known of this tree"
    refuted = claims.decide(of.model_copy(update={"decided_by": BY}), "7.3", cell("left:/src/x"), "old")
    assert refuted.answer == Answer.REFUTED


def test_what_decides_must_be_able_to_refute() -> None:
    for useless in ({}, {"figure": "made"}, {"saves": 3}, {"figure_is": "7"}):
        with pytest.raises(ValidationError, match="is needed"):
            DecidedBy(check="clean", cell=PLACE, **useless)


@pytest.mark.parametrize("bound", [{"saves": 1}, {"figure_is": "7"}])
def test_a_bound_is_one_on_a_figure_that_is_named(bound: Any) -> None:
    with pytest.raises(ValidationError, match="figure is needed"):
        DecidedBy(check="clean", cell=PLACE, refuted_by=("left:*",), **bound)


def row(*sessions: ComparisonRun, **more: Any) -> claims.ClaimRow:
    of = claim(decided_by=None, measured_by=TIMED, **more)
    [found] = claims.claim_rows([of], "7.3", "old", {}, sessions)
    assert found.decided_by == "compare --measure build in i/gcc/b"
    assert (found.base.answer, found.base.why) == (Answer.UNDECIDED, "the base, which the tree is compared with")
    return found


def test_a_claim_about_time_is_answered_by_the_newest_session_that_measured_it() -> None:
    faster, slower = session(ratio=0.4, name="2"), session(ratio=0.9, name="1")
    found = row(faster, slower).tree
    assert (found.answer, found.figure) == (Answer.CONFIRMED, "10.00 s to 4.00 s")
    assert found.why.startswith("build took 0.4000 of the base's time (95 % interval")
    assert row(slower, faster).tree.answer == Answer.REFUTED
    assert row(session(ratio=0.5)).tree.answer == Answer.UNDECIDED


def test_a_claim_that_this_machine_cannot_decide_has_its_figure_all_the_same() -> None:
    found = row(session(ratio=0.4), undecided="it takes 28 cores").tree
    assert (found.answer, found.figure) == (Answer.UNDECIDED, "10.00 s to 4.00 s")
    assert found.why.startswith("it takes 28 cores; build took 0.4000")
    assert row(undecided="it takes 28 cores").tree.why.startswith("it takes 28 cores; not measured here")


@pytest.mark.parametrize("other", [{"place": "i/gcc/c"}, {"base": "older"}, {"head": "7.2"}, {"measure": "no-op"}])
def test_a_session_about_anything_else_answers_nothing(other: dict[str, str]) -> None:
    found = row(session(ratio=0.4, **other)).tree
    assert (found.answer, found.figure) == (Answer.UNDECIDED, "")
    command = "perf-matrix compare old 7.3 --image i --toolchain gcc --build b --measure build"
    assert found.why == f"not measured here; `{command}` does"


def test_a_tree_whose_check_lacks_the_figure_is_not_known_to_confirm_anything() -> None:
    found = claims.decide(claim(), "7.3", cell(figures={}))
    assert (found.answer, found.why) == (Answer.UNDECIDED, "made: not known of this tree")


@pytest.mark.parametrize(("sha256", "answer"), [("1", Answer.CONFIRMED), ("2", Answer.UNDECIDED)])
def test_a_session_of_other_sources_of_the_same_name_answers_nothing(sha256: str, answer: Answer) -> None:
    tree = TreeIdentity(name="7.3", source="s", sha256=sha256, version="7.3", origin="o")
    results = {CellId("i/t/x@7.3"): result("i/t/x@7.3", tree=tree), CellId("i/t/x@old"): result("i/t/x@old")}
    of = claim(decided_by=None, measured_by=TIMED)
    [found] = claims.claim_rows([of], "7.3", "old", results, [session(ratio=0.4)])
    assert found.tree.answer == answer
