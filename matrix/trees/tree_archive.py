"""A tree as one normalised tar archive, below the folder `tree/`: owner, dates and modes are the same for any source.

Trees are untrusted: their paths are checked here, once, and no file of a tree is unpacked on this host.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from matrix.engine.api import UID
from matrix.errors import UsageError
from matrix.scenario import perf
from matrix.trees import facts, remarks
from matrix.trees.facts import LINK_MODE, TreeFacts, TreeFile
from matrix.trees.remarks import Remarks
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.trees.sources import Member

MTIME = 946684800  # 2000-01-01: older than anything a build writes
TOP = "tree"
# Bounds above those of a whole kernel tree, as the source may be a stranger's: 7.3 has 1.8 GB in 92,000 files, the
# largest of 24 MB; its paths have at most 11 folders.
MAX_BYTES = 8 << 30
MAX_FILES = 250_000
FILE_BYTES = 256 << 20
PATHS_BYTES = 32 << 20
"""The most bytes of all paths together: the index of the tree is in memory, and in a file of the cache."""
DEPTH = 64
PATH_BYTES = 4095
"""The longest path that Linux takes: PATH_MAX without the NUL at its end, as for NAME_BYTES and NAME_MAX."""
NAME_BYTES = 255
TOO_LARGE = "the tree is larger than any kernel"


class TreeWriter:
    """The writer of a tree's archive: it adds files, links and whiteouts, and the folders above each."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._folders: set[str] = set()
        self._add_folder(TOP)

    def file(self, path: str, mode: int, content: bytes) -> None:
        """Add a file with its permission bits."""
        info = self._entry(path)
        info.size, info.mode = len(content), mode
        self._archive.addfile(info, io.BytesIO(content))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link, which may lead anywhere, as nothing on this host follows it.

        Raises:
            UsageError: the target is none that a file system takes.

        """
        _check_target(path, target)
        info = self._entry(path)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._archive.addfile(info)

    def whiteout(self, path: str) -> None:
        """Add a whiteout, which hides a file of the layers below.

        A whiteout is a character device with the numbers 0, 0: https://docs.kernel.org/filesystems/overlayfs.html
        """
        info = self._entry(path)
        info.type = tarfile.CHRTYPE
        self._archive.addfile(info)

    def is_folder(self, path: str) -> bool:
        """Return whether a path is a folder that was added."""
        return f"{TOP}/{path}" in self._folders

    def _entry(self, path: str) -> tarfile.TarInfo:
        name = f"{TOP}/{path}"
        self._add_folder(name.rpartition("/")[0])
        return _owned(name)

    def _add_folder(self, name: str) -> None:
        """Add a folder and those above it, unless they are there already."""
        if name in self._folders:
            return
        above = name.rpartition("/")[0]
        if above:
            self._add_folder(above)
        self._folders.add(name)
        info = _owned(name)
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        self._archive.addfile(info)


def _owned(name: str) -> tarfile.TarInfo:
    """Return an archive's header with the owner and the mtime of all files of a tree; the owner is the cells' user."""
    info = tarfile.TarInfo(name)
    info.uid = info.gid = UID
    info.mtime = MTIME
    return info


class _TreeCopy:
    """A tree that is being copied into an archive: the index of its files so far, and the contents that give facts."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._writer = TreeWriter(archive)
        self._size_bytes = 0
        self._paths_bytes = 0
        self.index: dict[str, TreeFile] = {}
        self.told: dict[str, bytes] = {}
        self.remarks = Remarks()

    def add(self, path: str, member: Member) -> None:
        if member.left_out:
            self.remarks.add(remarks.left_out(member.left_out), path)
            return
        self._check_is_new(path)
        self._check_size(path, member)
        if member.target is None:
            # Two modes, as git has them: umask and owner of a source folder do not count.
            self._add_file(path, 0o755 if member.executable else 0o644, member.read())
        else:
            self._add_link(path, member.target)

    def _add_file(self, path: str, mode: int, content: bytes) -> None:
        self._writer.file(path, mode, content)
        self.index[path] = TreeFile(mode, hashlib.sha256(content).hexdigest())
        if facts.is_telling(path):
            self.told[path] = content
        if remarks.is_lfs_pointer(content):
            self.remarks.add(remarks.LFS_POINTER, path)

    def _add_link(self, path: str, target: str) -> None:
        if remarks.climbs_out(path, target):
            raise UsageError(
                f"the symbolic link {short(path)!r} climbs out of the tree, to {short(target)!r}",
                "No engine unpacks such a link: let it stay in the tree, or begin with a slash.",
            )
        self._writer.link(path, target)
        self.index[path] = TreeFile(LINK_MODE, target)
        if remarks.leads_out(path, target):
            self.remarks.add(remarks.LEADS_OUT, path)

    def _check_is_new(self, path: str) -> None:
        """Refuse a path that is in the tree already, or lies below a file or a link, which could lead out of it."""
        is_of_file = any(str(part) in self.index for part in (path, *PurePosixPath(path).parents))
        if is_of_file or self._writer.is_folder(path):
            raise UsageError(
                f"the tree holds a path twice: {path!r}", "A file, a link and a folder cannot share a name."
            )

    def _check_size(self, path: str, member: Member) -> None:
        self._size_bytes += member.size
        self._paths_bytes += len(path) + len(member.target or "")
        if member.size > FILE_BYTES:
            raise UsageError(f"{TOO_LARGE}: {short(path)!r} has {member.size} bytes", f"At most {FILE_BYTES} a file.")
        if self._size_bytes > MAX_BYTES or len(self.index) >= MAX_FILES:
            raise UsageError(TOO_LARGE, f"At most {MAX_BYTES} bytes in {MAX_FILES} files.")
        if self._paths_bytes > PATHS_BYTES:
            raise UsageError(f"{TOO_LARGE}: the paths of its files are", f"At most {PATHS_BYTES} bytes of paths.")


