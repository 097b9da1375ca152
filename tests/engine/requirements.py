"""What a test of the engine needs of its machine, looked for when the test runs: by then the engine was installed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from matrix.engine.api import Engine


def lacking(reason: str) -> NoReturn:
    """End a test for which this machine lacks something: CI must have it."""
    end = pytest.fail if os.environ.get("CI") else pytest.skip
    end(reason)


def needs_root() -> None:
    """End a test that only root can do."""
    if os.geteuid() != 0:
        lacking("only root can do this")


def needs(engine: Engine, *programs: str) -> None:
    """End a test whose programs are not installed, as some of them are with the engine."""
    assert engine
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        lacking(f"not installed: {', '.join(missing)}")
