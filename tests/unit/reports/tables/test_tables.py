"""Each table for people, from a noun that a test made up to the text that is printed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from matrix.engine.doctor import Need
from matrix.model.cell_id import Place
from matrix.model.edit import Edit, Expected
from matrix.model.result import Finding, RequirementVerdict, StepResult, Verdict
from matrix.reports.tables import claims, comparison, machine, mutants, plan, prediction, reproduction, series
from matrix.scenario.plan import scenario
from matrix.trace.simulation import PathItem, Prediction
from matrix.verdicts.claims import Answer, ClaimRow, Decision
from matrix.verdicts.comparison import Counted
from matrix.verdicts.ingredients import Ingredient
from matrix.verdicts.mutants import Detection, MutantsResult, PlantedFault
from matrix.verdicts.regressions import CellComparison, CheckFinding
from matrix.verdicts.reproduction import CheckDifference, Reproduction
from matrix.verdicts.series import Break, PatchResult, PatchTree, SeriesResult
from tests.unit.conftest import cell, session
from tests.unit.results import done

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.reports.tables import Part

PLACE = Place("i/gcc/b")
CONTROL = "\x1b[2J"


def text(parts: Iterable[Part]) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=not isinstance(part, Table))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def left(name: str) -> CheckFinding:
    finding = Finding(kind="left", subject=name, expected="none", actual="one")
    return CheckFinding(check="clean", finding=finding)


def row(number: int, *names: str, on: str = "", undecided: str = "", **more: object) -> PatchResult:
    """Return a patch's result in one cell: `names` are what newly fails there."""
    step = PatchTree.model_validate({"number": number, "subject": f"patch {number}", "tree": f"p0{number}", **more})
    if step.idle:
        return PatchResult(step=step)
    broken = tuple(left(name) for name in names)
    one = CellComparison(cell=PLACE, tree=step.tree, broken=broken, examined=1, on=on, undecided=undecided)
    return PatchResult(step=step, held=(one,))


def series_text(*rows: PatchResult, breaks: tuple[Break, ...] = ()) -> str:
    return text(series.parts(SeriesResult(run="r", base="v7.1", rows=rows, breaks=breaks)))


def test_a_series_has_a_row_a_patch_and_names_what_newly_fails() -> None:
    broken = Break(cell=PLACE, keys=("a", "b", "c", "d"), suspects=(2,), mended=3)
    unsure = Break(cell=PLACE, keys=("e",), suspects=(1, 2))
    shown = series_text(row(1, idle=True), row(2, "/1", "/2", "/3", "/4", on="p01"), row(3), breaks=(broken, unsure))
    lines = shown.splitlines()
    assert lines[0].split() == ["patch", "cells", "newly", "fails", "subject"]
    assert lines[1].split() == ["1", "idle", "patch", "1"]
    assert lines[2].split()[:5] == ["2", "FAIL", "on", "p01", "1"]
    assert "i/gcc/b: clean left:/3" in shown
    assert "left:/4" not in shown
    assert "and 1 more" in shown
    assert lines[-4:] == [
        "i/gcc/b newly fails from patch 2 on (until patch 3): patch 2", "  a, b, c, and 1 more",
        "i/gcc/b newly fails from one of (1, 2) on: patch 2", "  e",
    ]  # fmt: skip


def test_a_series_that_breaks_nothing_says_so() -> None:
    assert series_text(row(1), row(2, idle=True)).endswith("\nnothing newly fails that v7.1 passed")


def test_a_series_that_was_not_decided_says_why_and_nothing_good() -> None:
    shown = series_text(row(1, undecided="no space"), PatchResult(step=row(2).step))
    assert "i/gcc/b: no space" in shown
    assert shown.splitlines()[2].split() == ["2", "applies", "patch", "2"]
    assert "nothing newly fails" not in shown


def test_of_patches_that_were_looked_at_alone_it_says_what_they_need() -> None:
    broken = Break(cell=PLACE, keys=("a",), suspects=(1,))
    shown = series_text(row(1, alone=True), row(2, "/a", alone=True, needs=(1,)), breaks=(broken,))
    assert "PASS alone" in shown
    assert "FAIL with 1" in shown
    assert "newly fails from" not in shown


