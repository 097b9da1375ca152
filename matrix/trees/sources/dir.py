"""`dir:PATH`: a folder as it is now; of a git checkout, its tracked files and the new ones that are not ignored."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from matrix.errors import UsageError
from matrix.trees import git
from matrix.trees.sources import Member, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine
    from matrix.trees.sources import Say

_EXECUTABLE = 0o100


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


def _members(path: Path) -> Iterator[Member]:
    """Yield the files and links of a folder; pipes, sockets, devices and submodules are left out."""
    tracked = _tracked(path)
    for name in _below(path) if tracked is None else tracked:
        file = path / name
        if file.is_symlink():
            yield Member(name, 0, executable=False, target=str(file.readlink()), read=bytes)
        elif file.is_file():
            entry = file.stat()
            yield Member(name, entry.st_size, bool(entry.st_mode & _EXECUTABLE), None, file.read_bytes)


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
    return os.path.lexists(path / name) and not is_behind_link


def _below(path: Path) -> Iterator[str]:
    """Yield all files and links below a folder, sorted in each folder, without `.git` folders."""
    for name, folders, files in os.walk(path):
        folder = Path(name)
        folders[:] = sorted({*folders} - {".git"})  # os.walk goes on into the folders that are left in its list
        # os.walk lists a link to a folder among the folders, and does not follow it.
        files += [link for link in folders if (folder / link).is_symlink()]
        yield from (str((folder / file).relative_to(path)) for file in sorted(files))
