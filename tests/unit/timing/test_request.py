from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from matrix.config import load
from matrix.errors import UsageError
from matrix.model.cell_id import Place
from matrix.model.profile import Profile
from matrix.timing.request import ComparisonRequest
from matrix.verdicts.comparison import MEASURES

LOADED = load.load()
PLACE = Place("debian-trixie-min/gcc/minimal")
FASTER, NOT_SLOWER = "build at least 5 % faster", "no-op no slower than 2 %"
PROFILES = {
    "times": Profile(name="times", summary="s", select=("*",), require=(NOT_SLOWER,)),
    "none": Profile(name="none", summary="s", select=("*",)),
}
CONFIG = replace(LOADED, profiles=PROFILES)


def request(**more: Any) -> ComparisonRequest:
    return ComparisonRequest(**{"place": PLACE, "base": "7.2", "head": "7.3", "pairs": 6, **more})


def test_without_a_measure_all_are_measured_on_both_trees() -> None:
    asked = request(jobs=3, seed=4).resolved(CONFIG)
    assert (asked.base.id, asked.head.id) == (PLACE.on("7.2"), PLACE.on("7.3"))
    assert (asked.measures, asked.required) == (tuple(MEASURES), ())
    assert (asked.pairs, asked.jobs, asked.seed) == (6, 3, 4)


def test_what_is_required_is_measured_beside_what_is_asked_for() -> None:
    asked = request(measures=("tables",), require=(FASTER,), profile="times").resolved(CONFIG)
    assert asked.required == (FASTER, NOT_SLOWER)
    assert asked.measures == ("build", "no-op", "tables")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"measures": ("biuld",)}, "no measure 'biuld'; did you mean 'build'"),
        ({"profile": "none"}, "profile none requires nothing"),
        ({"profile": "nothing"}, "no profile 'nothing'"),
        ({"require": ("quick",)}, "quick"),
        ({"head": "7.33"}, "no tree '7.33'"),
        ({"place": Place("debian-*/gcc/minimal")}, "--image, --toolchain and --build take a name each"),
        ({"place": Place("debian-trixie/gcc/nothing")}, "no place 'debian-trixie/gcc/nothing'; did you mean"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as told:
        request(**more).resolved(CONFIG)
    assert message in str(told.value)
