"""`tar:FILE-or-URL`: a tar archive with a kernel tree in one folder; a URL may end in `#sha256=DIGEST`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import InfrastructureError, UsageError
from matrix.trees import tar_members
from matrix.trees.download import download
from matrix.trees.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine
    from matrix.trees.sources import Member, Say


class _Tar:
    form = "tar:FILE-or-URL"
    example = "/srv/linux-7.1.tar.xz"

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return an archive as a source (see Scheme.open)."""
        del engine
        path, expected = _file(rest, say)
        if not path.is_file():
            raise UsageError(f"{path} is no file", "tar:FILE-or-URL names a tar archive of a kernel source tree.")
        digest = _digest(path)
        if expected and digest != expected:
            path.unlink()  # or the next try would find it in the cache
            raise InfrastructureError(
                f"{rest}: the sha256 of the download is {digest}", "The download was removed; try again."
            )
        return Source(path.name, f"tar {digest}", lambda: _members(path))


SCHEME = _Tar()


def _file(rest: str, say: Say) -> tuple[Path, str]:
    """Return the archive's path, downloaded from a URL, and the SHA-256 that the URL names, or nothing."""
    if not rest.startswith(("http://", "https://")):
        return Path(rest).expanduser(), ""
    url, _, fragment = rest.partition("#")
    expected = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
    return download(url, say), expected


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _members(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        yield from tar_members.members(file, str(path))
