"""The coverage of paths by a tree's .gitignore files, by the rules of gitignore(5). Pure.

pathspec matches single patterns; the precedence of patterns and files is decided here, as pathspec has no notion of
several files.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pathspec.pattern import Pattern


# One line of one file each time, for each of some thousand paths: the same few hundred lines again and again.
@lru_cache(maxsize=4096)
def _spec(text: str) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(text.split("\n"))


@lru_cache(maxsize=64)
def _own(text: str) -> str:
    """Return the top's .gitignore without the lines that cover everything: a packager's, not the tree's.

    Debian's source packages end theirs in `/*` and `!/debian/`, under which nothing could be found uncovered.
    """
    lines = text.split("\n")
    return "\n".join(line for line in lines if not _spec(line).match_file("tools/"))


def covered(path: str, ignore: Mapping[str, str]) -> bool:
    """Return whether git would ignore `path`; `ignore` maps each folder to its .gitignore's text.

    The nearest file with a matching pattern decides. Below an ignored folder no pattern can include a file again.
    """
    folders = [str(folder) for folder in PurePosixPath(path).parents if folder.name]
    return _is_ignored(path, ignore, folder=False) or any(_is_ignored(one, ignore, folder=True) for one in folders)


def _is_ignored(path: str, ignore: Mapping[str, str], *, folder: bool) -> bool:
    """Return whether patterns ignore `path` itself, regardless of the folders above it."""
    for above in PurePosixPath(path).parents:
        place = str(above) if above.name else ""
        text = ignore.get(place, "")
        relative = path[len(place) :].lstrip("/")
        # As the top's file is a packager's in part, its packaging lines are left out.
        decision = _decision(text if place else _own(text), relative, folder=folder)
        if decision is not None:
            return decision
    return False


def _decision(text: str, path: str, *, folder: bool) -> bool | None:
    """Return whether the last pattern that matches `path` ignores it; nothing where none matches."""
    for pattern in _from_the_last(text, folder=folder):
        if _matches(pattern, path, folder=folder):
            return pattern.include
    return None


def _from_the_last(text: str, *, folder: bool) -> Iterator[Pattern]:
    """Yield the patterns that can be for a folder or, else, for a file, the last first."""
    for line in reversed(text.split("\n")):
        is_for_folders = line.endswith("/")
        if folder or not is_for_folders:
            yield from _spec(line).patterns


def _matches(pattern: Pattern, path: str, *, folder: bool) -> bool:
    """Return whether a pattern is for a path; a comment or empty line is for none."""
    if pattern.include is None:
        return False
    return pattern.match_file(f"{path}/" if folder else path) is not None