def write(members: Iterator[Member], archive: tarfile.TarFile, remark: Callable[[str], None]) -> TreeFacts:
    """Copy the members that are wanted into `archive`, normalised, and return the tree's facts.

    `remark` is called with a line for each kind of thing that is left out, or that is not what it seems to be.

    Raises:
        UsageError: a path leads out of the tree or comes twice, or the tree is beyond a bound of this module.

    """
    copy = _TreeCopy(archive)
    for member in members:
        path = checked(member.path)
        if wanted(path):
            copy.add(path, member)
    for line in copy.remarks.lines():
        remark(line)
    return facts.NOTHING.with_files(copy.index, copy.told)


def wanted(path: str) -> bool:
    """Return whether a path of a kernel tree is one that tools/perf may need: the top's files and perf.PARTS."""
    return "/" not in path or path.startswith(perf.PARTS)


def checked(path: str) -> str:
    """Return `path` if it stays inside the tree, and a file system takes it.

    Raises:
        UsageError: the path is absolute or empty, has a part `.` or `..`, or a NUL byte, or is too long or too deep.

    """
    parts = path.split("/")
    encoded = path.encode("utf-8", "surrogateescape")
    is_long = len(encoded) > PATH_BYTES or max(map(len, encoded.split(b"/"))) > NAME_BYTES
    if is_long or len(parts) > DEPTH:
        most = f"At most {DEPTH} folders, {NAME_BYTES} bytes a name and {PATH_BYTES} a path."
        raise UsageError(f"the tree holds a path that is too long or too deep: {short(path)!r}", most)
    if not {"", ".", ".."}.isdisjoint(parts) or "\0" in path:
        raise UsageError(f"the tree holds a path that leads out of it: {path!r}")
    return path


def _check_target(path: str, target: str) -> None:
    """Refuse the target of the link at `path` where it is empty or too long, or has a NUL byte."""
    if not target or "\0" in target or len(target) > PATH_BYTES:
        raise UsageError(
            f"the tree holds a link that no file system takes: {short(path)!r}", f"At most {PATH_BYTES} bytes, no NUL."
        )
