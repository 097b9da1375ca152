"""Globs over names and finding keys."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Return whether one of the globs matches the whole text; upper and lower case differ on every system."""
    return any(fnmatchcase(text, glob) for glob in globs)


def selects_any(glob: str, texts: Iterable[str]) -> bool:
    """Return whether a glob matches one of the whole texts."""
    return any(fnmatchcase(text, glob) for text in texts)
