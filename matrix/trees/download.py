"""Downloads over http(s) into the cache; one that broke off is resumed by a range request (RFC 9110, section 14)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import requests

from matrix.engine import cache
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.trees.sources import Say

TRIES = 3
# The longest silence of a server, not the time of a download: a tree of 160 MB takes minutes on a slow line.
TIMEOUT_S = 60
BLOCK_BYTES = 1 << 20


def download(url: str, say: Say) -> Path:
    """Return the path of the file at `url`, from the cache or fetched now; a part that is there is completed.

    Raises:
        InfrastructureError: the file could not be fetched whole.

    """
    # A folder for each address: two addresses may end in the same name.
    folder = cache.folder(Part.DOWNLOADS) / hashlib.sha256(url.encode()).hexdigest()[:16]
    path = folder / (url.rpartition("/")[2] or "tree.tar")
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failure = ""
    for attempt in range(1, TRIES + 1):
        say(f"downloading {url}" if attempt == 1 else f"downloading {url}, try {attempt}")
        failure = _failure(url, part)
        if not failure:
            part.replace(path)
            return path
    raise InfrastructureError(
        f"{url} could not be downloaded: {failure}", "Try again: the next try continues this one."
    )


def _failure(url: str, part: Path) -> str:
    """Fetch the bytes that the file `part` lacks; return the reason if it is still not whole, or nothing."""
    try:
        is_whole = _download_rest(url, part)
    except requests.RequestException as error:
        return str(error)
    return "" if is_whole else "the connection ended early"


def _download_rest(url: str, part: Path) -> bool:
    """Fetch the bytes that the file `part` lacks; return whether it is whole now."""
    have_bytes = part.stat().st_size if part.exists() else 0
    # Ranges and Content-Length count the bytes that are sent, so these must be the file's own.
    headers = {"Accept-Encoding": "identity"}
    if have_bytes:
        headers["Range"] = f"bytes={have_bytes}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        # The part is longer than the file, which another has replaced: the next try begins anew.
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return False
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:  # the server knows no ranges and begins anew
            part.unlink(missing_ok=True)
            have_bytes = 0
        _append(response, part)
        coming_bytes = response.headers.get("Content-Length")
    # requests ends a body that is cut short without an error: https://github.com/psf/requests/issues/4956
    return coming_bytes is None or part.stat().st_size == have_bytes + int(coming_bytes)


def _append(response: requests.Response, part: Path) -> None:
    with part.open("ab") as file:
        for block in response.iter_content(BLOCK_BYTES):
            file.write(block)
