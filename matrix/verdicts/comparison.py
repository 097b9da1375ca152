"""Comparisons of two trees' times: the measures, the samples, and the nouns of their statistics. Pure."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal

from pydantic import Field

from matrix.model.base import Frozen
from matrix.model.cell import Limits
from matrix.model.result import ImageIdentity, RequirementVerdict, TreeIdentity, Verdict

# What one round measures: the base, the base again (an A/A pair, which shows the noise), and the head.
Arm = Literal["base", "again", "head"]
ARMS: tuple[Arm, ...] = ("base", "again", "head")

MEASURES = {
    "build": "make from scratch",
    "no-op": "make with nothing to do",
    "one-file": "make after one source file was touched",
    "generate": "jevents alone, by the build's own command",
    "tables": "the compilation of the event tables alone, all units at once",
}
"""The measures with their meaning, in the order in which they are taken."""

FEWEST_PAIRS = 6
"""The fewest pairs that can prove anything.

Of five pairs, 2 of 2**5 flips are as extreme as all signs the same: p is 0.0625, and their range covers 94 % only.
"""
MOST_PAIRS = 1000
"""The most pairs that are worth naming: of the build they are days."""

_Z = 1.96 + 0.84  # of the normal distribution: 97.5 % and 80 %


class Difference(StrEnum):
    """The head's time compared with the base's."""

    FASTER = "faster"
    SLOWER = "slower"
    INCONCLUSIVE = "inconclusive"


class Comparison(Frozen):
    """The statistics of one measure; `base_s` and `head_s` are medians in seconds, `pairs` is the number of rounds.

    `ratio` is head by base: exp of the median of the log ratios, with `low` and `high` as its 95 % interval. `aa_ratio`
    is the ratio of the base by itself, and `floor` (1 or more) the distance from 1 that its interval reaches. `low`,
    `high` and `floor` are None below FEWEST_PAIRS, which have no such interval. `p_value` is two-sided. `spread` is the
    robust standard deviation of one log ratio: of the head's or of the A/A pair's, the larger. `pairs_needed` is the
    approximate number of pairs that it takes to claim the difference: more than there were where the difference is not
    claimed, None where the number exceeds MOST_PAIRS.
    """

    measure: str
    pairs: int
    base_s: float
    head_s: float
    ratio: float
    low: float | None
    high: float | None
    p_value: float
    aa_ratio: float
    floor: float | None
    spread: float
    answer: Difference
    pairs_needed: int | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The limits of the 95 % interval of the ratio; None where there are too few pairs for one."""
        if self.low is None or self.high is None:
            return None
        return self.low, self.high


class Counted(Frozen):
    """Numbers of processes in one traced run of a measure; they do not vary from run to run."""

    processes: int
    shell_processes: int
    compiler_runs: int
    parses: int


class Sample(Frozen):
    """One measured run. `round` counts from 0; times are seconds, `user_s` and `system_s` CPU time."""

    measure: str
    round: int
    arm: Arm
    wall_s: float
    user_s: float
    system_s: float
    load: float


class Side(Frozen):
    """One of the two trees, with the numbers of processes of each measure of which they are counted."""

    tree: TreeIdentity
    counted: dict[str, Counted] = Field(default_factory=dict)


class MeasureResult(Frozen):
    """The result of one measure: the comparison, and the medians of user and system time together, in seconds."""

    comparison: Comparison
    base_cpu_s: float
    head_cpu_s: float


class ComparisonRun(Frozen):
    """One invocation of `perf-matrix compare`: its samples and results, its trees, and the machine.

    `left_out` maps each measure that one of the trees does not have to the reason; `required` maps the text of each
    requirement to the verdict on it.
    """

    schema_version: Literal[1] = 1
    name: str
    started: str
    tool_version: str
    place: str
    jobs: int
    pairs: int
    seed: int
    limits: Limits
    pinned: str
    host: dict[str, str]
    image: ImageIdentity
    base: Side
    head: Side
    samples: tuple[Sample, ...] = ()
    left_out: dict[str, str] = Field(default_factory=dict)
    measured: tuple[MeasureResult, ...] = ()
    required: dict[str, RequirementVerdict] = Field(default_factory=dict)

    @property
    def meets_requirements(self) -> bool:
        """Whether something was measured and every requirement is met."""
        return bool(self.measured) and all(verdict == Verdict.PASS for verdict, _ in self.required.values())

    def times(self, measure: str, arm: Arm) -> tuple[float, ...]:
        """Return the wall times of an arm in the order of the rounds, in seconds."""
        samples = [sample for sample in self.samples if (sample.measure, sample.arm) == (measure, arm)]
        return tuple(sample.wall_s for sample in sorted(samples, key=lambda sample: sample.round))

    def cpu(self, measure: str, arms: tuple[Arm, ...]) -> tuple[float, ...]:
        """Return the CPU times of arms, in seconds."""
        samples = [sample for sample in self.samples if sample.measure == measure]
        return tuple(sample.user_s + sample.system_s for sample in samples if sample.arm in arms)


def pairs_to_decide(effect: float, spread: float, more_than: int = 0) -> int | None:
    """Return the approximate number of pairs that tell `effect` from 0; None where it exceeds MOST_PAIRS.

    Effect and spread are logarithms. The number is pi / 2 * (z * spread / effect)**2, from the variance of a normal
    sample's median, pi / 2 * spread**2 / n (Kendall and Stuart, The Advanced Theory of Statistics, volume 1). z is 1.96
    for the interval and 0.84 for four sessions of five, were effect and spread exact (two of three simulated ones). The
    number is at least FEWEST_PAIRS and more than `more_than`, the number of pairs that did not decide.
    """
    smallest_effect = _Z * spread * math.sqrt(math.pi / 2 / MOST_PAIRS)
    if not effect or abs(effect) < smallest_effect:
        return None
    if more_than >= MOST_PAIRS:
        return None
    pairs = math.ceil(math.pi / 2 * (_Z * spread / effect) ** 2)
    return max(pairs, FEWEST_PAIRS, more_than + 1)
