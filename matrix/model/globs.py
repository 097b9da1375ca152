"""Globs over names and finding keys, in the syntax of Python's fnmatch, where `*` matches `/` too."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Return whether one of the globs matches the whole text, case-sensitively."""
    return any(fnmatchcase(text, glob) for glob in globs)


def selects_any(glob: str, texts: Iterable[str]) -> bool:
    """Return whether the glob matches one of the texts as a whole, case-sensitively."""
    return any(fnmatchcase(text, glob) for text in texts)
