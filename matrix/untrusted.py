"""Text from a cell, a bundle or another machine, made fit to be shown."""

from __future__ import annotations

import unicodedata

SHOWN = 80
"""The number of characters of a foreign text that a message quotes."""


def short(text: str) -> str:
    """Return the beginning of a foreign text, in one line that steers no terminal."""
    line = one_line(text[: SHOWN + 1])
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def one_line(text: str) -> str:
    """Return a foreign text in one line that steers no terminal, so that it cannot forge another line of a report."""
    return plain(text, lines=False)


def plain(text: str, *, lines: bool = True) -> str:
    """Return a foreign text with `?` for each character that would steer a terminal.

    Ends of lines are kept with `lines`; without, they become `?` too.
    """
    return "".join(character if _is_harmless(character, lines=lines) else "?" for character in text)


def _is_harmless(character: str, *, lines: bool) -> bool:
    """Return whether a character only shows itself: all but control, format and separator characters and surrogates."""
    if character == "\n":
        return lines
    return character == " " or unicodedata.category(character)[0] not in "CZ"
