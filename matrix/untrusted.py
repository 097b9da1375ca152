"""Text from a cell, a bundle or another machine, made fit to be shown."""

from __future__ import annotations

import unicodedata

SHOWN = 80


def short(text: str) -> str:
    """Return the beginning of what a stranger wrote, in one line that steers no terminal."""
    line = plain(text[: SHOWN + 1], lines=False)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def plain(text: str, *, lines: bool = True) -> str:
    """Return text from a cell without characters that would steer a terminal, nor with `lines` off any line's end."""
    kept = "\n" if lines else ""
    return "".join(c if c in kept or unicodedata.category(c)[0] not in "CZ" or c == " " else "?" for c in text)
