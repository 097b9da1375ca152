"""Claims of a series, each confirmed or refuted by a check or by a measure, or undecided with the reason. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from matrix.errors import ExitStatus
from matrix.model.base import Frozen
from matrix.model.globs import matches_any
from matrix.model.result import STEP_FAILED, Verdict, is_decided
from matrix.verdicts.requirement import Requirement, verdict_on
from matrix.verdicts.wording import first_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId, Place
    from matrix.model.claim import Claim, DecidedBy, MeasuredBy
    from matrix.model.result import CellResult, CheckResult, Finding
    from matrix.verdicts.comparison import Comparison, ComparisonRun


NO_EVIDENCE = (STEP_FAILED, "unreadable", "no-symbol", "runs")
"""The kinds of findings of a check that could not examine something."""


class Answer(StrEnum):
    """The answer of a tree to a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


_ANSWERS = {
    Verdict.PASS: Answer.CONFIRMED,
    Verdict.FAIL: Answer.REFUTED,
    Verdict.INCONCLUSIVE: Answer.UNDECIDED,
}


class Decision(Frozen):
    """The answer of one tree to a claim, with the check's or measure's `figure` and its reason, `why`."""

    answer: Answer
    figure: str = ""
    why: str = ""


class ClaimRow(Frozen):
    """A claim with the check or measure that decides it, and the answers of the tree and of its base."""

    claim: str
    patch: int
    summary: str
    decided_by: str
    tree: Decision
    base: Decision

    @property
    def same(self) -> bool:
        """Whether both trees gave the same answer, so that the check does not tell the series from its base."""
        return self.tree.answer == self.base.answer != Answer.UNDECIDED


def places(claims: Iterable[Claim]) -> tuple[Place, ...]:
    """Return the places whose cells decide claims, sorted."""
    return tuple(sorted({claim.decided_by.cell for claim in claims if claim.decided_by}))


def check_names(claims: Iterable[Claim]) -> tuple[str, ...]:
    """Return the names of the checks that decide claims, sorted."""
    return tuple(sorted({claim.decided_by.check for claim in claims if claim.decided_by}))


def claim_rows(
    claims: Iterable[Claim],
    tree: str,
    base: str,
    results: Mapping[CellId, CellResult],
    comparisons: Iterable[ComparisonRun] = (),
) -> tuple[ClaimRow, ...]:
    """Return each claim with the answers of two trees (their names): patch by patch, the whole series last.

    `comparisons` are the runs of `perf-matrix compare`, the newest first.
    """
    # A name stays the same when its sources change: an old measurement of other sources decides nothing.
    runs = [run for run in comparisons if _is_of_trees(run, tree, base) and _has_same_sources(run, results)]
    ordered = sorted(claims, key=_order)
    return tuple(
        ClaimRow(
            claim=claim.name,
            patch=claim.patch,
            summary=claim.summary,
            decided_by=_decider(claim),
            tree=_tree_decision(claim, tree, base, results, runs),
            base=_base_decision(claim, base, results),
        )
        for claim in ordered
    )


def _order(claim: Claim) -> tuple[bool, int, str]:
    is_of_whole_series = not claim.patch  # patches count from 1
    return is_of_whole_series, claim.patch, claim.name


def _decider(claim: Claim) -> str:
    if claim.measured_by:
        return f"compare --measure {claim.measured_by.measure} in {claim.measured_by.cell}"
    return f"{claim.decided_by.check} in {claim.decided_by.cell}" if claim.decided_by else ""


def _tree_decision(
    claim: Claim, tree: str, base: str, results: Mapping[CellId, CellResult], runs: Sequence[ComparisonRun]
) -> Decision:
    if claim.measured_by:
        return _measured(claim, claim.measured_by, tree, base, runs)
    return decide(claim, tree, results, base)


def _base_decision(claim: Claim, base: str, results: Mapping[CellId, CellResult]) -> Decision:
    if claim.measured_by:
        return _is_base(Decision(answer=Answer.UNDECIDED))
    return decide(claim, base, results)


