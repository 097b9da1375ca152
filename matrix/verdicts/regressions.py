"""Holds a tree's results against those of its base: what it breaks, what was broken already, what it mends. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.model.base import Frozen
from matrix.model.cell_id import CellId, Place
from matrix.model.result import CellResult, CheckResult, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

GONE = "known-failure-gone"
THE_CELL = "the cell"


class CheckFinding(Frozen):
    """A finding and the check that it is of."""

    check: str
    finding: Finding


class CellComparison(Frozen):
    """A cell (`IMAGE/TOOLCHAIN/BUILD`) on a tree beside the same on the base.

    `unseen` is what the base could not show, because it did not come so far; `examined` counts the tree's checks that
    came to something. `on` is the tree whose build this one went on with, if any. Where the infrastructure failed
    nothing can be said, and `undecided` is why.
    """

    cell: Place
    tree: str
    broken: tuple[CheckFinding, ...] = ()
    already: tuple[CheckFinding, ...] = ()
    mended: tuple[CheckFinding, ...] = ()
    unseen: tuple[CheckFinding, ...] = ()
    examined: int = 0
    on: str = ""
    undecided: str = ""

    @property
    def id(self) -> CellId:
        """The id of the tree's cell."""
        return self.cell.on(self.tree)


class Gate(Frozen):
    """What a gate comes to, or a series; `required` maps each requirement on time to its verdict and why.

    The trees of a series are each a head of their own: `subjects` says what the patch is that leads to it.
    """

    base: str
    head: str
    held: tuple[CellComparison, ...]
    required: dict[str, tuple[Verdict, str]] = Field(default_factory=dict)
    subjects: dict[str, str] = Field(default_factory=dict)

    def name(self, held: CellComparison) -> str:
        """Return what is held against the base: a cell, and of which patch."""
        subject = self.subjects.get(held.tree)
        return held.cell if subject is None else f"{held.id} ({subject})"

    @property
    def verdict(self) -> Verdict:
        """FAIL for what the head breaks, ERROR where something was left open or nothing was looked at, else PASS."""
        times = {verdict for verdict, _ in self.required.values()}
        if any(held.broken for held in self.held) or Verdict.FAIL in times:
            return Verdict.FAIL
        nothing = not any(held.examined for held in self.held)
        if nothing or any(held.undecided for held in self.held) or Verdict.ERROR in times:
            return Verdict.ERROR
        return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in times else Verdict.PASS


def against(
    results: Iterable[CellResult], wanted: Sequence[CellId], base: str, head: str
) -> tuple[CellComparison, ...]:
    """Return each cell of `head` held against that of `base`; `wanted` are the cells that there were to be."""
    by_id = {result.id: result for result in results}
    places = dict.fromkeys(cell_id.place for cell_id in wanted if cell_id.tree == head)
    return tuple(hold(place, head, by_id.get(place.on(base)), by_id.get(place.on(head))) for place in places)


def hold(place: Place, tree: str, base: CellResult | None, head: CellResult | None) -> CellComparison:
    """Return what a cell of a tree breaks and mends."""
    for name, result in (("base", base), (tree, head)):
        if result is None or result.verdict == Verdict.ERROR:
            why = result.reason if result else "it has no result"
            return CellComparison(cell=place, tree=tree, undecided=f"{name}: {why}")
    assert base is not None
    assert head is not None
    if head.verdict == Verdict.SKIP and base.verdict != Verdict.SKIP:
        lost = _lost(THE_CELL, head.reason)
        return CellComparison(cell=place, tree=tree, broken=(CheckFinding(check="build", finding=lost),))
    before = {check.check: check for check in base.checks}
    sorts: dict[str, list[CheckFinding]] = {"broken": [], "already": [], "mended": [], "unseen": []}
    stopped = any(_stopped(check) for check in head.checks)
    for check in head.checks:
        for sort, finding in _sorted(before.get(check.check), check, stopped=stopped):
            sorts[sort].append(CheckFinding(check=check.check, finding=finding))
    examined = sum(check.verdict != Verdict.SKIP and not _stopped(check) for check in head.checks)
    found = {sort: tuple(said) for sort, said in sorts.items()}
    on = head.gone_on.tree if head.gone_on else ""
    return CellComparison.model_validate({"cell": place, "tree": tree, "examined": examined, "on": on, **found})


def _stopped(check: CheckResult) -> bool:
    return any(finding.kind == "step-failed" for finding in check.findings)


def _sorted(base: CheckResult | None, head: CheckResult, *, stopped: bool) -> Iterator[tuple[str, Finding]]:
    """Yield a check's findings, on either tree, with what each is of the head's doing."""
    if head.verdict == Verdict.SKIP:
        if base is not None and base.verdict != Verdict.SKIP and not stopped:
            yield "broken", _lost(f"check {head.check}", head.reason)
        return
    then = _findings(base) if base else {}
    now = _findings(head)
    seen = base is not None and base.verdict != Verdict.SKIP
    returned = [finding.subject for finding in base.findings if finding.kind == GONE] if base else []
    for key, finding in now.items():
        if key in then or (finding.known and not _any(key, returned)):
            yield "already", finding
        else:
            yield ("broken" if seen else "unseen"), finding
    if head.verdict == Verdict.FAIL and not head.findings:
        nothing = Finding(kind="examined-nothing", subject=head.check, expected="evidence", actual=head.reason)
        yield ("already" if base and base.verdict == Verdict.FAIL and not base.findings else "broken"), nothing
    gone = [finding.subject for finding in head.findings if finding.kind == GONE]
    for key, finding in then.items():
        if key not in now and (not finding.known or _any(key, gone)):
            yield "mended", finding


def _findings(check: CheckResult) -> Mapping[str, Finding]:
    return {finding.key: finding for finding in check.findings if finding.kind != GONE}


def _any(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _lost(what: str, reason: str) -> Finding:
    return Finding(kind="lost", subject=what, expected="it is examined, as on the base", actual=f"skipped: {reason}")
