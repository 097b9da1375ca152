"""The options of `pytest tests/faults`, and the starter and the undisturbed run that its faults share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.questions import Bases
from tests.faults.starter import Starter

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that replays one fault of a campaign."""
    parser.addoption("--fault", action="append", default=[], metavar="FAULT", help="replay it, as worker:rename:3:EIO")


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    """Give the process that starts the commands of all faults, one after the other."""
    made = Starter()
    yield made
    made.close()


@pytest.fixture(scope="module")
def bases(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Bases:
    """Return what a run of each scenario does without a fault."""
    return Bases(tmp_path_factory.mktemp("faults"), starter)