def test_planted_faults_have_a_row_each_and_a_score() -> None:
    common: dict[str, Any] = {"summary": "s", "cell": PLACE, "check": "clean", "wanted": ()}
    rows = (
        PlantedFault(fault="", fate=Detection.SILENT, **common),
        PlantedFault(
            fault="f", fate=Detection.KILLED, killers={"build": ("x",), "clean": ("a", "b")}, wall_s=9.6, **common
        ),
        PlantedFault(fault="g", fate=Detection.KILLED_BY_ANOTHER, killers={"build": (f"x{CONTROL}",)}, **common),
        PlantedFault(fault="h", fate=Detection.ERROR, reason="no space", **common),
    )
    shown = text(mutants.parts(MutantsResult(run="r", tree="7.3", score=0.5, mean_s=12.34, planted=rows)))
    lines = [line.split() for line in shown.splitlines()]
    assert lines[1] == ["(none)", PLACE, "clean", "control:", "silent", "0"]
    assert lines[2] == ["f", PLACE, "clean", "killed", "a", "(+1)", "10"]
    assert lines[3][-2:] == ["x?[2J", "0"]
    assert "no space" in shown
    assert shown.endswith("\n\n50.0% killed as intended; 12.3 s a fault, with what was built to plant on")
    empty = text(mutants.parts(MutantsResult(run="r", tree="7.3", score=None, mean_s=0.0, planted=())))
    assert "no fault was judged" in empty


def test_faults_are_listed_with_their_check_and_cells() -> None:
    expect = Expected(check="clean", cells=(PLACE,), findings=("x",))
    fault = Edit(name="f", summary="forgets", trees=("*",), expect=expect)
    assert list(map(str, mutants.fault_lines([fault]))) == ["f: forgets", "  clean in i/gcc/b"]


def test_a_claim_has_its_decider_and_both_answers() -> None:
    yes = Decision(answer=Answer.CONFIRMED, figure="3")
    no = Decision(answer=Answer.UNDECIDED, why=f"not here{CONTROL}")
    rows = [
        ClaimRow(claim="a", patch=4, summary="faster", decided_by="clean in i/gcc/b", tree=yes, base=yes),
        ClaimRow(claim="b", patch=0, summary="nicer", decided_by="", tree=no, base=no),
    ]
    assert text(claims.parts(rows, "7.3", "7.2")).splitlines() == [
        "patch 4: faster",
        "  decided by clean in i/gcc/b",
        "  7.3: confirmed; 3",
        "  7.2: confirmed; 3",
        "  the same answer for both: this does not tell the tree from its base",
        "series: nicer",
        "  7.3: undecided; not here?[2J",
        "  7.2: undecided; not here?[2J",
    ]


def test_a_comparison_has_a_row_a_measure_and_what_was_required() -> None:
    found = session(0.5)
    counted = Counted(processes=10, shell_processes=1, compiler_runs=5, parses=5)
    base = found.base.model_copy(update={"counted": {"build": counted}})
    head = found.head.model_copy(update={"counted": {"build": counted.model_copy(update={"processes": 7})}})
    required = {"build no slower than 2 %": RequirementVerdict(Verdict.PASS, "0.5")}
    more = {"base": base, "head": head, "left_out": {"tables": "not part of it"}, "required": required}
    shown = text(comparison.parts(found.model_copy(update=more)))
    lines = shown.splitlines()
    assert lines[1].split()[:2] == ["build", "10.00"]
    assert "faster" in lines[1]
    assert lines[1].split()[-6:] == ["10", ">", "7", "5", ">", "5"]
    assert lines[2:] == [
        "not measured: tables: not part of it", "PASS build no slower than 2 %: 0.5", "6 rounds, -j2, 2 processors,",
    ]  # fmt: skip
    assert "5 > 5" not in text(comparison.parts(found))


def test_a_measure_that_decides_nothing_says_how_many_pairs_would() -> None:
    one = session(0.5).measured[0]
    few = one.comparison.model_copy(update={"low": None, "high": None, "floor": None})
    found = session(0.5).model_copy(update={"measured": (one.model_copy(update={"comparison": few}),)})
    assert text(comparison.parts(found)).splitlines()[1].count("none") == 2
    open_one = one.comparison.model_copy(update={"answer": "inconclusive", "pairs_needed": 40})
    assert comparison.answer(open_one) == "inconclusive; ~40 pairs decide"
    never = open_one.model_copy(update={"pairs_needed": None})
    assert comparison.answer(never) == "inconclusive; no number of pairs decides"


