"""The product's configuration, parsed once in a process, and a heap that is not looked through for garbage.

Tests read the configuration hundreds of times, and its files are the same each time; those of a test's own folders are
read whenever they are asked for.
"""

from __future__ import annotations

import functools
import gc
import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings

from matrix.config import load, strict_yaml

if TYPE_CHECKING:
    from pathlib import Path

_PRODUCTS = (load.resources() / "configs", load.resources() / "containers")
_read = strict_yaml.read


@functools.cache
def _json(path: Path) -> str:
    return json.dumps(_read(path))


def _read_once(path: Path) -> Any:
    is_products = any(folder in path.parents for folder in _PRODUCTS)
    return json.loads(_json(path)) if is_products else _read(path)


def pytest_configure() -> None:
    """Parse each file of the product's configuration once, and give examples of hypothesis all the time they take."""
    strict_yaml.read = _read_once
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Keep what collection made, thousands of items, out of the rounds of Python's garbage collector."""
    gc.collect()
    gc.freeze()
