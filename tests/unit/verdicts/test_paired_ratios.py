from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from matrix.verdicts import paired_ratios
from matrix.verdicts.comparison import ARMS, Comparison, Difference, pairs_to_decide

BASE = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0)


def scaled(*factors: float) -> tuple[float, ...]:
    return tuple(time_s * factor for time_s, factor in zip(BASE, factors, strict=False))


def compared(*factors: float, again: tuple[float, ...] = ()) -> Comparison:
    pairs = len(factors)
    return paired_ratios.compare("build", BASE[:pairs], scaled(*again) if again else BASE[:pairs], scaled(*factors))


def comparison(
    low: float | None, high: float | None, answer: Difference = Difference.INCONCLUSIVE, **more: Any
) -> Comparison:
    facts: dict[str, Any] = {"measure": "build", "pairs": 20, "base_s": 10.0, "head_s": 10.0, "spread": 0.02, **more}
    middle = math.sqrt(low * high) if low and high else 1.0
    return Comparison(
        **{"ratio": middle, "low": low, "high": high, "p_value": 0.2, "aa_ratio": 1.0, "floor": 1.01, **facts},
        answer=answer,
        pairs_needed=None,
    )


@pytest.mark.parametrize("pairs", [1, 2, 5, 6, 7, 10, 20])
def test_each_arm_comes_at_each_place_about_equally_often(pairs: int) -> None:
    rounds = paired_ratios.schedule(pairs, seed=1)
    assert len(rounds) == pairs
    assert all(set(order) == {"base", "again", "head"} for order in rounds)
    for place in range(3):
        times = Counter(order[place] for order in rounds)
        counts = [times[arm] for arm in ARMS]
        assert max(counts) - min(counts) <= 1


def test_six_rounds_have_each_order_once() -> None:
    rounds = paired_ratios.schedule(12, seed=3)
    assert set(rounds[:6]) == set(rounds[6:]) == set(itertools.permutations(ARMS))


def test_the_order_is_random_and_the_seed_gives_it_again() -> None:
    assert paired_ratios.schedule(20, seed=1) == paired_ratios.schedule(20, seed=1)
    assert len({paired_ratios.schedule(6, seed) for seed in range(20)}) > 15
    assert paired_ratios.schedule(7, seed=1)[:6] == paired_ratios.schedule(6, seed=1)


def test_a_session_has_a_round() -> None:
    with pytest.raises(ValueError, match="at least one round, not 0"):
        paired_ratios.schedule(0, seed=1)


def test_a_difference_without_noise_is_claimed_from_six_pairs_on() -> None:
    found = compared(*[1.1] * 6)
    assert (found.measure, found.pairs, found.answer) == ("build", 6, Difference.SLOWER)
    assert [found.base_s, found.head_s] == pytest.approx([12.5, 13.75])
    assert [found.ratio, found.low, found.high] == pytest.approx([1.1] * 3)
    assert found.p_value == 2 / 64
    assert (found.aa_ratio, found.floor, found.spread, found.pairs_needed) == (1.0, 1.0, 0.0, 6)
    assert compared(*[0.9] * 6).answer == Difference.FASTER


@pytest.mark.parametrize(("pairs", "p_value"), [(1, 1.0), (2, 0.5), (5, 0.0625)])
def test_fewer_than_six_pairs_decide_nothing(pairs: int, p_value: float) -> None:
    found = compared(*[1.5] * pairs)
    assert found.answer == Difference.INCONCLUSIVE
    assert [found.ratio, found.p_value] == pytest.approx([1.5, p_value])
    assert (found.low, found.high, found.floor, found.pairs_needed) == (None, None, None, 6)


def test_the_same_times_are_no_difference_that_any_number_of_pairs_would_show() -> None:
    found = compared(*[1.0] * 8)
    assert (found.ratio, found.low, found.high, found.floor, found.p_value) == (1.0, 1.0, 1.0, 1.0, 1.0)
    assert (found.answer, found.pairs_needed) == (Difference.INCONCLUSIVE, None)


def test_the_head_is_paired_with_the_base_of_its_round() -> None:
    base, head = (10.0, 20.0, 40.0), (11.0, 22.0, 20.0)
    found = paired_ratios.compare("build", base, (20.0, 40.0, 80.0), head)
    assert [found.ratio, found.aa_ratio] == pytest.approx([1.1, 2.0])
    assert (found.base_s, found.head_s) == (20.0, 20.0)
    assert found.spread == pytest.approx(0.0)


