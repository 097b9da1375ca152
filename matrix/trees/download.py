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
    for attempt in range(3):
        say(f"downloading {url}" + (f", try {attempt + 1}" if attempt else ""))
        try:
            if _download_rest(url, part):
                part.replace(path)
                return path
        except requests.RequestException as error:
            failure = str(error)
        else:
            failure = "the connection ended early"
    raise InfrastructureError(f"{url} could not be downloaded: {failure}", "What came is kept; try again to go on.")


def _download_rest(url: str, part: Path) -> bool:
    """Fetch what `part` lacks; return whether it is whole now."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=60) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
            return False
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        total = int(response.headers.get("Content-Length", -1))
        with part.open("ab" if resumed else "wb") as file:
            for block in response.iter_content(1 << 20):
                file.write(block)
    size = part.stat().st_size
    return total < 0 or size == total + (have if resumed else 0)
