"""Whether a tree's .gitignore files cover a path. Pure; the patterns are pathspec's, as gitignore(5) has them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def _last_word(text: str, path: str, *, folder: bool) -> bool | None:
    """Return whether the last pattern that matches `path` itself ignores it; nothing where none matches."""
    for line in reversed(text.split("\n")):
        if line.endswith("/") and not folder:
            continue
        for pattern in _spec(line).patterns:
            if pattern.include is not None and pattern.match_file(f"{path}/" if folder else path) is not None:
                return pattern.include
    return None


def covered(path: str, ignore: Mapping[str, str]) -> bool:
    """Return whether git would ignore `path`; `ignore` maps each folder to its .gitignore's text.

    The nearest file that has a say decides; once a folder above is ignored, nothing below it can be taken back.
    """
    parts = path.split("/")
    return any(
        _decided("/".join(parts[: depth + 1]), ignore, folder=depth + 1 < len(parts)) for depth in range(len(parts))
    )


def _decided(path: str, ignore: Mapping[str, str], *, folder: bool) -> bool:
    above = path.rpartition("/")[0]
    while True:
        text = ignore.get(above)
        if text is not None:
            text = text if above else _own(text)
            relative = path[len(above) + 1 :] if above else path
            said = _last_word(text, relative, folder=folder)
            if said is not None:
                return said
        if not above:
            return False
        above = above.rpartition("/")[0]
