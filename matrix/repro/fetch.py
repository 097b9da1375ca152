"""The bytes of a bundle, from a file or from an http(s) address: never more of them than a bundle can have."""

from __future__ import annotations

import re
import time
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from matrix.errors import InfrastructureError, UsageError

# The longest download: the timeout of requests is only for the silence between two blocks.
PATIENCE_S = 600
BLOCK_BYTES = 1 << 20


def fetched(place: str, most_bytes: int) -> bytes:
    """Return the content of a file or of an http(s) address, cut soon after `most_bytes`.

    A content that is longer than `most_bytes` tells the caller that the file is too large.

    Raises:
        UsageError: the file does not exist, or the address is none of http or https.
        InfrastructureError: the address could not be fetched, or is too slow.

    """
    return _download(place, most_bytes) if "://" in place else _read(Path(place).expanduser(), most_bytes)


def _read(path: Path, most_bytes: int) -> bytes:
    if not path.is_file():
        raise UsageError(f"{path} is no file", "--from takes a bundle: a file, or its http(s) address.")
    with path.open("rb") as file:
        return file.read(most_bytes + 1)


def _download(url: str, most_bytes: int) -> bytes:
    """Return the body of an address's answer as it was sent, cut soon after `most_bytes`."""
    if not re.match(r"https?://", url):
        raise UsageError(f"{url} is no http or https address", "--from takes a bundle: a file, or its http(s) address.")
    deadline = time.monotonic() + PATIENCE_S
    data = bytearray()
    try:
        with requests.get(url, headers={"Accept-Encoding": "identity"}, stream=True, timeout=60) as response:
            response.raise_for_status()
            # `raw` without decoding: a compressed body could unpack to any size.
            for block in response.raw.stream(BLOCK_BYTES, decode_content=False):
                data += block
                if len(data) > most_bytes:
                    break
                if time.monotonic() > deadline:
                    raise InfrastructureError(f"{url} is too slow: {len(data)} bytes in {PATIENCE_S} s", "Try again.")
    except (requests.RequestException, HTTPError) as error:
        raise InfrastructureError(f"{url} could not be fetched: {error}", "Is the address right?") from error
    return bytes(data)