def test_a_difference_that_the_same_tree_shows_too_is_not_claimed() -> None:
    factors = (1.03, 1.031, 1.032, 1.033, 1.034, 1.035, 1.036, 1.037)
    quiet, loud = compared(*factors), compared(*factors, again=(0.94,) * 8)
    assert (quiet.answer, loud.answer) == (Difference.SLOWER, Difference.INCONCLUSIVE)
    assert (loud.low, loud.high, loud.p_value) == (quiet.low, quiet.high, quiet.p_value)
    assert quiet.low
    assert quiet.low > 1
    assert quiet.p_value <= 0.05
    assert [quiet.floor, loud.floor] == pytest.approx([1.0, 1 / 0.94])
    assert quiet.pairs_needed == 6
    assert loud.pairs_needed == 9


@pytest.mark.parametrize("again", [(0.8, 0.9, 0.98, 0.99, 1.0, 1.01, 1.02), (0.98, 0.99, 1.0, 1.01, 1.02, 1.1, 1.2)])
def test_the_floor_is_the_end_of_the_same_tree_s_interval_that_is_further_from_1(again: tuple[float, ...]) -> None:
    found = compared(*[1.5] * 7, again=again)
    low, high = paired_ratios._interval(np.log(again)) or (0.0, 0.0)
    assert found.floor
    assert found.floor == pytest.approx(math.exp(max(-low, high)))
    assert found.floor > 1.05
    assert found.aa_ratio == pytest.approx(sorted(again)[3])
    sizes = sorted(abs(math.log(one / found.aa_ratio)) for one in again)
    assert found.spread == pytest.approx(1.4826 * sizes[3], rel=1e-4)


@pytest.mark.parametrize(
    ("effect", "interval", "floor", "p_value", "answer"),
    [
        (0.05, (0.04, 0.06), 0.01, 0.05, Difference.SLOWER),
        (-0.05, (-0.06, -0.04), 0.01, 0.05, Difference.FASTER),
        (0.05, (0.0, 0.06), 0.01, 0.05, Difference.INCONCLUSIVE),
        (-0.05, (-0.06, 0.0), 0.01, 0.05, Difference.INCONCLUSIVE),
        (0.05, (0.04, 0.06), 0.05, 0.05, Difference.INCONCLUSIVE),
        (-0.05, (-0.06, -0.04), 0.05, 0.05, Difference.INCONCLUSIVE),
        (0.05, (0.04, 0.06), 0.01, 0.051, Difference.INCONCLUSIVE),
        (0.05, None, None, 0.05, Difference.INCONCLUSIVE),
    ],
)
def test_a_claim_needs_the_interval_the_floor_and_the_flips(
    effect: float, interval: tuple[float, float] | None, floor: float | None, p_value: float, answer: Difference
) -> None:
    assert paired_ratios._answer(effect, interval, floor, p_value) == answer


@pytest.mark.parametrize(
    ("ratios", "p_value"),
    [
        ((1.0, 1.0, 1.0, 1.0, 1.0, -1.0), 14 / 64),
        ((1.0, 1.0, 1.0, 1.0, 1.0, -9.0), 14 / 64),
        ((1.0,) * 9 + (-9.0,), 22 / 1024),
        ((0.0,) * 6, 1.0),
        ((1.0,) * 13, 2 / 8192),
    ],
)
def test_every_flip_of_a_few_pairs_is_made(ratios: tuple[float, ...], p_value: float) -> None:
    assert paired_ratios._sign_flip(np.array(ratios)) == pytest.approx(p_value)


def test_of_more_pairs_random_flips_are_made_and_never_give_nought() -> None:
    assert paired_ratios._sign_flip(np.full(40, 0.05)) == pytest.approx(2 / 10_000)
    assert paired_ratios._sign_flip(np.array([0.05, -0.05] * 10)) == 1.0


def test_an_interval_is_the_same_each_time_and_holds_the_median() -> None:
    ratios = np.array([0.01, 0.02, 0.03, 0.05, 0.08, 0.13, 0.21])
    found = paired_ratios._interval(ratios)
    assert found
    assert found == paired_ratios._interval(ratios)
    assert 0.01 <= found[0] < 0.05 < found[1] <= 0.21


@pytest.mark.parametrize("ratios", [(0.0, 0.02, 0.03, 0.05, 0.05, 0.42, 0.63), (0.0, 0.01, 0.02, 0.02, 0.09, 0.2, 0.3)])
def test_an_interval_is_bca_of_an_odd_number_too(ratios: tuple[float, ...]) -> None:
    bca, percentile = (
        stats.bootstrap((ratios,), np.median, method=method, rng=np.random.default_rng(0)).confidence_interval
        for method in ("BCa", "percentile")
    )
    assert paired_ratios._interval(np.array(ratios)) == pytest.approx((bca.low, bca.high))
    assert (bca.low, bca.high) != (percentile.low, percentile.high)


