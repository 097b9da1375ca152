"""Claims about a series, each decided by a check's findings or said to be undecided, and why. Pure."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix.errors import ExitStatus
from matrix.model.base import Frozen
from matrix.model.result import Verdict
from matrix.verdicts.requirement import Requirement, verdict_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId, Place
    from matrix.model.claim import Claim, DecidedBy
    from matrix.model.result import CellResult, Finding
    from matrix.verdicts.comparison import ComparisonRun


NO_EVIDENCE = ("step-failed", "unreadable", "no-symbol", "runs")
"""Kinds of findings that say that something could not be looked at."""


class Answer(StrEnum):
    """What a tree says to a claim."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


_ANSWERS = {
    Verdict.PASS: Answer.CONFIRMED,
    Verdict.FAIL: Answer.REFUTED,
    Verdict.INCONCLUSIVE: Answer.UNDECIDED,
}


class Decision(Frozen):
    """A claim on one tree: `figure` is the check's number that goes with it, `why` the finding or the reason."""

    answer: Answer
    figure: str = ""
    why: str = ""


class ClaimRow(Frozen):
    """A claim, what decides it, and what the tree and the base say to it."""

    claim: str
    patch: int
    summary: str
    decided_by: str
    tree: Decision
    base: Decision

    @property
    def same(self) -> bool:
        """Whether the two were given the same answer, so that it says nothing of the series."""
        return self.tree.answer == self.base.answer != Answer.UNDECIDED


def places(claims: Iterable[Claim]) -> tuple[Place, ...]:
    """Return the cells (IMAGE/TOOLCHAIN/BUILD) that claims are decided in."""
    return tuple(sorted({claim.decided_by.cell for claim in claims if claim.decided_by}))


def check_names(claims: Iterable[Claim]) -> tuple[str, ...]:
    """Return the checks that claims are decided by."""
    return tuple(sorted({claim.decided_by.check for claim in claims if claim.decided_by}))


def rows(
    claims: Iterable[Claim],
    tree: str,
    base: str,
    results: Mapping[CellId, CellResult],
    timed: Iterable[ComparisonRun] = (),
) -> tuple[ClaimRow, ...]:
    """Return what each claim came to, those of the series' patches first and in their order.

    `timed` are sessions of `perf-matrix compare`, the newest first.
    """
    sessions = tuple(timed)
    ordered = sorted(claims, key=lambda claim: (not claim.patch, claim.patch, claim.name))
    return tuple(
        ClaimRow(
            claim=claim.name,
            patch=claim.patch,
            summary=claim.summary,
            decided_by=_decided_by(claim),
            tree=_timed(claim, tree, base, sessions, results) or decide(claim, tree, results, base),
            base=_of_base(claim) or decide(claim, base, results),
        )
        for claim in ordered
    )


def _decided_by(claim: Claim) -> str:
    if claim.measured_by:
        return f"compare --measure {claim.measured_by.measure} in {claim.measured_by.cell}"
    return f"{claim.decided_by.check} in {claim.decided_by.cell}" if claim.decided_by else ""


def _of_base(claim: Claim) -> Decision | None:
    return _held_against(Decision(answer=Answer.UNDECIDED)) if claim.measured_by else None


def _same_sources(session: ComparisonRun, results: Mapping[CellId, CellResult]) -> bool:
    """Return whether no result says that one of a session's trees has other sources by now."""
    now = {result.tree.name: result.tree.sha256 for result in results.values() if result.tree}
    trees = (session.base.tree, session.head.tree)
    return all(now.get(tree.name, tree.sha256) == tree.sha256 for tree in trees)


def _timed(
    claim: Claim, tree: str, base: str, sessions: Sequence[ComparisonRun], results: Mapping[CellId, CellResult]
) -> Decision | None:
    """Return the answer to a claim about time by the newest session that measured it of these two trees."""
    by = claim.measured_by
    if by is None:
        return None
    for session in sessions:
        names = session.place, session.base.tree.name, session.head.tree.name
        found = next((one.comparison for one in session.measured if one.comparison.measure == by.measure), None)
        if names == (by.cell, base, tree) and found and _same_sources(session, results):
            verdict, why = verdict_on(Requirement(measure=by.measure, at_most=by.at_most), found)
            figure = f"{found.base_s:.2f} s to {found.head_s:.2f} s"
            if claim.undecided:
                return Decision(answer=Answer.UNDECIDED, figure=figure, why=f"{claim.undecided}; {why}")
            return Decision(answer=_ANSWERS[verdict], figure=figure, why=f"{why}, {session.started}")
    image, toolchain, build = by.cell.split("/")
    command = f"perf-matrix compare {base} {tree} --image {image} --toolchain {toolchain} --build {build}"
    why = f"not measured here; `{command} --measure {by.measure}` does"
    return Decision(answer=Answer.UNDECIDED, why=f"{claim.undecided}; {why}" if claim.undecided else why)


