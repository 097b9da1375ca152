"""The bytes of a bundle, from a file or from an http(s) address: never more of them than a bundle can have."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.credentials import refuse_credentials
from matrix.errors import InfrastructureError, UsageError
from matrix.trees import transfer

if TYPE_CHECKING:
    from matrix.trees.sources import Say

PATIENCE_S = 600
"""The longest time that a bundle is fetched for, in seconds, whatever the server does: it has 64 MiB at most."""
OK = 200
_WHAT = "--from takes a bundle: a file, or its http(s) address."


def fetched(place: str, most_bytes: int, say: Say) -> bytes:
    """Return the content of a file or of an http(s) address, cut soon after `most_bytes`.

    A content that is longer than `most_bytes` tells the caller that the file is too large.

    Raises:
        UsageError: the file does not exist, or the address is none of http or https, or has credentials.
        InfrastructureError: the address could not be fetched, or is too slow.

    """
    return _download(place, most_bytes, say) if "://" in place else _read(Path(place).expanduser(), most_bytes)


def _read(path: Path, most_bytes: int) -> bytes:
    if not path.is_file():
        raise UsageError(f"{path} is no file", _WHAT)
    with path.open("rb") as file:
        return file.read(most_bytes + 1)


def _download(url: str, most_bytes: int, say: Say) -> bytes:
    """Return the body of an address's answer as it was sent, cut soon after `most_bytes`."""
    refuse_credentials(url)
    if not transfer.is_address(url):
        raise UsageError(f"{url} is no http or https address", _WHAT)
    data = bytearray()
    with transfer.get(url, {}, time.monotonic() + PATIENCE_S) as answer:
        if answer.headers.status != OK:
            raise InfrastructureError(f"{url} could not be fetched: {answer.headers.status}", "Is the address right?")
        if transfer.is_plain(answer.headers.addresses):
            say(f"{url} comes by plain http, which anybody on the way can change")
        for block in answer.blocks:
            data += block
            if len(data) > most_bytes:
                break
    return bytes(data)
