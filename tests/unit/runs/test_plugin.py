"""The options of xdist that the run of cells needs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from matrix.runs import plugin


def options(**given: Any) -> dict[str, Any]:
    config: Any = SimpleNamespace(option=SimpleNamespace(**given))
    plugin.pytest_cmdline_main(config)
    found: dict[str, Any] = vars(config.option)
    return found


@pytest.mark.parametrize("dist", ["no", "loadgroup"])
def test_the_items_of_a_cell_stay_together_and_the_cells_in_their_order(dist: str) -> None:
    found = options(numprocesses=2, dist=dist, loadscopereorder=True)
    assert found == {"numprocesses": 2, "dist": "loadgroup", "loadscopereorder": False}


def test_another_distribution_may_be_asked_for() -> None:
    assert options(numprocesses=2, dist="each")["dist"] == "each"


@pytest.mark.parametrize("given", [{}, {"numprocesses": None, "dist": "no"}])
def test_without_xdist_nothing_is_changed(given: dict[str, Any]) -> None:
    assert options(**given) == given