def decide(claim: Claim, tree: str, results: Mapping[CellId, CellResult], base: str = "") -> Decision:
    """Return what a tree says to a claim: a finding refutes it whether it is known or not.

    What a claim `saves` is told only of a tree that has a base.
    """
    by = claim.decided_by
    if by is None:
        return Decision(answer=Answer.UNDECIDED, why=claim.undecided)
    decision = _checked(by, results.get(by.cell.on(tree)))
    if claim.undecided:
        return decision.model_copy(update={"answer": Answer.UNDECIDED, "why": claim.undecided})
    if by.saves and decision.answer == Answer.CONFIRMED:
        return _saved(by, decision, _checked(by, results.get(by.cell.on(base)))) if base else _held_against(decision)
    return decision


def _held_against(decision: Decision) -> Decision:
    return decision.model_copy(update={"answer": Answer.UNDECIDED, "why": "what the tree is held against"})


def _saved(by: DecidedBy, tree: Decision, base: Decision) -> Decision:
    """Return the answer to a claim that something is less than on the base by `by.saves`."""
    if not (tree.figure.isdecimal() and base.figure.isdecimal()):
        why = f"{by.figure} is not known of the base: {base.why}" if tree.figure else f"{by.figure} is not known"
        return tree.model_copy(update={"answer": Answer.UNDECIDED, "why": why})
    saved = int(base.figure) - int(tree.figure)
    answer = Answer.CONFIRMED if saved >= by.saves else Answer.REFUTED
    return tree.model_copy(update={"answer": answer, "why": f"{saved} less, {by.saves} are claimed"})


def _checked(by: DecidedBy, result: CellResult | None) -> Decision:
    check = next((check for check in result.checks if check.check == by.check), None) if result else None
    if check is None:
        why = (result.reason if result else "") or "the cell has no result"
        return Decision(answer=Answer.UNDECIDED, why=why)
    figure = str(check.figures.get(by.figure, "")) if by.figure else ""
    if by.figure and not figure and not by.figure_is:
        return Decision(answer=Answer.UNDECIDED, why=check.reason or f"{by.figure}: not known of this tree")
    stopped = next((finding.key for finding in check.findings if finding.kind in NO_EVIDENCE), "")
    if check.verdict == Verdict.SKIP or not check.examined or stopped:
        return Decision(answer=Answer.UNDECIDED, figure=figure, why=check.reason or f"not shown: {stopped}")
    refuting = [finding.key for finding in check.findings if _speaks(finding, by)]
    if by.figure_is and figure != by.figure_is:
        refuting.append(f"{by.figure}: {figure or 'unknown'}")
    if refuting:
        more = f" (+{len(refuting) - 1})" if len(refuting) > 1 else ""
        return Decision(answer=Answer.REFUTED, figure=figure, why=refuting[0] + more)
    return Decision(answer=Answer.CONFIRMED, figure=figure)


def _speaks(finding: Finding, by: DecidedBy) -> bool:
    gone = finding.kind == "known-failure-gone"
    return not gone and any(fnmatchcase(finding.key, glob) for glob in by.refuted_by)


def undone(claims: Iterable[Claim], trees: Sequence[str], results: Mapping[CellId, CellResult]) -> tuple[str, ...]:
    """Return the cells that were to decide something and could not be run."""
    ids = [place.on(tree) for place in places(claims) for tree in trees]
    return tuple(one for one in ids if one not in results or results[one].verdict == Verdict.ERROR)


def exit_status(found: Iterable[ClaimRow], undone: Sequence[str]) -> ExitStatus:
    """Return the process's exit status: 0 where the tree refutes no claim and confirms one, 3 where a cell lacks."""
    if undone:
        return ExitStatus.INFRASTRUCTURE
    answers = {row.tree.answer for row in found}
    holds = Answer.CONFIRMED in answers and Answer.REFUTED not in answers
    return ExitStatus.OK if holds else ExitStatus.CELLS_FAILED
