"""Users, passwords and tokens in addresses (URLs), which no result, report or log may have."""

from __future__ import annotations

import re

from matrix.errors import UsageError

_CREDENTIALS = re.compile(r"://[^/\s@]*@")
# The names of the parameters by which signed addresses of well-known stores and servers of packages give access.
_SECRET = re.compile(r"[?&;](?:[\w-]*token|[\w-]*signature|sig|[\w-]*credential|[\w-]*passw(?:or)?d|[\w-]*key)=", re.I)


def has_credentials(address: str) -> bool:
    """Return whether an address (URL) has a user, a password or a token, which no result, report or log may have."""
    return bool(_CREDENTIALS.search(address) or _SECRET.search(address))


def refuse_credentials(address: str) -> None:
    """Refuse an address with a user, a password or a token.

    Raises:
        UsageError: it has one; the message does not.

    """
    if has_credentials(address):
        hint = "Put the password into ~/.netrc, which is read; or get the file, and name it."
        raise UsageError(
            f"{without_credentials(address)}: credentials in an address would be in results and logs", hint
        )


def without_credentials(text: str) -> str:
    """Return a text without the users and passwords of the addresses in it, and without their parameters."""
    return re.sub(r"\S+", _bare, _CREDENTIALS.sub("://…@", text))


def _bare(word: re.Match[str]) -> str:
    """Return a word of a text; of one with a path, all before a `?`."""
    path, mark, _ = word[0].partition("?")
    return f"{path}?…" if mark and "/" in path else word[0]
