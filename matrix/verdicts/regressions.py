"""Regressions: the findings that a tree has and its base has not, and the other way round, cell by cell. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.model.base import Frozen, Name
from matrix.model.cell_id import CellId, Place
from matrix.model.globs import matches_any
from matrix.model.result import CellResult, CheckResult, Finding, RequirementVerdict, Verdict, is_decided, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOST_CELL = "the cell"
"""The subject of the finding that a cell cannot be built at all any more."""


class _Blame(StrEnum):
    """The field of CellComparison that a finding belongs to."""

    BROKEN = "broken"
    ALREADY = "already"
    MENDED = "mended"
    UNSEEN = "unseen"


class CheckFinding(Frozen):
    """A finding and the name of the check that has it."""

    check: Name
    finding: Finding

    @property
    def key(self) -> str:
        """`CHECK KIND:SUBJECT`, as reports name a finding in one line."""
        return f"{self.check} {self.finding.key}"


class CellComparison(Frozen):
    """A cell on a tree, compared with the cell at the same place (`cell`) on the base.

    `broken` are the findings that the tree is to blame for, `already` those that the base has too, or that are known,
    `mended` those of the base alone. `unseen` are findings of checks that could not examine the base, for which nobody
    is blamed. `examined` counts the tree's checks that examined something. `on` is the tree whose kept build the cell's
    build continued from, if any. An `undecided` cell (the reason) was not compared, as the infrastructure failed.
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

    @property
    def verdict(self) -> Verdict:
        """FAIL where the tree is to blame for a finding, ERROR where the cell is undecided, else PASS."""
        if self.broken:
            return Verdict.FAIL
        return Verdict.ERROR if self.undecided else Verdict.PASS

    @property
    def is_stopped_on_both(self) -> bool:
        """Whether no check could examine the cell, as a step fails on the base, too: the causes may differ."""
        return bool(self.already) and not (self.examined or self.broken or self.undecided)

    @property
    def broken_keys(self) -> tuple[str, ...]:
        """The keys of the findings that the tree is to blame for."""
        return tuple(each.key for each in self.broken)

    @property
    def mended_keys(self) -> tuple[str, ...]:
        """The keys of the findings of the base alone."""
        return tuple(each.key for each in self.mended)

    @property
    def lost_cell(self) -> Finding | None:
        """The finding that the cell as a whole is skipped on the tree alone, if it is."""
        findings = [broken.finding for broken in self.broken]
        return next((finding for finding in findings if finding.subject == LOST_CELL), None)

    def broken_by(self, check: str) -> list[Finding]:
        """Return the findings of one check that the tree is to blame for."""
        return [broken.finding for broken in self.broken if broken.check == check]


