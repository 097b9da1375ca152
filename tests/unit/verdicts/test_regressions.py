from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix import reports
from matrix.errors import UsageError
from matrix.model.cell_id import CellId, Place
from matrix.model.result import (
    KNOWN_FAILURE_GONE,
    CellResult,
    CheckResult,
    Finding,
    RequirementVerdict,
    Verdict,
)
from matrix.runs import run_report, store
from matrix.runs.run_kind import GateRun
from matrix.verdicts import regressions
from matrix.verdicts.regressions import CellComparison, Gate
from tests.unit.conftest import cell, result, tree

if TYPE_CHECKING:
    from pathlib import Path

PLACE = Place("debian-trixie/gcc/default")


def finding(key: str, known: str = "") -> Finding:
    kind, _, subject = key.partition(":")
    return Finding(kind=kind, subject=subject, expected="none", actual="one", known=known)


def check(*keys: str, name: str = "clean", verdict: Verdict | None = None, known: tuple[str, ...] = ()) -> CheckResult:
    found = [finding(key, "listed" if key in known else "") for key in keys]
    came = verdict or (Verdict.PASS if not keys else Verdict.XFAIL if set(keys) <= set(known) else Verdict.FAIL)
    return CheckResult(check=name, verdict=came, findings=tuple(found), examined=1, reason="why")


def on(tree: str, *checks: CheckResult, **more: Any) -> CellResult:
    return result(PLACE.on(tree), **{"checks": checks or (check(),), **more})


def held(base: CellResult | None, head: CellResult | None) -> CellComparison:
    return regressions.compare_cell(PLACE, "head", base, head)


def keys(of: CellComparison) -> dict[str, list[str]]:
    sorts = {sort: getattr(of, sort) for sort in ("broken", "already", "mended", "unseen")}
    return {sort: [said.finding.key for said in found] for sort, found in sorts.items() if found}


def test_what_is_new_is_blamed_what_was_there_is_listed_and_what_went_is_credited() -> None:
    found = held(on("base", check("left:/a", "left:/b")), on("head", check("left:/b", "left:/c")))
    assert keys(found) == {"broken": ["left:/c"], "already": ["left:/b"], "mended": ["left:/a"]}


def test_two_trees_that_are_right_come_to_nothing() -> None:
    assert keys(held(on("base"), on("head"))) == {}


def test_a_known_failure_that_comes_and_goes_is_neither_blamed_nor_credited() -> None:
    listed = check("relinked:x", known=("relinked:x",))
    assert keys(held(on("base"), on("head", listed))) == {"already": ["relinked:x"]}
    assert keys(held(on("base", listed), on("head"))) == {}


def test_a_known_failure_that_is_gone_from_the_head_is_credited_and_its_list_not_blamed() -> None:
    base = on("base", check("left:/a", known=("left:/a",)))
    assert keys(held(base, on("head", check(f"{KNOWN_FAILURE_GONE}:left:*")))) == {"mended": ["left:/a"]}


def test_a_known_failure_that_the_base_had_mended_is_blamed_when_it_is_back() -> None:
    base = on("base", check(f"{KNOWN_FAILURE_GONE}:left:*"))
    assert keys(held(base, on("head", check("left:/a", known=("left:/a",))))) == {"broken": ["left:/a"]}


def test_a_check_that_no_longer_applies_is_blamed() -> None:
    found = held(on("base"), on("head", check(verdict=Verdict.SKIP)))
    assert keys(found) == {"broken": ["lost:check clean"]}
    assert found.broken[0].finding.actual == "skipped: why"


def test_a_check_that_never_applied_is_not() -> None:
    skipped = check(verdict=Verdict.SKIP)
    assert keys(held(on("base", skipped), on("head", skipped))) == {}
    assert keys(held(on("base", check(name="other")), on("head", skipped))) == {}


def test_a_build_that_fails_is_blamed_alone() -> None:
    failed = check("step-failed:build", name="build")
    found = held(on("base", check(name="build"), check()), on("head", failed, check(verdict=Verdict.SKIP)))
    assert keys(found) == {"broken": ["step-failed:build"]}


def test_what_the_base_did_not_come_to_is_nobodys_fault() -> None:
    base = on("base", check("step-failed:build", name="build"), check(verdict=Verdict.SKIP))
    found = held(base, on("head", check(name="build"), check("left:/a")))
    assert keys(found) == {"mended": ["step-failed:build"], "unseen": ["left:/a"]}


def test_a_check_that_examines_nothing_is_blamed_unless_it_did_before() -> None:
    nothing = check(verdict=Verdict.FAIL)
    assert keys(held(on("base"), on("head", nothing))) == {"broken": ["examined-nothing:clean"]}
    assert keys(held(on("base", nothing), on("head", nothing))) == {"already": ["examined-nothing:clean"]}


def test_where_both_trees_stop_at_one_step_nothing_was_examined() -> None:
    failed = on("x", check("step-failed:build", name="build"), check(verdict=Verdict.SKIP))
    assert (held(failed, failed).examined, held(on("base"), on("head")).examined) == (0, 1)


def test_a_cell_that_is_skipped_on_the_head_alone_is_blamed() -> None:
    skipped = on("head", verdict=Verdict.SKIP, reason="no pool")
    assert keys(held(on("base"), skipped)) == {"broken": ["lost:the cell"]}
    assert keys(held(on("base", verdict=Verdict.SKIP), skipped)) == {}


