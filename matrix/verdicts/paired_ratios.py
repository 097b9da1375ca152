"""The statistics of paired timings of builds: the order of measurements, and whether a difference is real. Pure.

A session measures in each round the base, the base again (the A/A pair) and the head. The statistics are of natural
logarithms of ratios of times of one round, so that drift over the session cancels and half is as far from 1 as double.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from matrix.verdicts.comparison import ARMS, FEWEST_PAIRS, Comparison, Difference, pairs_to_decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from matrix.verdicts.comparison import Arm

LEVEL = 0.05
"""The level of significance: of differences that are none, so many are claimed at most."""

RESAMPLES = 9_999
"""The number of resamples and of random flips: with the observed one 10,000, so that p has four digits."""

SEED = 0  # fixed, so that the same times give the same interval and p


def schedule(pairs: int, seed: int) -> tuple[tuple[Arm, ...], ...]:
    """Return the order of the arms in each of `pairs` rounds, the same for the same seed.

    The order is random in blocks: after every three rounds each arm was first, second and third equally often, after
    every six each of the six orders was there once.

    Raises:
        ValueError: there is no round.

    """
    if pairs < 1:
        raise ValueError(f"a session has at least one round, not {pairs}")
    chance = random.Random(seed)  # noqa: S311 - an order of measurements, no secret
    squares = _latin_squares()
    rounds: list[tuple[Arm, ...]] = []
    while len(rounds) < pairs:
        for square in chance.sample(squares, len(squares)):
            rounds += chance.sample(square, len(square))
    return tuple(rounds[:pairs])


def _latin_squares() -> list[list[tuple[Arm, ...]]]:
    """Return the six orders of the arms in two squares: in each of them every arm has every turn once."""
    forward = [ARMS[turn:] + ARMS[:turn] for turn in range(len(ARMS))]
    backward = [order[::-1] for order in forward]
    return [forward, backward]


def compare(measure: str, base: Sequence[float], again: Sequence[float], head: Sequence[float]) -> Comparison:
    """Return the comparison of a session's times, in seconds, one for each round, in the order of rounds.

    A difference is claimed where the interval excludes 1, the effect exceeds the A/A floor and p is at most LEVEL.

    Raises:
        ValueError: there is no time, not as many of each, or one that is not a positive number.

    """
    _refuse_bad_times(measure, base, again, head)
    ratios, aa_ratios = _log_ratios(head, base), _log_ratios(again, base)
    effect, interval, aa_interval = float(np.median(ratios)), _interval(ratios), _interval(aa_ratios)
    floor = max(abs(limit) for limit in aa_interval) if aa_interval else None
    p_value = _sign_flip(ratios)
    answer = _answer(effect, interval, floor, p_value)
    spread = max(_spread(ratios), _spread(aa_ratios))
    return Comparison(
        measure=measure,
        pairs=len(base),
        base_s=float(np.median(base)),
        head_s=float(np.median(head)),
        ratio=math.exp(effect),
        low=math.exp(interval[0]) if interval else None,
        high=math.exp(interval[1]) if interval else None,
        p_value=p_value,
        aa_ratio=math.exp(np.median(aa_ratios)),
        floor=math.exp(floor) if floor is not None else None,
        spread=spread,
        answer=answer,
        pairs_needed=pairs_to_decide(effect, spread, more_than=len(base) if answer == Difference.INCONCLUSIVE else 0),
    )


def _refuse_bad_times(measure: str, base: Sequence[float], again: Sequence[float], head: Sequence[float]) -> None:
    if not len(base) == len(again) == len(head) > 0:
        raise ValueError(f"{measure}: {len(base)}, {len(again)} and {len(head)} times are not the same number of each")
    if not all(0 < time_s < math.inf for time_s in itertools.chain(base, again, head)):
        raise ValueError(f"{measure}: a time is not a positive number of seconds")


def _log_ratios(times_s: Sequence[float], base_s: Sequence[float]) -> NDArray[np.float64]:
    """Return one logarithm per pair, to 12 digits, so that ratios that are equal but for their last bit are equal."""
    return np.round(np.log(np.asarray(times_s, np.float64)) - np.log(np.asarray(base_s, np.float64)), 12)


def _interval(ratios: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of the median of `ratios`, one per pair; None below FEWEST_PAIRS.

    The interval is BCa, bias-corrected and accelerated (Efron, Better Bootstrap Confidence Intervals, Journal of the
    American Statistical Association 82, 1987). Where the middle values are equal, the median is the same whichever pair
    is left out, so BCa's acceleration is 0 by 0 (https://github.com/cgevans/scikits-bootstrap/issues/17) and scipy
    returns NaN (https://github.com/scipy/scipy/pull/14351): then the interval is the percentiles of the same resamples.
    Ratios that are all equal give an interval of that very value.
    """
    pairs = len(ratios)
    if pairs < FEWEST_PAIRS:
        return None
    middle = np.sort(ratios)[(pairs - 2) // 2 : (pairs + 3) // 2]
    found = stats.bootstrap(
        (ratios,),
        np.median,
        n_resamples=RESAMPLES,
        confidence_level=1 - LEVEL,
        method="BCa" if middle[0] < middle[-1] else "percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _sign_flip(ratios: NDArray[np.float64]) -> float:
    """Return the two-sided p of a permutation test of `ratios`, one per pair: each is as likely to have the other sign.

    The statistic is their sum, each cut off at the median of their sizes, which no flip changes. So a disturbed build
    has no more weight than another; in a plain sum, or one of ranks, it outweighs several that agree. Up to 13 pairs
    have at most RESAMPLES flips, each of which is made; of more pairs as many random flips are made, and the observed
    signs are added to them.
    """
    if len(ratios) == 1:  # both flips are as extreme as the observed sign
        return 1.0
    size = np.median(np.abs(ratios))
    found = stats.permutation_test(
        (np.clip(ratios, -size, size),),
        np.sum,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def _spread(ratios: NDArray[np.float64]) -> float:
    # Robust: one disturbed build would blow a standard deviation up. "normal" makes it one for normal errors.
    return float(stats.median_abs_deviation(ratios, scale="normal"))


def _answer(effect: float, interval: tuple[float, float] | None, floor: float | None, p_value: float) -> Difference:
    if not _is_real(effect, interval, floor, p_value):
        return Difference.INCONCLUSIVE
    return Difference.FASTER if effect < 0 else Difference.SLOWER


def _is_real(effect: float, interval: tuple[float, float] | None, floor: float | None, p_value: float) -> bool:
    """Return whether a difference can be claimed: each of the three conditions must hold."""
    if interval is None or floor is None:
        return False
    includes_equality = interval[0] <= 0 <= interval[1]
    return all([not includes_equality, abs(effect) > floor, p_value <= LEVEL])
