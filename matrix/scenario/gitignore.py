"""The coverage of paths by a tree's .gitignore files, by the rules of gitignore(5), in time linear in both. Pure.

The files are a stranger's, so the patterns are matched by `name_glob` and by a loop that goes back to one place only.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from matrix.scenario import name_glob

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS = 64
"""The most names of a path, and of a pattern: the longest of perf's have twelve.

A pattern is tried on each folder of a path, from each of its names on, so that the time grows with their cube.
"""

_ANY = re.compile(".+", re.S)
_NONE = re.compile("(?!)")
"""The segment of a name that no file has."""
_MANY = None
"""The segment `**`, for any number of folders."""


@dataclass(frozen=True)
class _Rule:
    """A pattern of a .gitignore file.

    `segments` are the parts between its slashes, each the expression of a name or _MANY; a pattern without a slash has
    one and matches at any depth (`is_name`).
    """

    segments: tuple[re.Pattern[str] | None, ...]
    is_name: bool
    is_for_folders: bool
    includes_again: bool

    def matches(self, path: str, *, folder: bool) -> bool:
        """Return whether the pattern is for a path, relative to the pattern's file."""
        if self.is_for_folders and not folder:
            return False
        names = [posixpath.basename(path)] if self.is_name else path.split("/")
        return _matches(self.segments, names)


def _matches(segments: tuple[re.Pattern[str] | None, ...], names: list[str]) -> bool:
    """Return whether names fit segments, one each, and any number a `**`.

    Where a name does not fit, only the last `**` before it can take one name more.
    """
    at = begun = 0
    many = -1
    done = 0
    while done < len(names):
        segment = segments[at] if at < len(segments) else _ANY
        if segment is _MANY:
            many, begun, at = at, done, at + 1
        elif at < len(segments) and segment.fullmatch(names[done]):
            at, done = at + 1, done + 1
        elif many >= 0:
            at, begun = many + 1, begun + 1
            done = begun
        else:
            return False
    return all(segment is _MANY for segment in segments[at:])


# The files of a tree are the same for each of its cells.
@lru_cache(maxsize=1024)
def _rules(text: str) -> tuple[_Rule, ...]:
    """Return the patterns of a file's text, the last first, as the last that matches decides."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    rules = map(_rule, map(_without_blanks, lines))
    return tuple(filter(None, rules))[::-1]


def _without_blanks(line: str) -> str:
    """Return a line without the blanks at its end, of which a backslash keeps one."""
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    is_kept = backslashes % 2 == 1 and len(bare) < len(line)
    return f"{bare} " if is_kept else bare


def _rule(line: str) -> _Rule | None:
    """Return the pattern of a line, None for a comment, an empty line, or a pattern that can match no path."""
    if line.startswith("#"):
        return None
    glob = line.removeprefix("!")
    bare = glob.removesuffix("/")
    is_name = "/" not in bare
    parts = [bare] if is_name else bare.removeprefix("/").split("/")
    segments = tuple(_segments(parts))
    names = [segment for segment in segments if segment is not _MANY]
    if not bare or _NONE in segments or len(names) > LEVELS:
        return None
    return _Rule(segments, is_name, glob.endswith("/"), line.startswith("!"))


def _segments(parts: list[str]) -> list[re.Pattern[str] | None]:
    """Return the segments of a pattern; `**` at its end is for all below a folder, and not for the folder."""
    if len(parts) == 1:
        return [name_glob.compiled(parts[0]) or _NONE]
    found = list[re.Pattern[str] | None]()
    for segment in map(_segment, parts):
        if segment is not _MANY or found[-1:] != [_MANY]:  # several in a row are one
            found.append(segment)
    if found[-1] is _MANY:
        found.insert(-1, _ANY)
    return found


def _segment(part: str) -> re.Pattern[str] | None:
    is_many = len(part) > 1 and not part.strip("*")
    return _MANY if is_many else name_glob.compiled(part) or _NONE


class IgnoreFiles:
    """The .gitignore files of a tree; `ignore` maps the folder of each to its text.

    Debian's source packages end the top's in `/*` and `!/debian/`, under which nothing could be found uncovered: the
    top's patterns that cover everything are a packager's, not the tree's, and are left out.
    """

    def __init__(self, ignore: Mapping[str, str]) -> None:
        self._files = {folder: _rules(text) for folder, text in ignore.items()}
        self._files[""] = tuple(rule for rule in self._files.get("", ()) if not _covers_everything(rule))
        self._folders = {"": _Folder(is_ignored=False, places=("",))}

    def covers(self, path: str) -> bool:
        """Return whether git would ignore a file of this path.

        The nearest file with a matching pattern decides. Below an ignored folder no pattern can include a file again.
        A path of more than LEVELS names counts as covered by none.
        """
        if path.count("/") >= LEVELS:
            return False
        folder = self._folder(posixpath.dirname(path))
        return folder.is_ignored or self._is_ignored(path, folder.places, is_folder=False)

    def _folder(self, path: str) -> _Folder:
        """Return the facts of a folder; each folder is looked at once, after the one above it."""
        unknown = []
        folder = path
        while folder not in self._folders:  # the top is
            unknown.append(folder)
            folder = _above(folder)
        for one in reversed(unknown):
            above = self._folders[_above(one)]
            is_ignored = above.is_ignored or self._is_ignored(one, above.places, is_folder=True)
            places = (one, *above.places) if one in self._files else above.places
            self._folders[one] = _Folder(is_ignored, places)
        return self._folders[path]

    def _is_ignored(self, path: str, places: tuple[str, ...], *, is_folder: bool) -> bool:
        """Return whether patterns of the files in `places` ignore `path` itself, regardless of the folders above it."""
        for place in places:
            relative = path[len(place) :].removeprefix("/")
            for rule in self._files[place]:
                if rule.matches(relative, folder=is_folder):
                    return not rule.includes_again
        return False


@dataclass(frozen=True)
class _Folder:
    """A folder: whether it is ignored, and which folders on the way to it, the nearest first, have a .gitignore."""

    is_ignored: bool
    places: tuple[str, ...]


def _above(path: str) -> str:
    """Return the folder above a path; the top is empty."""
    return path.rpartition("/")[0]


def _covers_everything(rule: _Rule) -> bool:
    return not rule.includes_again and rule.matches("tools", folder=True)


def covered(path: str, ignore: Mapping[str, str]) -> bool:
    """Return whether git would ignore `path`; `ignore` maps each folder to its .gitignore's text."""
    return IgnoreFiles(ignore).covers(path)
