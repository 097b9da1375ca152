"""A glob over the names of files, as gitignore(5) has it, matched in linear time. Pure.

In a name the leftmost place that fits is the right one for each part between two `*`, so that nothing need be tried
twice: the parts are atomic groups. Matchers that go back, as fnmatch of old and pathspec do, take hours for `*a*a*a*b`.
"""

from __future__ import annotations

import re

NAME_MAX = 255
"""The longest name of a file in Linux: a glob of more characters is for none."""
GLOB_CHARS = 4096
"""The longest glob that is read, as a class of it may have any length; a longer one is for no name."""

# One token of a glob: an escaped character, a class, or a character, `*` among them (wildmatch.c of git).
_TOKEN = re.compile(
    r"""\\(?P<escaped>.)
      | \[(?P<negated>[!^]?+)(?P<class>\]?+(?:\\.|\[:\w+:\]|[^\]\\])*+)\]
      | (?P<other>.)
    """,
    re.X | re.S,
)
# One member of a class: a class of POSIX, a range, an escaped character, or a character.
_MEMBER = re.compile(
    r"""\[:(?P<posix>\w+):\]
      | (?P<first>\\.|[^\\])-(?P<last>\\.|[^\\\]])
      | \\(?P<escaped>.)
      | (?P<other>.)
    """,
    re.X | re.S,
)
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r" \t\n\r\f\v", "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def compiled(glob: str) -> re.Pattern[str] | None:
    """Return the expression of the names that a glob is for; None where it can be for none."""
    if len(glob) > GLOB_CHARS:
        return None
    tokens = list(_TOKEN.finditer(glob))
    characters = [_character(token) for token in tokens if not _is_star(token)]
    if "" in characters or len(characters) > NAME_MAX:
        return None
    parts = [""]
    for token in tokens:
        if _is_star(token):
            parts.append("")
        else:
            parts[-1] += _character(token)
    return re.compile(_joined(parts), re.S)


def _is_star(token: re.Match[str]) -> bool:
    return token["other"] == "*"


def _joined(parts: list[str]) -> str:
    """Return the expression of parts with any characters between them."""
    if len(parts) == 1:
        return parts[0]
    first, *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last


def _character(token: re.Match[str]) -> str:
    """Return the expression of one character of a name, empty where there is no such character."""
    if token["class"] is not None:
        return _class(token["class"], negated=bool(token["negated"]))
    if token["other"] == "?":
        return "."
    # A class without an end, and a backslash at the end, are for nothing.
    is_broken = token["other"] in ("[", "\\")
    return "" if is_broken else re.escape(token["escaped"] or token["other"])


def _class(content: str, *, negated: bool) -> str:
    """Return the expression of a class (`[a-z_]`)."""
    members = "".join(map(_member, _MEMBER.finditer(content)))
    if not members:
        return "." if negated else ""
    return f"[{'^' if negated else ''}{members}]"


def _member(token: re.Match[str]) -> str:
    """Return a member of a class as a regular expression has it; a range whose ends are in the wrong order has none."""
    if token["posix"]:
        return _POSIX.get(token["posix"], "")
    if token["first"]:
        first, last = token["first"][-1], token["last"][-1]
        return f"{re.escape(first)}-{re.escape(last)}" if first <= last else ""
    return re.escape(token["escaped"] or token["other"])
