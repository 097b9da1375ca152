"""Downloads, resumed where they broke off."""

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
TIMEOUT_S = 60
BLOCK_BYTES = 1 << 20


def download(url: str, say: Say) -> Path:
    """Return the file at `url`, from the cache or fetched; what an earlier try left is taken up again.

    Raises:
        InfrastructureError: it could not be fetched whole.

    """
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
    raise InfrastructureError(f"{url} could not be downloaded: {failure}", "What came is kept; try again to go on.")


def _failure(url: str, part: Path) -> str:
    """Fetch what `part` lacks, and return why it is not whole then; nothing where it is."""
    try:
        is_whole = _download_rest(url, part)
    except requests.RequestException as error:
        return str(error)
    return "" if is_whole else "the connection ended early"


def _download_rest(url: str, part: Path) -> bool:
    """Fetch what `part` lacks; return whether it is whole now."""
    have_bytes = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have_bytes:
        headers["Range"] = f"bytes={have_bytes}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return False
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:  # the server begins anew
            part.unlink(missing_ok=True)
            have_bytes = 0
        _append(response, part)
        coming_bytes = response.headers.get("Content-Length")
    return coming_bytes is None or part.stat().st_size == have_bytes + int(coming_bytes)


def _append(response: requests.Response, part: Path) -> None:
    with part.open("ab") as file:
        for block in response.iter_content(BLOCK_BYTES):
            file.write(block)
