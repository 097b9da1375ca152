"""Claims: what a series says of itself, and what decides it."""

from __future__ import annotations

from pydantic import Field, model_validator

from matrix.model.base import Frozen, Name
from matrix.model.cell_id import Place


class DecidedBy(Frozen):
    """What decides a claim: a check in a cell (IMAGE/TOOLCHAIN/BUILD), by findings (globs over keys) that refute it.

    Where `figure_is` says something, the check's `figure` must be that, too; where it `saves` something, that much less
    than on the base.
    """

    check: Name
    cell: Place
    refuted_by: tuple[str, ...] = ()
    figure: str = ""
    figure_is: str = ""
    saves: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _can_be_refuted(self) -> DecidedBy:
        if not (self.refuted_by or (self.figure and (self.figure_is or self.saves))):
            raise ValueError("refuted_by, or figure with figure_is or saves, is needed")
        return self


class MeasuredBy(Frozen):
    """What decides a claim about time: a measure of `perf-matrix compare` in a cell (IMAGE/TOOLCHAIN/BUILD).

    The ratio of the tree's time to the base's must be `at_most` this.
    """

    measure: Name
    cell: Place
    at_most: float = Field(gt=0)


class Claim(Frozen):
    """Something that a series says of itself, from `configs/claims/NAME.yaml`; `patch` 0 is the whole series.

    What is `undecided` (the reason) has no answer, even where `decided_by` or `measured_by` gives a figure.
    """

    name: Name
    summary: str
    patch: int = 0
    decided_by: DecidedBy | None = None
    measured_by: MeasuredBy | None = None
    undecided: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> Claim:
        if (self.decided_by and self.measured_by) or not (self.decided_by or self.measured_by or self.undecided):
            raise ValueError("one of decided_by, measured_by and undecided is needed")
        return self