def _is_base(decision: Decision) -> Decision:
    """Return the decision on a claim that compares a tree with the base: the base itself has no answer."""
    return decision.model_copy(update={"answer": Answer.UNDECIDED, "why": "the base, which the tree is compared with"})


def _is_of_trees(run: ComparisonRun, tree: str, base: str) -> bool:
    return (run.base.tree.name, run.head.tree.name) == (base, tree)


def _has_same_sources(run: ComparisonRun, results: Mapping[CellId, CellResult]) -> bool:
    """Return whether no result has other sources under the name of one of the run's trees."""
    current = {result.tree.name: result.tree.sha256 for result in results.values() if result.tree}
    trees = (run.base.tree, run.head.tree)
    return all(current.get(tree.name, tree.sha256) == tree.sha256 for tree in trees)


def _measured(claim: Claim, by: MeasuredBy, tree: str, base: str, runs: Sequence[ComparisonRun]) -> Decision:
    """Return the decision on a claim about time by the newest of the runs that has its measure at its place."""
    for run in runs:
        comparison = _comparison(run, by)
        if comparison:
            return _decided_by_comparison(claim, by, comparison, run.started)
    image, toolchain, build = by.cell.split("/")
    command = f"perf-matrix compare {base} {tree} --image {image} --toolchain {toolchain} --build {build}"
    why = f"not measured here; `{command} --measure {by.measure}` does"
    return Decision(answer=Answer.UNDECIDED, why=_joined(claim.undecided, why))


def _comparison(run: ComparisonRun, by: MeasuredBy) -> Comparison | None:
    if run.place != by.cell:
        return None
    comparisons = [measured.comparison for measured in run.measured]
    return next((comparison for comparison in comparisons if comparison.measure == by.measure), None)


def _decided_by_comparison(claim: Claim, by: MeasuredBy, comparison: Comparison, started: str) -> Decision:
    verdict, why = verdict_on(Requirement(measure=by.measure, at_most=by.at_most), comparison)
    figure = f"{comparison.base_s:.2f} s to {comparison.head_s:.2f} s"
    if claim.undecided:  # the reason, in the claim's file, why no measurement of ours decides it
        return Decision(answer=Answer.UNDECIDED, figure=figure, why=_joined(claim.undecided, why))
    return Decision(answer=_ANSWERS[verdict], figure=figure, why=f"{why}, {started}")