class Gate(Frozen):
    """The comparison of a head, or of the trees of a series, with a base; `required` maps requirements on times.

    `held` has a comparison for each cell. Each tree of a series is a head of its own: `subjects` maps the names of
    these trees to the subjects of their patches.
    """

    base: str
    head: str
    held: tuple[CellComparison, ...]
    required: dict[str, RequirementVerdict] = Field(default_factory=dict)
    subjects: dict[str, str] = Field(default_factory=dict)

    def name(self, comparison: CellComparison) -> str:
        """Return the name of a compared cell: its place and, in a series, its tree and the subject of its patch."""
        subject = self.subjects.get(comparison.tree)
        return comparison.cell if subject is None else f"{comparison.id} ({subject})"

    def comparison(self, cell_id: str) -> CellComparison | None:
        """Return the comparison of the cell of this id on a head, if there is one."""
        return next((comparison for comparison in self.held if comparison.id == cell_id), None)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the cells and of the requirements; an ERROR where no check examined anything."""
        cells = [comparison.verdict for comparison in self.held]
        requirements = [required.verdict for required in self.required.values()]
        lack_of_evidence = [] if self.has_evidence else [Verdict.ERROR]
        return worst([*cells, *requirements, *lack_of_evidence])

    @property
    def has_evidence(self) -> bool:
        """Whether a check examined something in a cell of a head."""
        return any(comparison.examined for comparison in self.held)


def compare_trees(
    results: Iterable[CellResult], wanted: Sequence[CellId], base: str, head: str
) -> tuple[CellComparison, ...]:
    """Return the comparison of each of the `wanted` cells of tree `head` with the one at the same place on `base`."""
    by_id = {result.id: result for result in results}
    places = dict.fromkeys(cell_id.place for cell_id in wanted if cell_id.tree == head)
    return tuple(compare_cell(place, head, by_id.get(place.on(base)), by_id.get(place.on(head))) for place in places)


def compare_cell(place: Place, tree: str, base: CellResult | None, head: CellResult | None) -> CellComparison:
    """Return the comparison of a cell of `tree`, whose result is `head`, with that of the base."""
    if not is_decided(base):  # an ERROR of either is nobody's regression
        return CellComparison(cell=place, tree=tree, undecided=f"base: {_why_undecided(base)}")
    if not is_decided(head):
        return CellComparison(cell=place, tree=tree, undecided=f"{tree}: {_why_undecided(head)}")
    cut = next((check.check for check in base.checks if check.is_cut), "")
    if cut:  # a finding of the head could be one that the base had, too
        why = f"base: check {cut} has more findings than are kept, so that none can be told to be new"
        return CellComparison(cell=place, tree=tree, undecided=why)
    if _is_lost(base, head):
        lost = CheckFinding(check="build", finding=_lost(LOST_CELL, head.reason))
        return CellComparison(cell=place, tree=tree, broken=(lost,))
    return _compare_checks(place, tree, base, head)


def _is_lost(base: CellResult, head: CellResult) -> bool:
    """Return whether a cell as a whole is skipped on the head alone."""
    return head.verdict == Verdict.SKIP and base.verdict != Verdict.SKIP


def _why_undecided(result: CellResult | None) -> str:
    return result.reason if result else "it has no result"


def _compare_checks(place: Place, tree: str, base: CellResult, head: CellResult) -> CellComparison:
    """Return the comparison of two cells of which both were examined."""
    found: dict[_Blame, list[CheckFinding]] = {blame: [] for blame in _Blame}
    head_stopped = any(check.stopped for check in head.checks)
    for check in head.checks:
        for blame, finding in _compare_check(base.check(check.check), check, head_stopped=head_stopped):
            found[blame].append(CheckFinding(check=check.check, finding=finding))
    return CellComparison(
        cell=place,
        tree=tree,
        broken=tuple(found[_Blame.BROKEN]),
        already=tuple(found[_Blame.ALREADY]),
        mended=tuple(found[_Blame.MENDED]),
        unseen=tuple(found[_Blame.UNSEEN]),
        examined=sum(_has_examined(check) for check in head.checks),
        on=head.continued_from,
    )


def _has_examined(check: CheckResult) -> bool:
    return not check.skipped and not check.stopped


def _compare_check(
    base: CheckResult | None, head: CheckResult, *, head_stopped: bool
) -> Iterable[tuple[_Blame, Finding]]:
    """Return the findings of a check on either tree, each with its blame.

    `head_stopped` says that the head's build stopped at a failed step: this step is to blame for skipped checks then.
    """
    if not head.skipped:
        return _compare_applied_check(base, head)
    # A step that failed has a finding of its own; each check behind it would only repeat that.
    is_lost = _has_applied(base) and not head_stopped
    return [(_Blame.BROKEN, _lost(f"check {head.check}", head.reason))] if is_lost else []


def _has_applied(check: CheckResult | None) -> bool:
    return check is not None and not check.skipped


def _compare_applied_check(base: CheckResult | None, head: CheckResult) -> Iterator[tuple[_Blame, Finding]]:
    """Yield the findings of a check that the head did not skip, and those of the base, each with its blame."""
    yield from _head_findings(base, head)
    if head.examined_nothing:
        yield _blame_for_examining_nothing(base), _examined_nothing(head)
    yield from _mended_findings(base, head)


def _head_findings(base: CheckResult | None, head: CheckResult) -> Iterator[tuple[_Blame, Finding]]:
    """Yield the findings of the head, each with its blame."""
    on_base = _keys(base)
    mended_on_base = _gone_patterns(base)
    new = _blame_for_new_finding(base)
    for finding in _tree_findings(head):
        # A known failure that comes and goes may be on the head alone by chance; one whose entry is gone on the base,
        # as its cause is not there, may not.
        is_old = finding.key in on_base or _is_known(finding, mended_on_base)
        yield (_Blame.ALREADY if is_old else new), finding


def _is_known(finding: Finding, gone: Iterable[str]) -> bool:
    """Return whether a known failure explains a finding; `gone` are globs of known failures that no longer occur."""
    return bool(finding.known) and not matches_any(finding.key, gone)


def _mended_findings(base: CheckResult | None, head: CheckResult) -> Iterator[tuple[_Blame, Finding]]:
    """Yield the findings that the base has and the head has not.

    A known failure that only did not occur this time is not mended: its entry must be gone. Nothing is mended that was
    not examined.
    """
    if head.stopped:
        return
    on_head = _keys(head)
    gone_on_head = _gone_patterns(head)
    of_base_alone = [finding for finding in _tree_findings(base) if finding.key not in on_head]
    yield from ((_Blame.MENDED, finding) for finding in of_base_alone if not _is_known(finding, gone_on_head))


def _blame_for_new_finding(base: CheckResult | None) -> _Blame:
    return _Blame.BROKEN if _has_applied(base) else _Blame.UNSEEN


def _blame_for_examining_nothing(base: CheckResult | None) -> _Blame:
    return _Blame.ALREADY if base and base.examined_nothing else _Blame.BROKEN


def _tree_findings(check: CheckResult | None) -> Iterable[Finding]:
    """Return the findings of a check that are the tree's, one for each key: not those on entries of the list."""
    findings = check.findings if check else ()
    # Findings are compared by their keys: figures in their texts vary from run to run.
    return {finding.key: finding for finding in findings if not finding.is_gone_entry}.values()


def _keys(check: CheckResult | None) -> set[str]:
    return {finding.key for finding in _tree_findings(check)}


def _gone_patterns(check: CheckResult | None) -> list[str]:
    """Return the globs over finding keys of the known failures that no longer occur."""
    findings = check.findings if check else ()
    return [finding.subject for finding in findings if finding.is_gone_entry]


def _lost(subject: str, reason: str) -> Finding:
    """Return the finding that a cell or check examined something on the base alone."""
    return Finding(kind="lost", subject=subject, expected="it is examined, as on the base", actual=f"skipped: {reason}")


def _examined_nothing(check: CheckResult) -> Finding:
    return Finding(kind="examined-nothing", subject=check.check, expected="evidence", actual=check.reason)