def test_a_prediction_has_a_row_a_number_of_jobs() -> None:
    path = (PathItem(name="perf", process=1, wall_s=5.0, waited_for=""),)
    one = Prediction(jobs=1, wall_s=11.0, work_s=10.0, use=1.0, path=path)
    shown = text(prediction.parts({1: one, 64: one}, {1: 10.0}, one, (2, 9)))
    lines = shown.splitlines()
    assert lines[1].split()[:4] == ["1", "11.0", "10.0", "+10.0%"]
    assert lines[2].split()[:2] == ["64", "11.0"]
    assert lines[-2].startswith("the rules of 2 of 9 makes are not known")
    assert lines[-1] == "work 10.0 s of CPU time; span 11.0 s: no number of cores is faster"


def test_a_reproduction_has_a_row_an_ingredient_and_what_came_out_otherwise() -> None:
    rows = [
        Ingredient(name="build", then="1", now="1", same="same"),
        Ingredient(name="packages", then="x" * 200, now="2", same="differs", note=f"gcc: 14 > 15{CONTROL}"),
    ]
    differs = CheckDifference(check="clean", then="FAIL", now="PASS", gone=tuple("abcdefghij"), new=("k",))
    outcome = Reproduction(answer="partly", reason="1 of 2", compared=2, differences=(differs,))
    step = StepResult(name="clean", command="make clean", verdict=Verdict.FAIL, reason="status 2", log="logs/clean.log")
    shown = text(reproduction.parts(rows, outcome, done(steps=(step,)), "r2", "/runs/r2")).splitlines()
    assert shown[1].split() == ["build", "same", "1"]
    whole = "\n".join(shown)
    assert "gcc: 14 > 15?[2J" in whole
    assert "x" * 200 not in whole.replace("\n", "")
    assert "clean: FAIL then, PASS now" in shown
    assert shown.count("  no longer: and 2 more") == 1
    assert "  new: k" in shown
    assert shown[-6:] == [
        "partly: 1 of 2",
        "step clean: FAIL status 2",
        "  make clean",
        "  see /runs/r2/cells/debian-trixie/gcc/default@7.3/logs/clean.log",
        "verdict: FAIL",
        "run: /runs/r2; `perf-matrix report r2` says all of it",
    ]


def test_a_reproduction_that_fails_at_no_step_names_none() -> None:
    outcome = Reproduction(answer="reproduced", reason="all", compared=1)
    shown = text(reproduction.parts([], outcome, done(steps=(), checks=(), verdict=Verdict.PASS), "r", "/r"))
    assert "step " not in shown


@dataclass(frozen=True)
class Thing:
    kind: str = "container"
    name: str = "c1"
    purpose: str = "cell"
    size_bytes: int | None = None


def test_this_machine_has_a_row_for_what_is_needed_and_a_line_for_what_is_removed() -> None:
    found = [Need("python", "3.11"), Need("container engine", "none answers [x]", is_met=False)]
    assert text([machine.needs(found)]).splitlines() == [
        " python            ok       3.11", " container engine  missing  none answers [x]",
    ]  # fmt: skip
    assert text(machine.removals([Thing()], dry_run=True)) == "would remove container c1 (cell)"
    sized = Thing("file", "/c/tree.tar", "cache", size_bytes=3 << 19)
    assert text(machine.removals([sized], dry_run=True)) == "would remove file /c/tree.tar (cache, 1.5 MiB)"
    assert text(machine.removals([Thing()], dry_run=False)) == "removing container c1 (cell)"


def test_a_plan_has_each_step_and_what_the_second_container_changes() -> None:
    lines = list(map(str, plan.lines(scenario(cell()), "FROM debian:trixie")))
    assert lines[:2] == ["debian-trixie/gcc/default@7.3", "image: FROM debian:trixie"]
    assert lines[2].startswith("build (first container): ")
    assert "  TZ=UTC  ->  XST-13:45" in lines
