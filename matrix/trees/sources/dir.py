"""`dir:PATH`: a folder as it is now; of a git checkout, its tracked files and the new ones that are not ignored."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from matrix.errors import UsageError, from_system
from matrix.trees import git
from matrix.trees.sources import Member, Source
from matrix.trees.tree_archive import DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine
    from matrix.errors import MatrixError
    from matrix.trees.sources import Say

_EXECUTABLE = 0o100
# git lists a submodule, and a repository inside of another one, as a folder.
_KINDS = {stat.S_IFDIR: "submodule", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


class _Dir:
    form = "dir:PATH"
    example = "/srv/linux"

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return a folder as a source, whose content may change (see Scheme.open)."""
        del engine, say
        path = Path(rest).expanduser()
        if not path.is_dir():
            raise UsageError(f"{path} is no folder", "dir:PATH names the top folder of a kernel source tree.")
        return Source(str(path), "", lambda: _members(path))


SCHEME = _Dir()
_GONE = (FileNotFoundError, NotADirectoryError)


def _members(path: Path) -> Iterator[Member]:
    """Yield the files and links of a folder; pipes, sockets, devices and submodules as left out."""
    tracked = _tracked(path)
    for name in _below(path) if tracked is None else tracked:
        yield _member(name, path / name)


def _member(name: str, file: Path) -> Member:
    try:
        entry = file.lstat()
    except _GONE as error:
        raise _changed(file) from error
    except OSError as error:
        raise _unreadable(file, error) from error
    if stat.S_ISLNK(entry.st_mode):
        return Member(name, 0, executable=False, target=str(file.readlink()), read=bytes)
    if stat.S_ISREG(entry.st_mode):
        is_executable = bool(entry.st_mode & _EXECUTABLE)
        return Member(name, entry.st_size, is_executable, None, lambda: _content(file, entry.st_size))
    kind = _KINDS.get(stat.S_IFMT(entry.st_mode), "device")
    # git names a repository inside of another one with a `/` at the end.
    return Member(name.rstrip("/"), 0, executable=False, target=None, read=bytes, left_out=kind)


def _content(file: Path, size_bytes: int) -> bytes:
    """Return the content of a file of this size.

    Raises:
        UsageError: the file cannot be read, or has grown or shrunk since.

    """
    try:
        with file.open("rb") as opened:
            content = opened.read(size_bytes + 1)
    except OSError as error:
        raise _unreadable(file, error) from error
    if len(content) != size_bytes:
        raise _changed(file)
    return content


def _changed(file: Path) -> UsageError:
    return UsageError(f"{file} changed while it was read", "Try again when nothing writes to the folder.")


def _tracked(path: Path) -> list[str] | None:
    """Return the tracked files of a git checkout and its new ones that are not ignored; None for another folder.

    A folder inside of a checkout that ignores all of it counts as another folder.

    Raises:
        UsageError: the folder is a checkout that git cannot read; the message has git's own words.

    """
    is_checkout = (path / ".git").exists()
    if not is_checkout and not shutil.which("git"):
        return None
    listed = git.attempt(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        _refuse_unreadable_checkout(path, listed.stderr.decode(errors="replace").strip())
        return None
    # A set, as a file with a merge conflict is listed once for each side of it.
    names = sorted(set(listed.stdout.decode("utf-8", "surrogateescape").split("\0")) - {""})
    if not names and not is_checkout:
        return None
    return [name for name in names if _is_there(path, name)]


def _refuse_unreadable_checkout(path: Path, said: str) -> None:
    """Refuse a checkout that git cannot read, with git's words; a folder whose `.git` is no repository is none."""
    marker = path / ".git"
    is_no_repository = marker.is_dir() and "not a git repository" in said
    if marker.exists() and not is_no_repository:
        raise UsageError(f"git ls-files failed in {path}: {said}", "Mend the repository, or name a copy without .git.")


def _is_there(path: Path, name: str) -> bool:
    """Return whether a name of git's index is a file of the folder now, and no folder above it is a symbolic link.

    A link could lead out of the tree; the top folder itself may be one.
    """
    folders = PurePath(name).parents[:-1]  # the last is the folder itself
    is_behind_link = any((path / folder).is_symlink() for folder in folders)
    return not is_behind_link and not _is_gone(path / name)


def _is_gone(file: Path) -> bool:
    """Return whether there is no such file; one that a failing disk does not show is there (see `_member`)."""
    try:
        file.lstat()
    except OSError as error:
        return isinstance(error, _GONE)
    return False


def _below(path: Path) -> Iterator[str]:
    """Yield all entries below a folder that are no folders, sorted in each folder, without `.git` folders.

    Raises:
        UsageError: a folder cannot be read, or more than DEPTH of them are inside each other.

    """
    waiting = [""]
    while waiting:
        above = waiting.pop()
        if above.count("/") > DEPTH:
            raise UsageError(f"{path} has more than {DEPTH} folders inside each other", "No kernel tree has.")
        prefix = f"{above}/" if above else ""
        folders, others = _entries(path / above)
        yield from (prefix + name for name in others)
        waiting += [prefix + name for name in reversed(folders)]


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's folders, without `.git`, and of its other entries, both sorted."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=_name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    folders = list(filter(_is_folder, entries))
    others = itertools.filterfalse(_is_folder, entries)
    return [name for name in map(_name, folders) if name != ".git"], list(map(_name, others))


def _unreadable(path: Path, error: OSError) -> MatrixError:
    return from_system(f"{path} cannot be read: {error.strerror}", "Mend its mode, or name a copy.", error)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
