"""A sample of the campaign: the same questions after each of a few faults, which a seed has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import boundaries
from tests.faults.boundaries import Fault
from tests.faults.questions import tried

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.faults.questions import Bases
    from tests.faults.starter import Starter

SEED, SAMPLE = 1, 40
"""The sample takes about a minute of CPU time; the whole campaign: `python -m tests.faults.campaign`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make an item for each fault of the sample, by number, or for each that `--fault` names."""
    asked = metafunc.config.getoption("--fault", [])
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize("fault", asked or range(SAMPLE), ids=str)


def test_a_fault_loses_nothing(fault: int | str, starter: Starter, bases: Bases, tmp_path: Path) -> None:
    chosen = Fault.parse(fault) if isinstance(fault, str) else boundaries.chosen(SEED, fault, bases.counts)
    outcome = tried(tmp_path / "trial", starter, chosen, bases[chosen.scenario])
    assert not outcome.wrong, f"--fault '{chosen}' ({outcome.fired}): {outcome.wrong}\n{outcome.text}"