def test_ratios_that_differ_in_their_last_bit_are_equal() -> None:
    base = (6.3, 4.1, 7.9, 5.7, 6.7, 4.5, 4.9)
    found = paired_ratios.compare("no-op", base, base, [time_s / 2 for time_s in base])
    assert found.low == found.high == found.ratio == pytest.approx(0.5)


def test_where_the_middle_is_equal_the_percentiles_are_taken() -> None:
    assert paired_ratios._interval(np.array([0.01, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.06])) == (0.05, 0.05)
    low, high = paired_ratios._interval(np.array([0.0, 0.0, 0.05, 0.05, 0.08, 0.08])) or (1.0, 1.0)
    assert 0.0 <= low < 0.05 < high <= 0.08


@pytest.mark.parametrize("pairs", [6, 7, 9, 12])
def test_times_of_a_coarse_clock_give_limits_that_are_numbers(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired_ratios, "RESAMPLES", 199)
    chance = np.random.default_rng(pairs)
    for _ in range(25):
        base, again, head = (chance.integers(20, 23, pairs) / 10 for _ in range(3))
        found = paired_ratios.compare("no-op", base.tolist(), again.tolist(), head.tolist())
        assert found.low is not None
        assert found.high is not None
        assert 0 < found.low <= found.ratio <= found.high < 2
        assert Comparison.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("times", [((), (), ()), ((1.0,), (1.0, 1.0), (1.0,)), ((1.0,), (1.0,), (1.0, 1.0))])
def test_there_are_as_many_times_of_each(times: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"^build: .* times are not the same number of each"):
        paired_ratios.compare("build", *times)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("arm", [0, 1, 2])
def test_a_time_is_a_positive_number(wrong: float, arm: int) -> None:
    times = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    times[arm][1] = wrong
    with pytest.raises(ValueError, match="build: a time is not a positive number"):
        paired_ratios.compare("build", *times)


@pytest.mark.parametrize(
    ("effect", "spread", "more_than", "pairs"),
    [
        (0.02, 0.03, 0, 28),  # pi / 2 * (2.8 * 1.5)**2 = 27.7
        (-0.02, 0.03, 0, 28),
        (0.02, 0.03, 27, 28),
        (0.02, 0.03, 28, 29),
        (0.05, 0.03, 0, 6),
        (0.05, 0.0, 0, 6),
        (0.0, 0.03, 0, None),
        (0.0, 0.0, 0, None),
        (0.03, 0.2, 0, 548),
        (0.01, 0.2, 0, None),
        (0.02, 0.03, 999, 1000),
        (0.02, 0.03, 1000, None),
    ],
)
def test_the_spread_says_how_many_pairs_tell_an_effect(
    effect: float, spread: float, more_than: int, pairs: int | None
) -> None:
    assert pairs_to_decide(effect, spread, more_than) == pairs


def session(chance: np.random.Generator, pairs: int, head: float, noise: float, disturbed: float) -> Comparison:
    """Compare builds of a minute on a machine that drifts, with one in `disturbed` taking a fifth longer."""
    drift = 0.05 * chance.standard_normal()
    seen: dict[str, list[float]] = {"base": [], "again": [], "head": []}
    for number, arm in enumerate(itertools.chain(*paired_ratios.schedule(pairs, int(chance.integers(1 << 30))))):
        slow = (1.2 if chance.random() < disturbed else 1.0) * (head if arm == "head" else 1.0)
        seen[arm].append(60 * slow * math.exp(drift * number / (3 * pairs) + noise * chance.standard_normal()))
    return paired_ratios.compare("build", seen["base"], seen["again"], seen["head"])


@pytest.mark.parametrize(("pairs", "noise"), [(10, 0.02), (10, 0.03), (20, 0.02), (20, 0.03)])
def test_the_same_tree_is_no_slower_than_itself(pairs: int, noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired_ratios, "RESAMPLES", 1999)
    chance = np.random.default_rng(pairs)
    answers = Counter(session(chance, pairs, 1.0, noise, 0.05).answer for _ in range(100))
    assert answers[Difference.INCONCLUSIVE] >= 95


def test_five_per_cent_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired_ratios, "RESAMPLES", 1999)
    chance = np.random.default_rng(5)
    found = [session(chance, 20, 1.05, 0.015, 0.05) for _ in range(100)]
    right = [one for one in found if one.answer == Difference.SLOWER and (one.low or 2) <= 1.05 <= (one.high or 0)]
    assert len(right) >= 90
