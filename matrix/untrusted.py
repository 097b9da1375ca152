"""Foreign text, from a cell, a bundle or another machine, made safe to be shown in a terminal and in reports."""

from __future__ import annotations

import re
import unicodedata

_CREDENTIALS = re.compile(r"://[^/\s@]*@")
# The names of the parameters by which signed addresses of well-known stores and servers of packages give access.
_SECRET = re.compile(r"[?&;](?:[\w-]*token|[\w-]*signature|sig|[\w-]*credential|[\w-]*passw(?:or)?d|[\w-]*key)=", re.I)

SHOWN = 80
"""The number of characters of a foreign text that a message quotes."""


def short(text: str) -> str:
    """Return the first SHOWN characters of a foreign text, in one line without control characters."""
    line = one_line(text[: SHOWN + 1])  # cut first: the text may have megabytes
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def one_line(text: str) -> str:
    """Return a foreign text in one line without control characters, so that it cannot forge a line of a report."""
    return plain(text, lines=False)


def plain(text: str, *, lines: bool = True) -> str:
    """Return a foreign text with `?` for each character that a terminal may obey, as the ESC of a control sequence.

    Ends of lines are kept with `lines`; without, they become `?` too.
    """
    return "".join(character if _is_harmless(character, lines=lines) else "?" for character in text)


def _is_harmless(character: str, *, lines: bool) -> bool:
    """Return whether a character only shows itself: all but control, format and separator characters and surrogates."""
    if character == "\n":
        return lines
    # Unicode's categories C (control, format with its overrides of direction, surrogate, unassigned) and Z (separator).
    return character == " " or unicodedata.category(character)[0] not in "CZ"


def has_credentials(address: str) -> bool:
    """Return whether an address (URL) has a user, a password or a token, which no result, report or log may have."""
    return bool(_CREDENTIALS.search(address) or _SECRET.search(address))


def without_credentials(text: str) -> str:
    """Return a text without the users and passwords of the addresses in it, and without their parameters."""
    return re.sub(r"\S+", _bare, _CREDENTIALS.sub("://…@", text))


def _bare(word: re.Match[str]) -> str:
    """Return a word of a text; of one with a path, all before a `?`."""
    path, mark, _ = word[0].partition("?")
    return f"{path}?…" if mark and "/" in path else word[0]
