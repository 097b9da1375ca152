"""The facts of a tree's content: its files, its version, its ignored files, its content hash. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from matrix.errors import UsageError
from matrix.scenario import perf
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Mapping

# Linux gives every symbolic link these permission bits (symlink(7)).
LINK_MODE = 0o777
TOP_MAKEFILE = "Makefile"
VERSION_FILE = "PERF-VERSION-FILE"
"""The file with the version in perf's own source package, which has no top Makefile (`make perf-tarxz-src-pkg`)."""
IGNORE_FILE = ".gitignore"
HASH_VERSION = "perf-matrix tree 2"
"""The version of the content hash's input; version 1 had no lengths, so that two trees could share one input."""
# Bounds of the files that facts are taken from: 7.3's Makefile has 70 KiB, its largest .gitignore 170 lines.
TOLD_BYTES = 4 << 20
IGNORE_BYTES = 64 << 10
IGNORE_LINES = 2000
# The assignments at the beginning of the kernel's Makefile; the first three are numbers.
_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)$", re.M)
_PACKAGE_VERSION = re.compile(r'^#define PERF_VERSION "(\d{1,9}\.\d{1,9}(?:\.\d{1,9})?)', re.M | re.A)


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

    `sha256` is its content hash; `version` the kernel's (`7.3.4`), empty where neither the top Makefile nor, without
    one, PERF-VERSION-FILE names it; `index`
    maps the path of each file and link to it; `ignore` maps a folder to the text of the .gitignore in it;
    `generator_has_pool` says whether jevents.py uses a pool of processes.
    """

    sha256: str
    version: str
    index: dict[str, TreeFile]
    ignore: dict[str, str]
    generator_has_pool: bool

    @property
    def ignore_texts(self) -> dict[str, str]:
        """The folders' .gitignore texts; perf's own source package, which is in no repository, ignores what is made."""
        return self.ignore if TOP_MAKEFILE in self.index else {"tools": "*"}

    def with_files(self, changed: Mapping[str, TreeFile | None], told: Mapping[str, bytes]) -> TreeFacts:
        """Return the facts of this tree with the files `changed`: a map from path to file, None for a removal.

        `told` is the content of those changed files from whose content facts are taken (`is_telling`).
        """
        index = {path: file for path, file in {**self.index, **changed}.items() if file is not None}
        facts = replace(self, sha256=digest(index), index=index, ignore={**self.ignore, **_ignore(told)})
        if TOP_MAKEFILE in told:
            facts = replace(facts, version=kernel_version(_text(told[TOP_MAKEFILE])))
        elif VERSION_FILE in told and TOP_MAKEFILE not in index:
            facts = replace(facts, version=package_version(_text(told[VERSION_FILE])))
        if perf.GENERATOR in told:
            facts = replace(facts, generator_has_pool=perf.has_pool(told[perf.GENERATOR]))
        return facts


def _ignore(told: Mapping[str, bytes]) -> dict[str, str]:
    """Map the folder of each .gitignore to its text, after checking the sizes of all files that facts are taken from.

    Raises:
        UsageError: a file is larger than any kernel's.

    """
    for path, content in told.items():
        _check_told(path, content)
    return {_folder(path): _text(content) for path, content in told.items() if is_ignore_file(path)}


def _check_told(path: str, content: bytes) -> None:
    """Refuse a file that is too large for facts to be taken from it."""
    if is_ignore_file(path):
        _check_most(path, "bytes", len(content), IGNORE_BYTES)
        _check_most(path, "lines", content.count(b"\n"), IGNORE_LINES)
    else:
        _check_most(path, "bytes", len(content), TOLD_BYTES)


def _check_most(path: str, unit: str, count: int, most: int) -> None:
    if count > most:
        raise UsageError(
            f"the tree's {short(path)} is larger than any kernel's: {count} {unit}", f"At most {most} {unit}."
        )


def is_telling(path: str) -> bool:
    """Return whether facts are taken from a file's content: of version, generator, and each .gitignore."""
    return path in (TOP_MAKEFILE, VERSION_FILE, perf.GENERATOR) or is_ignore_file(path)


def digest(index: Mapping[str, TreeFile]) -> str:
    """Return a tree's content hash: the SHA-256 over the path, mode and content of each file, sorted by path.

    Each field has its length in bytes before it, so that no two trees give the same input, whatever bytes a path or a
    link's target holds. HASH_VERSION is the first field, as another input gives another tree of the cache.
    """
    whole = hashlib.sha256(_field(HASH_VERSION))
    for path, (mode, content) in sorted(index.items()):
        whole.update(_field(path) + _field(f"{mode:o}") + _field(content))
    return whole.hexdigest()


def _field(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogateescape")
    return b"%d:%s" % (len(encoded), encoded)


NOTHING = TreeFacts(sha256=digest({}), version="", index={}, ignore={}, generator_has_pool=False)
"""The facts of a tree without files."""


def kernel_version(makefile: str) -> str:
    """Return the version (`7.3.4`) that the text of a kernel's top Makefile names, or nothing where it names none."""
    words: dict[str, str] = dict(_VERSION.findall(makefile))
    if not words.get("VERSION"):
        return ""
    numbers = ".".join(words.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return numbers + words.get("EXTRAVERSION", "")


def package_version(text: str) -> str:
    """Return the kernel's version (`7.3.4`) that the text of a PERF-VERSION-FILE names, or nothing.

    tools/perf/util/PERF-VERSION-GEN writes it, as `#define PERF_VERSION "7.3.4.g0123456789ab"`.
    """
    found = _PACKAGE_VERSION.search(text)
    return found[1] if found else ""


def is_ignore_file(path: str) -> bool:
    """Return whether a path is that of a .gitignore."""
    return path.rpartition("/")[2] == IGNORE_FILE


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
