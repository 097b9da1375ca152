"""Globs over names and finding keys, in the syntax of Python's fnmatch, where `*` matches `/` too.

fnmatch itself takes the square of a glob's length where brackets have no end. Globs may be a stranger's: those of a
tree's MANIFEST, and those of a result.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CLASS = re.compile(r"\[!?+\]?+[^\]]*+\]")


def matches(text: str, glob: str) -> bool:
    """Return whether a glob matches the whole text, case-sensitively."""
    return _expression(glob).fullmatch(text) is not None


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Return whether one of the globs matches the whole text, case-sensitively."""
    return any(matches(text, glob) for glob in globs)


def selects_any(glob: str, texts: Iterable[str]) -> bool:
    """Return whether the glob matches one of the texts as a whole, case-sensitively."""
    return any(matches(text, glob) for text in texts)


@lru_cache(maxsize=1024)
def _expression(glob: str) -> re.Pattern[str]:
    """Return the expression of a glob; each part between two `*` matches at the first place that it fits, and no other.

    Of the parts between, the first place is as good as any, so that nothing need be tried twice.
    """
    parts = [""]
    for piece in _pieces(glob):
        if piece == "*":
            parts.append("")
        else:
            parts[-1] += _character(piece)
    if len(parts) == 1:
        return re.compile(parts[0], re.S)
    first, *middle, last = parts
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last, re.S)


def _pieces(glob: str) -> Iterator[str]:
    """Yield the classes (`[a-z]`) and the other characters of a glob; a bracket without an end is a character."""
    at, last_end = 0, glob.rfind("]")
    while at < len(glob):
        is_class = glob[at] == "[" and at < last_end
        found = _CLASS.match(glob, at) if is_class else None
        piece = found[0] if found else glob[at]
        yield piece
        at += len(piece)


def _character(piece: str) -> str:
    """Return the expression of a class, of `?`, or of a character that means itself."""
    if len(piece) > 1:  # fnmatch knows what a class means; it adds `(?s:` and `)\Z`
        return fnmatch.translate(piece)[4:-3]
    return "." if piece == "?" else re.escape(piece)
