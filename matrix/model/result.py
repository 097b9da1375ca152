"""Results: the verdicts and findings on a cell, and the facts of its run that are kept with them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeGuard

from pydantic import Field

from matrix.model.base import Frozen, Name
from matrix.model.cell import Cell, Limits
from matrix.model.cell_id import CellId

if TYPE_CHECKING:
    from collections.abc import Sequence


KNOWN_FAILURE_GONE = "known-failure-gone"
"""The kind of the finding on an entry of known-failures.yaml whose failure no longer occurs."""

STEP_FAILED = "step-failed"
"""The kind of the finding of a check that owns a failed step: nothing after that step was examined."""


LIMIT_EXCEEDED = "limit-exceeded"
"""The kind of the finding on a cell of which not everything could be judged: a hostile tree may make any facts."""

TOO_MANY = "too-many-findings"
"""The kind of the finding on a check with more findings than are kept."""

DIFFERS_FROM_EARLIER = "differs-from-earlier"
"""The kind of the finding on a cell that has another outcome than an earlier one of the same key."""


class Verdict(StrEnum):
    """The judgement on a check or a cell, worst last."""

    SKIP = "SKIP"
    PASS = "PASS"  # noqa: S105 - no password
    XFAIL = "XFAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    FAIL = "FAIL"

    @property
    def fails(self) -> bool:
        """Whether a report lists the verdict as a failure: FAIL, and INCONCLUSIVE, which is no pass."""
        return self in (Verdict.FAIL, Verdict.INCONCLUSIVE)


class RequirementVerdict(NamedTuple):
    """The judgement on a requirement on times, and the sentence with the figures that it follows from."""

    verdict: Verdict
    why: str


class Finding(Frozen):
    """One fact of a cell that differs from what a check expects; `known` is the reason why it is no new failure."""

    kind: Name
    subject: str
    expected: str
    actual: str
    evidence: str = ""
    where: str = ""
    known: str = ""

    @property
    def key(self) -> str:
        """The key of the finding, `KIND:SUBJECT`, which the globs of known-failures.yaml match."""
        return f"{self.kind}:{self.subject}"

    @property
    def is_gone_entry(self) -> bool:
        """Whether the finding is on an entry of known-failures.yaml, not on the tree: the failure no longer occurs."""
        return self.kind == KNOWN_FAILURE_GONE


class CheckResult(Frozen):
    """The result of one check in one cell; `figures` are counts and sizes worth reporting whatever the verdict."""

    check: Name
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    examined: int = 0
    figures: dict[str, int | float | str] = Field(default_factory=dict)

    @property
    def skipped(self) -> bool:
        """Whether the check did not apply, or its steps were not run."""
        return self.verdict == Verdict.SKIP

    @property
    def stopped(self) -> bool:
        """Whether the cell ended there: a step failed that the check owns, or the facts exceeded a limit."""
        return any(finding.kind in (STEP_FAILED, LIMIT_EXCEEDED) for finding in self.findings)

    @property
    def is_cut(self) -> bool:
        """Whether it has more findings than are kept."""
        return any(finding.kind == TOO_MANY for finding in self.findings)

    @property
    def examined_nothing(self) -> bool:
        """Whether the check failed because it found nothing to examine."""
        return self.verdict == Verdict.FAIL and not self.findings

    @property
    def finding_keys(self) -> frozenset[str]:
        """The keys of all its findings."""
        return frozenset(finding.key for finding in self.findings)

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """The findings that no known failure explains."""
        return tuple(finding for finding in self.findings if not finding.known)

    @property
    def known_findings(self) -> tuple[Finding, ...]:
        """The findings that a known failure explains."""
        return tuple(finding for finding in self.findings if finding.known)


class StepResult(Frozen):
    """The result of one step of a cell; times are seconds, `rss_bytes` is the largest single process."""

    name: Name
    command: str
    verdict: Verdict
    reason: str = ""
    exit_status: int | None = None
    wall_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    rss_bytes: int = 0
    processes: int | None = None
    files_changed: int = 0
    log: str = ""


class ImageIdentity(Frozen):
    """The exact image of a result: its content digest, the origin of its base, and its packages with their versions."""

    name: str
    tag: str
    digest: str
    base: str
    packages: dict[str, str] = Field(default_factory=dict)


class TreeIdentity(Frozen):
    """The exact tree of a result: `sha256` is the hash of its content."""

    name: str
    source: str
    sha256: str
    version: str
    origin: str


class Predecessor(Frozen):
    """The kept build that a build continued from: that of tree `tree`; the two trees differ in the files `touched`."""

    tree: str
    touched: tuple[str, ...]


class Reused(Frozen):
    """The origin of a result that was not built for its run: `run` built it, for its cell `cell`.

    `judged_again` says that the run judged the transcript itself, by other known failures or for another tree's name.
    """

    run: str
    cell: CellId
    judged_again: bool = False


class CellResult(Frozen):
    """All facts of one cell that a run keeps: `definition` and `jobs` are what was to be done, the rest is its outcome.

    `gone_on` is the kept build that the cell's build continued from, if any; `from_scratch` is the reason why it was
    built from scratch although there was a kept build. `key` is a hash of all that the result depends on, and
    `transcript_key` one of all that its transcript depends on (see verdicts/result_key.py); both are empty where they
    cannot be known. `saved_s` is the CPU time, in seconds, of a kept build that another cell had built and this one
    continued from. `wall_s` is the cell's time without the `waited_s` in which it waited for memory. `reused` is the
    origin of a result that an earlier run built; `compared_with` is the run with an earlier result of the same key,
    which a built one was compared with.
    """

    # Another format gets another number, so that a file of an older version is refused with words on it.
    schema_version: Literal[1] = 1
    id: CellId
    run: str
    tool_version: str
    verdict: Verdict
    reason: str = ""
    definition: Cell | None = None
    jobs: int = 0
    gone_on: Predecessor | None = None
    from_scratch: str = ""
    saved_s: float = 0.0
    key: str = ""
    transcript_key: str = ""
    reused: Reused | None = None
    compared_with: str = ""
    image: ImageIdentity | None = None
    tree: TreeIdentity | None = None
    make: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    out_of_tree: bool = False
    program_sha256: str = ""
    host: dict[str, str] = Field(default_factory=dict)
    limits: Limits = Limits()
    started: str = ""
    wall_s: float = 0.0
    waited_s: float = 0.0
    steps: tuple[StepResult, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    reproduce: str = ""

    @property
    def took_s(self) -> float:
        """The seconds that the cell took of its run: none for a result that an earlier run built."""
        return 0.0 if self.reused else self.wall_s

    @property
    def cpu_s(self) -> float:
        """The CPU time of the commands of all its steps, in seconds."""
        return sum(step.user_s + step.system_s for step in self.steps)

    @property
    def continued_from(self) -> str:
        """The name of the tree whose kept build this one continued from; empty for a build from scratch."""
        return self.gone_on.tree if self.gone_on else ""

    @property
    def applied_checks(self) -> list[CheckResult]:
        """The checks that were not skipped."""
        return [check for check in self.checks if not check.skipped]

    @property
    def failed_checks(self) -> list[CheckResult]:
        """The checks that a report lists as failures: those that fail and those that cannot decide."""
        return [check for check in self.checks if check.verdict.fails]

    def check(self, name: str) -> CheckResult | None:
        """Return the result of the check of this name, if it is among the cell's."""
        return next((check for check in self.checks if check.check == name), None)

    def step(self, name: str) -> StepResult | None:
        """Return the result of the step of this name, if it is among the cell's."""
        return next((step for step in self.steps if step.name == name), None)


def is_decided(result: CellResult | None) -> TypeGuard[CellResult]:
    """Return whether a cell has a result that is no ERROR, which would say nothing about its tree."""
    return result is not None and result.verdict != Verdict.ERROR


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of `verdicts`, in the order of their definition; no verdict at all is an ERROR, never a pass.

    SKIP ranks below PASS: a check that does not apply takes nothing from the checks that passed.
    """
    order = list(Verdict)
    return max(verdicts, key=order.index) if verdicts else Verdict.ERROR
