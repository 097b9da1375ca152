"""`git:PATH@REV`: the files of a commit, as they were committed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matrix.trees import git, git_objects
from matrix.trees.git_objects import GITLINK, LINK
from matrix.trees.sources import Member, Source
from matrix.trees.tree_archive import MAX_BYTES, TOO_LARGE, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine
    from matrix.trees.sources import Say

_EXECUTABLE = 0o100


def location(rest: str) -> tuple[Path, str]:
    """Return the repository and the revision of `PATH@REV`; the path's default is the current folder, REV's HEAD."""
    path, at, revision = rest.rpartition("@")
    if not at:
        path, revision = rest, "HEAD"
    return Path(path or ".").expanduser(), revision


class _Git:
    form = "git:PATH@REV"
    example = "/srv/linux@v7.1"

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return a commit as a source (see Scheme.open)."""
        del engine, say
        path, revision = location(rest)
        commit = git.commit(path, revision)
        # PATH may be a folder below the top of a repository; the tree is that folder then.
        folder = git.run(path, "rev-parse", "--show-prefix").decode("utf-8", "surrogateescape").strip()
        fixed = f"git {commit}:{folder}" if folder else f"git {commit}"
        return Source(f"{path}@{revision} ({commit[:12]})", fixed, lambda: _members(path, commit))


SCHEME = _Git()


def _members(path: Path, commit: str) -> Iterator[Member]:
    """Yield the wanted files and links of a commit, and its submodules as left out (git-archive(1) has none, too)."""
    kept = []
    for entry in git_objects.entries(path, commit, TOO_LARGE):
        if entry.mode == GITLINK:
            yield _left_out(entry.path)
        elif wanted(entry.path):
            kept.append(entry)
    contents = git_objects.contents(path, [one.name for one in kept], MAX_BYTES, TOO_LARGE)
    for entry, content in zip(kept, contents, strict=True):
        yield _member(entry, content)


def _member(entry: git_objects.Entry, content: bytes) -> Member:
    return _link(entry.path, content) if entry.mode == LINK else _file(entry, content)


def _left_out(path: str) -> Member:
    return Member(path, 0, executable=False, target=None, read=bytes, left_out="submodule")


def _link(path: str, content: bytes) -> Member:
    return Member(path, 0, executable=False, target=content.decode("utf-8", "surrogateescape"), read=bytes)


def _file(entry: git_objects.Entry, content: bytes) -> Member:
    return Member(entry.path, len(content), bool(entry.mode & _EXECUTABLE), None, lambda: content)
