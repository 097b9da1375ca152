"""The facts of a tree's content: its files, its version, its ignored files, its content hash. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Mapping

# Linux gives every symbolic link these permission bits (symlink(7)).
LINK_MODE = 0o777
TOP_MAKEFILE = "Makefile"
IGNORE_FILE = ".gitignore"
# The assignments at the beginning of the kernel's Makefile; the first three are numbers.
_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)$", re.M)


class TreeFile(NamedTuple):
    """A file or symbolic link of a tree.

    `mode` is its permission bits, `content` the SHA-256 of a file's content or the path that a link points to.
    """

    mode: int
    content: str

    @classmethod
    def parse(cls, text: str) -> TreeFile:
        """Return the file of which `str` gave a text (`644 DIGEST`: octal mode, one space, content).

        Raises:
            ValueError: the text has another form.

        """
        mode, content = text.split(" ", 1)
        return cls(int(mode, 8), content)

    def __str__(self) -> str:
        return f"{self.mode:o} {self.content}"


@dataclass(frozen=True)
class TreeFacts:
    """The facts of a tree.

    `sha256` is its content hash; `version` the kernel's (`7.3.4`), empty where the top Makefile names none; `index`
    maps the path of each file and link to it; `ignore` maps a folder to the text of the .gitignore in it;
    `generator_has_pool` says whether jevents.py uses a pool of processes.
    """

    sha256: str
    version: str
    index: dict[str, TreeFile]
    ignore: dict[str, str]
    generator_has_pool: bool

    def with_files(self, changed: Mapping[str, TreeFile | None], told: Mapping[str, bytes]) -> TreeFacts:
        """Return the facts of this tree with the files `changed`: a map from path to file, None for a removal.

        `told` is the content of those changed files from whose content facts are taken (`is_telling`).
        """
        index = {path: file for path, file in {**self.index, **changed}.items() if file is not None}
        facts = replace(self, sha256=digest(index), index=index)
        for path, content in told.items():
            facts = _with_told(facts, path, content)
        return facts


def _with_told(facts: TreeFacts, path: str, content: bytes) -> TreeFacts:
    """Return the facts, updated by the content of one file: the top Makefile, the generator or a .gitignore."""
    if path == TOP_MAKEFILE:
        return replace(facts, version=kernel_version(_text(content)))
    if path == perf.GENERATOR:
        return replace(facts, generator_has_pool=perf.has_pool(content))
    return replace(facts, ignore={**facts.ignore, _folder(path): _text(content)})


def is_telling(path: str) -> bool:
    """Return whether facts are taken from a file's content: the top Makefile, the generator, and each .gitignore."""
    return path in (TOP_MAKEFILE, perf.GENERATOR) or is_ignore_file(path)


def digest(index: Mapping[str, TreeFile]) -> str:
    """Return a tree's content hash: the SHA-256 over the path, mode (decimal) and content of each file, by path."""
    # NUL stands between the fields, as no path and no target of a link can have one: no two indexes share a listing.
    listing = "".join(f"{path}\0{mode}\0{content}\n" for path, (mode, content) in sorted(index.items()))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


NOTHING = TreeFacts(sha256=digest({}), version="", index={}, ignore={}, generator_has_pool=False)
"""The facts of a tree without files."""


def kernel_version(makefile: str) -> str:
    """Return the version (`7.3.4`) that the text of a kernel's top Makefile names, or nothing where it names none."""
    words: dict[str, str] = dict(_VERSION.findall(makefile))
    if not words.get("VERSION"):
        return ""
    numbers = ".".join(words.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return numbers + words.get("EXTRAVERSION", "")


def is_ignore_file(path: str) -> bool:
    """Return whether a path is that of a .gitignore."""
    return path.rpartition("/")[2] == IGNORE_FILE


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
