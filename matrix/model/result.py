"""What is said of a cell: verdicts, findings, and what is kept of a run."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from matrix.model.base import Frozen, Name
from matrix.model.cell import Cell, Limits
from matrix.model.cell_id import CellId

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(StrEnum):
    """What a check or a cell came to, worst last."""

    SKIP = "SKIP"
    PASS = "PASS"  # noqa: S105 - no password
    XFAIL = "XFAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    FAIL = "FAIL"


class Finding(Frozen):
    """One thing that is not as it must be."""

    kind: Name
    subject: str
    expected: str
    actual: str
    evidence: str = ""
    where: str = ""
    known: str = ""

    @property
    def key(self) -> str:
        """What known-failures.yaml matches: `KIND:SUBJECT`."""
        return f"{self.kind}:{self.subject}"


class CheckResult(Frozen):
    """What one check said of one cell; `figures` are counts and sizes worth reporting whatever the verdict."""

    check: Name
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    examined: int = 0
    figures: dict[str, int | float | str] = Field(default_factory=dict)


class StepResult(Frozen):
    """What one step of a cell came to; times are seconds, `rss_bytes` is the largest single process."""

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
    """Which image a result came from, exactly: content digest, how the base was got, packages inside."""

    name: str
    tag: str
    digest: str
    base: str
    packages: dict[str, str] = Field(default_factory=dict)


class TreeIdentity(Frozen):
    """Which tree a result came from, exactly."""

    name: str
    source: str
    sha256: str
    version: str
    origin: str


class Predecessor(Frozen):
    """What a build went on with: that of the tree `tree`, beside which the files `touched` are others."""

    tree: str
    touched: tuple[str, ...]


class CellResult(Frozen):
    """Everything that is kept of one cell: `definition` and `jobs` are what to do, the rest what it came to.

    `gone_on` is the build that this one went on with, where it is none from scratch; `from_scratch` says why it is,
    where it was to go on with one.
    """

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
    steps: tuple[StepResult, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    reproduce: str = ""


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of `verdicts`; no verdict at all is an ERROR, never a pass.

    SKIP ranks below PASS: a check that does not apply takes nothing from those that passed.
    """
    order = list(Verdict)
    return max(verdicts, key=order.index) if verdicts else Verdict.ERROR
