"""Patches of a series and their results, for the tests of what is decided by them."""

from __future__ import annotations

from matrix.model.cell_id import Place
from matrix.model.result import CellResult, CheckResult, Finding, Predecessor, Verdict
from matrix.verdicts import series
from matrix.verdicts.series import PatchResult, PatchTree
from tests.unit.conftest import result

PLACE = Place("debian-trixie/gcc/default")


def step(number: int, *, idle: bool = False, alone: bool = False) -> PatchTree:
    return PatchTree(number=number, subject=f"patch {number}", tree=f"p{number:02}", idle=idle, alone=alone)


def on(
    tree: str, *, bad: bool = False, left: tuple[str, ...] = (), verdict: Verdict | None = None, after: str = ""
) -> CellResult:
    names = ("/a",) if bad else left
    found = tuple(Finding(kind="left", subject=name, expected="none", actual="one") for name in names)
    check = CheckResult(check="clean", verdict=Verdict.FAIL if found else Verdict.PASS, findings=found, examined=1)
    checks = () if verdict == Verdict.SKIP else (check,)
    gone_on = Predecessor(tree=after, touched=("a.c",)) if after else None
    return result(PLACE.on(tree), verdict or check.verdict, checks=checks, reason="why", gone_on=gone_on)


def rows(said: dict[int, bool], count: int = 4) -> tuple[PatchResult, ...]:
    """Return the rows of a series of which some patches were run: their numbers, and whether they newly fail."""
    results = [on("base"), *(on(f"p{number:02}", bad=bad) for number, bad in said.items())]
    steps = [step(number) for number in range(1, count + 1)]
    return series.patch_results(steps, [result.id for result in results], {result.id: result for result in results})