@pytest.mark.parametrize("side", ["base", "head"])
def test_what_the_infrastructure_failed_at_is_undecided(side: str) -> None:
    error = on(side, verdict=Verdict.ERROR, reason="no space")
    pair = (error, on("head")) if side == "base" else (on("base"), error)
    assert held(*pair).undecided == f"{side}: no space"
    assert held(None, on("head")).undecided == "base: it has no result"


def test_each_cell_of_the_head_is_held_against_that_of_the_base() -> None:
    wanted = [PLACE.on("base"), PLACE.on("head"), CellId("i/gcc/b@base"), CellId("i/gcc/b@head")]
    found = regressions.compare_trees([on("base"), on("head", check("left:/a"))], wanted, "base", "head")
    assert [(each.cell, len(each.broken), each.undecided) for each in found] == [
        (PLACE, 1, ""),
        ("i/gcc/b", 0, "base: it has no result"),
    ]


BREAKS = held(on("base"), on("head", check("left:/a")))
OPEN = CellComparison(cell=PLACE, tree="head", undecided="no space")
FINE = CellComparison(cell=PLACE, tree="head", examined=9)
EMPTY = CellComparison(cell=PLACE, tree="head")


@pytest.mark.parametrize(
    ("cells", "required", "verdict"),
    [
        ([FINE], {}, Verdict.PASS),
        ([FINE, BREAKS], {}, Verdict.FAIL),
        ([BREAKS, OPEN], {}, Verdict.FAIL),
        ([FINE, OPEN], {}, Verdict.ERROR),
        ([], {}, Verdict.ERROR),
        ([EMPTY], {}, Verdict.ERROR),
        ([EMPTY, FINE], {}, Verdict.PASS),
        ([FINE], {"build": Verdict.FAIL}, Verdict.FAIL),
        ([FINE], {"build": Verdict.ERROR}, Verdict.ERROR),
        ([FINE], {"build": Verdict.INCONCLUSIVE}, Verdict.INCONCLUSIVE),
        ([FINE], {"build": Verdict.PASS}, Verdict.PASS),
    ],
)
def test_a_gates_verdict(cells: list[CellComparison], required: dict[str, Verdict], verdict: Verdict) -> None:
    found = Gate(
        base="b", head="h", held=tuple(cells), required={k: RequirementVerdict(v, "why") for k, v in required.items()}
    )
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 1), (Verdict.ERROR, 3)]
)
def test_a_gates_exit_status_is_its_verdicts(verdict: Verdict, status: int) -> None:
    report = reports.build("r", "/r", ["b", "h"], [], [])
    report = report.model_copy(update={"gate": Gate(base="b", head="h", held=()), "verdict": verdict})
    assert reports.exit_status(report) == status


def test_a_gates_run_keeps_what_it_is_judged_by(places: Path) -> None:
    del places
    head, base = cell(on=tree("head")), cell(on=tree("base"))
    kind = GateRun(head="head", require=("build no slower than 5 %",))
    run = store.begin([base], ["base", "head"], [], 2, base="base", kind=kind)
    assert (run.settings().kind, run.required()) == (kind, {})
    unmeasured = run_report.of_run(run).gate
    assert unmeasured is not None
    assert unmeasured.required == {"build no slower than 5 %": (Verdict.ERROR, "it was not measured")}
    run.extend([head.id], ["head"])
    assert (run.settings().cells, run.settings().trees) == ((base.id, head.id), ("base", "head"))
    run.save(on("base"))
    run.save(on("head", check("left:/a")))
    run.save_required({"build no slower than 5 %": RequirementVerdict(Verdict.PASS, "1.01")})
    report = run_report.of_run(run)
    assert report.gate is not None
    assert report.gate.required == {"build no slower than 5 %": (Verdict.PASS, "1.01")}
    assert [len(each.broken) for each in report.gate.held] == [1]
    assert (report.verdict, reports.exit_status(report)) == (Verdict.FAIL, 1)
    (run.folder / "required.json").write_text("{")
    with pytest.raises(UsageError, match="is not what a gate wrote"):
        run.required()


def test_two_cells_past_a_limit_are_no_evidence() -> None:
    past = on("7.3", check("limit-exceeded:memory", name="build"))
    found = held(on("7.2", check("limit-exceeded:memory", name="build")), past)
    assert (found.broken, found.examined) == ((), 0)


def test_nothing_is_mended_by_a_head_that_was_not_examined() -> None:
    found = held(on("7.2", check("left:/a", name="build")), on("7.3", check("limit-exceeded:memory", name="build")))
    assert keys(found) == {"broken": ["limit-exceeded:memory"]}


def test_a_head_is_undecided_where_not_all_findings_of_the_base_were_kept() -> None:
    cut = on("7.2", check("left:/a", "too-many-findings:findings"))
    found = held(cut, on("7.3", check("left:/b")))
    assert (found.verdict, found.broken) == (Verdict.ERROR, ())
    assert found.undecided == ("base: check clean has more findings than are kept, so that none can be told to be new")
    assert held(on("7.2", check("left:/a")), cut).verdict == Verdict.FAIL
