"""Claims: statements of a series about itself, and the check or measure that decides each."""

from __future__ import annotations

from pydantic import Field, model_validator

from matrix.model.base import Frozen, Name
from matrix.model.cell_id import Place


class DecidedBy(Frozen):
    """The check, and the place (IMAGE/TOOLCHAIN/BUILD), by which a claim is decided.

    A finding whose key matches one of the globs `refuted_by` refutes the claim. With `figure_is`, the check's figure
    of the name `figure` must be equal to it; with `saves`, the figure must be at least that much less than on the base.
    """

    check: Name
    cell: Place
    refuted_by: tuple[str, ...] = ()
    figure: str = ""
    figure_is: str = ""
    saves: int = Field(default=0, ge=0)

    @property
    def has_bound(self) -> bool:
        """Whether the claim depends on the value of a figure of the check."""
        return bool(self.figure_is or self.saves)

    @model_validator(mode="after")
    def _can_be_refuted(self) -> DecidedBy:
        if self.has_bound and not self.figure:
            raise ValueError("figure is needed: figure_is and saves are about its value")
        if not (self.refuted_by or self.has_bound):
            raise ValueError("refuted_by, or figure with figure_is or saves, is needed")
        return self


class MeasuredBy(Frozen):
    """The measure of `perf-matrix compare`, and the place, by which a claim about time is decided.

    The ratio of the tree's time to the base's must not exceed `at_most`.
    """

    measure: Name
    cell: Place
    at_most: float = Field(gt=0)


class Claim(Frozen):
    """A statement of a series about itself, from `configs/claims/NAME.yaml`; `patch` 0 is the whole series.

    A claim with `undecided` (the reason) has no answer, even where `decided_by` or `measured_by` gives a figure.
    """

    name: Name
    summary: str
    patch: int = 0
    decided_by: DecidedBy | None = None
    measured_by: MeasuredBy | None = None
    undecided: str = ""

    @property
    def deciders(self) -> int:
        """The number of `decided_by` and `measured_by` that are given."""
        return bool(self.decided_by) + bool(self.measured_by)

    @model_validator(mode="after")
    def _one_of_them(self) -> Claim:
        # A claim without an answer may have a figure all the same, which the report shows.
        fewest_deciders = 0 if self.undecided else 1
        if not fewest_deciders <= self.deciders <= 1:
            raise ValueError("one of decided_by, measured_by and undecided is needed")
        return self
