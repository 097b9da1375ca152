"""Removes what ended runs left in an engine and, if asked to, the caches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matrix.engine import cache
from matrix.engine.api import Resource
from matrix.runs import ownership

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.engine.api import Engine

FILE = "file"
"""The kind of a resource that is a file of a cache, and in no engine."""


def removable(engine: Engine, *, caches: bool) -> list[Resource]:
    """Return what ended runs left in an engine, and with `caches` the images, trees and downloads that are kept."""
    found = ownership.left_over(engine)
    if caches:
        found += [item for item in engine.resources() if item.purpose in cache.KEPT]
        found += [Resource(FILE, str(path), "cache", "") for path in cache.files()]
    return found


def remove(found: Iterable[Resource], engine: Engine) -> None:
    """Remove resources, in order."""
    for item in found:
        if item.kind == FILE:
            Path(item.name).unlink(missing_ok=True)
        else:
            engine.remove(item)
