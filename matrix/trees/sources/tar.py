"""`tar:FILE-or-URL`: a tar archive with a kernel tree in one folder; a URL may end in `#sha256=DIGEST`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.errors import UsageError
from matrix.trees import tar_members, transfer
from matrix.trees.download import download
from matrix.trees.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine
    from matrix.trees.sources import Member, Say


_DIGEST = re.compile(r"[0-9a-f]{64}")


class _Tar:
    form = "tar:FILE-or-URL"
    example = "/srv/linux-7.1.tar.xz"

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return an archive as a source (see Scheme.open)."""
        del engine
        path, digest = _downloaded(rest, say) if transfer.is_address(rest) else _local(Path(rest).expanduser())
        return Source(path.name, f"tar {digest}", lambda: _members(path))


SCHEME = _Tar()


def _local(path: Path) -> tuple[Path, str]:
    """Return the path of an archive of this machine, and its SHA-256."""
    if not path.is_file():
        raise UsageError(f"{path} is no file", "tar:FILE-or-URL names a tar archive of a kernel source tree.")
    return path, files.sha256(path)


def _downloaded(rest: str, say: Say) -> tuple[Path, str]:
    """Return the path of an archive in the cache, and its SHA-256, which is the one that `#sha256=` names if there."""
    url, _, fragment = rest.partition("#")
    expected = fragment.removeprefix("sha256=").lower()
    if fragment and not (fragment.startswith("sha256=") and _DIGEST.fullmatch(expected)):
        raise UsageError(f"{fragment!r} is no checksum", "The only one that is known is #sha256=, and 64 hex digits.")
    path, found = download(url, expected, say)
    return path, found.sha256


def _members(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        yield from tar_members.members(file, str(path))
