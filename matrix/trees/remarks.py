"""Remarks on a tree: sentences on files that are left out of it, or that do not have the content of their source."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Iterator

LEADS_OUT = "a symbolic link leads out of the tree, to the image's files"
LFS_POINTER = "a file is a pointer of Git LFS, not the content that it stands for"
SHOWN = 3
"""The number of paths that a remark names."""

# The first line and the largest size of a pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_LFS_LINE = b"version https://git-lfs.github.com/spec/"
_LFS_BYTES = 1024


class Remarks:
    """The remarks on one tree: the number of paths that each is about, and the first of the paths."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, remark: str, path: str) -> None:
        """Add a path that a remark is about."""
        self._counts[remark] = self._counts.get(remark, 0) + 1
        if self._counts[remark] <= SHOWN:
            self._first.setdefault(remark, []).append(path)

    def lines(self) -> Iterator[str]:
        """Yield each remark, a line without control characters, with the first of its paths."""
        for remark, count in self._counts.items():
            paths = ", ".join(short(path) for path in self._first[remark])
            more = f" and {count - SHOWN} more" if count > SHOWN else ""
            yield f"{remark}: {paths}{more}"


def left_out(kind: str) -> str:
    """Return the remark that an entry of a kind (`pipe`, `submodule`) is left out."""
    return f"a {kind} is left out of the tree"


def leads_out(path: str, target: str) -> bool:
    """Return whether the target of the symbolic link at `path` is outside of the tree."""
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return end == ".." or end.startswith(("/", "../"))


def climbs_out(path: str, target: str) -> bool:
    """Return whether a link's relative target is above the folder that the tree lies in.

    Docker unpacks a tree in a folder of its volume, and refuses an archive with a link to above the volume's top.
    """
    end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return end == "../.." or end.startswith("../../")


def is_lfs_pointer(content: bytes) -> bool:
    """Return whether a file's content is that of a pointer of Git LFS."""
    return len(content) <= _LFS_BYTES and content.startswith(_LFS_LINE)