def _joined(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def decide(claim: Claim, tree: str, results: Mapping[CellId, CellResult], base: str = "") -> Decision:
    """Return the decision of a tree on a claim; a finding refutes it whether it is known or not.

    A claim that something `saves` is decided only with the name of a `base`, against which the saving is counted.
    """
    by = claim.decided_by
    if by is None:
        return Decision(answer=Answer.UNDECIDED, why=claim.undecided)
    decision = _decided_by_check(by, results.get(by.cell.on(tree)))
    if claim.undecided:
        return decision.model_copy(update={"answer": Answer.UNDECIDED, "why": claim.undecided})
    if _depends_on_saving(by, decision):
        return _held_against_base(by, decision, results, base)
    return decision


def _depends_on_saving(by: DecidedBy, decision: Decision) -> bool:
    """Return whether a claim that the check alone does not refute claims a saving, too."""
    return bool(by.saves) and decision.answer == Answer.CONFIRMED


def _held_against_base(by: DecidedBy, tree: Decision, results: Mapping[CellId, CellResult], base: str) -> Decision:
    if not base:
        return _is_base(tree)
    return _decided_by_saving(by, tree, _decided_by_check(by, results.get(by.cell.on(base))))


def _decided_by_saving(by: DecidedBy, tree: Decision, base: Decision) -> Decision:
    """Return the decision on the claim that the tree's figure is less than the base's by `by.saves` or more."""
    saved = _saved(tree, base)
    if saved is None:
        return tree.model_copy(update={"answer": Answer.UNDECIDED, "why": _why_no_saving(by, tree, base)})
    answer = Answer.CONFIRMED if saved >= by.saves else Answer.REFUTED
    return tree.model_copy(update={"answer": answer, "why": f"{saved} less, {by.saves} are claimed"})


def _saved(tree: Decision, base: Decision) -> int | None:
    """Return by how much the tree's figure is less than the base's; None where one of them is no number."""
    if not tree.figure.isdecimal() or not base.figure.isdecimal():
        return None
    return int(base.figure) - int(tree.figure)


def _why_no_saving(by: DecidedBy, tree: Decision, base: Decision) -> str:
    if not tree.figure.isdecimal():
        return f"{by.figure} is no number: {tree.figure}"
    return f"{by.figure} is not known of the base: {base.why}"


def _decided_by_check(by: DecidedBy, result: CellResult | None) -> Decision:
    """Return the decision of one cell's check, regardless of any saving."""
    check = _check_of(result, by.check)
    if check is None:
        return Decision(answer=Answer.UNDECIDED, why=_why_no_check(result))
    figure = str(check.figures.get(by.figure, ""))
    obstacle = _lack_of_figure(check, by) or _obstacle(check)
    if obstacle:
        return Decision(answer=Answer.UNDECIDED, figure=figure, why=obstacle)
    refuting = _refuting(check, by, figure)
    if refuting:
        return Decision(answer=Answer.REFUTED, figure=figure, why=first_of(refuting))
    return Decision(answer=Answer.CONFIRMED, figure=figure)


def _check_of(result: CellResult | None, name: str) -> CheckResult | None:
    return result.check(name) if result else None


def _lack_of_figure(check: CheckResult, by: DecidedBy) -> str:
    """Return the reason why a figure is missing; empty where it is there, or where its lack refutes the claim.

    The lack of a figure that must have a certain value refutes; a figure that may have any value leaves it undecided.
    """
    needs_any_figure = bool(by.figure) and not by.figure_is
    if not needs_any_figure or check.figures.get(by.figure, "") != "":
        return ""
    return check.reason or f"{by.figure}: not known of this tree"


def _why_no_check(result: CellResult | None) -> str:
    reason = result.reason if result else ""
    return reason or "the cell has no result"


def _obstacle(check: CheckResult) -> str:
    """Return the reason why a check decides nothing on its cell; empty where it examined all of it."""
    unexamined = next((finding.key for finding in check.findings if finding.kind in NO_EVIDENCE), "")
    if check.skipped or unexamined or not check.examined:
        return check.reason or f"not shown: {unexamined}"
    return ""


def _refuting(check: CheckResult, by: DecidedBy, figure: str) -> list[str]:
    """Return the keys of the findings that refute a claim, and the figure that does."""
    refuting = [finding.key for finding in check.findings if _refutes(finding, by)]
    if by.figure_is and figure != by.figure_is:
        refuting.append(f"{by.figure}: {figure or 'unknown'}")
    return refuting


def _refutes(finding: Finding, by: DecidedBy) -> bool:
    if finding.is_gone_entry:  # a fault of the list of known failures, and none of the tree
        return False
    return matches_any(finding.key, by.refuted_by)


def undecided_cells(
    claims: Iterable[Claim], trees: Sequence[str], results: Mapping[CellId, CellResult]
) -> tuple[CellId, ...]:
    """Return the cells that decide claims and have no result, or an ERROR."""
    ids = [place.on(tree) for place in places(claims) for tree in trees]
    return tuple(cell_id for cell_id in ids if not is_decided(results.get(cell_id)))


def exit_status(rows: Iterable[ClaimRow], undecided: Sequence[CellId]) -> ExitStatus:
    """Return the program's exit status: OK where the tree refutes no claim and confirms one.

    INFRASTRUCTURE where cells that decide claims are `undecided`.
    """
    if undecided:
        return ExitStatus.INFRASTRUCTURE
    # Undecided claims alone prove nothing, so they are not OK.
    answers = {row.tree.answer for row in rows} - {Answer.UNDECIDED}
    return ExitStatus.OK if answers == {Answer.CONFIRMED} else ExitStatus.CELLS_FAILED
