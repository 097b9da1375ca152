"""A tree as one normalised archive, known by the hash of its content."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from matrix import paths
from matrix.engine.api import UID
from matrix.errors import UsageError
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matrix.trees import sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MTIME = 946684800  # 2000-01-01: older than anything a build writes
Index = dict[str, list[Any]]


def digest(index: Mapping[str, Sequence[Any]]) -> str:
    """Return a tree's content hash: over each path, mode and content, sorted by path."""
    listing = "".join(f"{path}\0{mode}\0{content}\n" for path, (mode, content) in sorted(index.items()))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an archive's header with the owner and date that everything in a tree has."""
    info.uid = info.gid = UID
    info.mtime = MTIME
    return info


def add_folder(archive: tarfile.TarFile, path: str, folders: set[str]) -> None:
    """Add a folder and those above it to an archive, unless they are there already."""
    if path in folders:
        return
    if "/" in path:
        add_folder(archive, path.rpartition("/")[0], folders)
    folders.add(path)
    info = owned(tarfile.TarInfo(path))
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(info)


MAX_BYTES = 8 << 30
MAX_FILES = 1_000_000
TOO_LARGE = "the tree is larger than any kernel"


def wanted(path: str) -> bool:
    """Return whether a path of a kernel tree is one that tools/perf may need: the top's files and perf.PARTS."""
    return "/" not in path or path.startswith(perf.PARTS)


def path_of(digest: str) -> Path:
    """Return where the archive of the tree with this content hash is kept."""
    return paths.cache() / "trees" / f"{digest}.tar"


def write(members: Iterator[sources.Member], archive: tarfile.TarFile) -> dict[str, Any]:
    """Copy the members that are wanted into `archive`, normalised, and return what is to be known of them.

    The hash is over each path, mode and content, sorted by path, so it does not depend on the source's kind.

    Raises:
        UsageError: a path leads out of the tree, or the tree is beyond all bounds.

    """
    index: dict[str, list[Any]] = {}
    ignore: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    folders: set[str] = set()
    size = 0
    add_folder(archive, "tree", folders)
    for member in members:
        path = checked(member.path)
        if not wanted(path):
            continue
        if (
            path in index
            or any(str(parent) in index for parent in PurePosixPath(path).parents)
            or f"tree/{path}" in folders
        ):
            raise UsageError(
                f"the tree holds a path twice: {path!r}", "A file, a link and a folder cannot share a name."
            )
        size += member.size
        if size > MAX_BYTES or len(index) > MAX_FILES:
            raise UsageError(TOO_LARGE, f"At most {MAX_BYTES} bytes in {MAX_FILES} files.")
        if "/" in path:
            add_folder(archive, f"tree/{path.rpartition('/')[0]}", folders)
        index[path] = _add(archive, path, member, kept, ignore)
    return {
        "sha256": digest(index),
        "version": kernel_version(kept.get("Makefile", b"").decode(errors="replace")),
        "index": index,
        "ignore": ignore,
        "generator_has_pool": perf.has_pool(kept.get(perf.GENERATOR, b"")),
    }


def _add(
    archive: tarfile.TarFile,
    path: str,
    member: sources.Member,
    kept: dict[str, bytes],
    ignore: dict[str, str],
) -> list[Any]:
    info = owned(tarfile.TarInfo(f"tree/{path}"))
    if member.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, member.target
        archive.addfile(info)
        return [0o777, member.target]
    content = member.read()
    info.size, info.mode = len(content), 0o755 if member.executable else 0o644
    archive.addfile(info, io.BytesIO(content))
    if path in ("Makefile", perf.GENERATOR):
        kept[path] = content
    if path.rpartition("/")[2] == ".gitignore":
        ignore[path.rpartition("/")[0]] = content.decode(errors="replace")
    return [info.mode, hashlib.sha256(content).hexdigest()]


def checked(path: str) -> str:
    """Return `path` if it stays inside the tree.

    Raises:
        UsageError: it is absolute, has a `..`, or is no name at all.

    """
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"the tree holds a path that leads out of it: {path!r}")
    return path


def kernel_version(makefile: str) -> str:
    """Return the version (`7.3.4`) that the text of a kernel's top Makefile names, or nothing where it names none."""
    words = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)$", makefile, re.M))
    numbers = ".".join(words.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return (numbers + words.get("EXTRAVERSION", "")) if words.get("VERSION") else ""
