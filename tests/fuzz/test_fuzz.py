"""Every parser of untrusted bytes: a few inputs of each, those that once failed, and its cost as inputs grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import growth, mutate
from tests.fuzz.target import Target, registry

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

TARGETS = registry()
INPUTS = 120
"""The number of inputs of a cheap target: all targets together take less than a minute. The hours are run.py's."""
GROWING_BYTES = 600

each = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
kept = [(target, path) for target in TARGETS.values() for path in target.regressions]
growing = [(target, name) for target in TARGETS.values() for name in target.growing]


@each
def test_a_seed_is_taken(target: Target) -> None:
    for seed in target.seeds:
        error = target.failure(seed)
        if error:
            raise error


@each
def test_what_was_changed_raises_no_error_but_the_parsers_own(target: Target) -> None:
    @settings(
        max_examples=max(5, INPUTS // target.cost),
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
    )
    @given(st.one_of(st.binary(max_size=200), st.randoms(use_true_random=True)))
    def parse(drawn: bytes | Random) -> None:
        data = drawn if isinstance(drawn, bytes) else mutate.mutated(target, drawn)
        error = target.failure(data)
        if error:
            raise error

    parse()


@pytest.mark.parametrize(("target", "path"), kept, ids=[f"{target.name}-{path.name}" for target, path in kept])
def test_an_input_that_failed_does_not_fail_again(target: Target, path: Path) -> None:
    error = target.failure(path.read_bytes())
    if error:
        raise error


@pytest.mark.parametrize(("target", "name"), growing, ids=[f"{target.name}-{name}" for target, name in growing])
def test_the_cost_grows_no_faster_than_a_hostile_input(target: Target, name: str) -> None:
    assert not growth.too_steep(target.failure, target.growing[name], GROWING_BYTES)
