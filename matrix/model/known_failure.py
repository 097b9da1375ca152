"""Known failures: findings that are shown to be the fault of the tree itself."""

from __future__ import annotations

from pydantic import Field

from matrix.model.base import Frozen, Name


class KnownFailure(Frozen):
    """One entry of known-failures.yaml: findings of one check that are shown to be the fault of the tree itself.

    Each of `trees` is a glob over tree names, or the beginning of a kernel version, so that the entry applies to
    branches on top of that version too. Each of `findings` is a glob over finding keys (`KIND:SUBJECT`), each of
    `cells` one over cell ids. An `intermittent` failure was seen to come and go with nothing changed: its absence
    proves nothing.
    """

    trees: tuple[str, ...] = Field(min_length=1)
    cells: tuple[str, ...] = Field(min_length=1)
    check: Name
    findings: tuple[str, ...] = Field(min_length=1)
    why: str = Field(min_length=1)
    evidence: str = Field(min_length=1)
    intermittent: bool = False

    @property
    def required_findings(self) -> tuple[str, ...]:
        """The globs that must each match a finding, as else the failure is gone; none for an intermittent failure."""
        return () if self.intermittent else self.findings
