"""Known failures: findings that are shown to be a tree's own fault."""

from __future__ import annotations

from pydantic import Field

from matrix.model.base import Frozen, Name


class KnownFailure(Frozen):
    """One entry of known-failures.yaml: findings of one check that are shown to be the tree's own fault.

    Each of `trees` is a glob over tree names, or the beginning of a kernel version, so that a branch on top of it is
    meant too.
    Each of `findings` is a glob over finding keys (`KIND:SUBJECT`); `cells` are globs too. What is
    `intermittent` was seen to come and go with nothing changed, so its absence proves nothing.
    """

    trees: tuple[str, ...] = Field(min_length=1)
    cells: tuple[str, ...] = Field(min_length=1)
    check: Name
    findings: tuple[str, ...] = Field(min_length=1)
    why: str = Field(min_length=1)
    evidence: str = Field(min_length=1)
    intermittent: bool = False
