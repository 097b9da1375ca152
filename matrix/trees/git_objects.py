"""The files of a commit, read from git's objects: filters, attributes and line endings of no configuration apply."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from matrix.errors import UsageError
from matrix.trees import git
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LISTING_BYTES = git.OUTPUT_BYTES
"""The longest list of a commit's files."""
OBJECT_BYTES = 256 << 20
"""The largest file of a commit: 7.3's has 24 MB."""

HEADER_BYTES = 1000
"""The longest line that git puts before an object: a name, a type and a size."""

SIZE_DIGITS = 19
"""The most digits of an object's size: 64 bits have no more."""

LINK, GITLINK = 0o120000, 0o160000
"""The modes by which git stores a symbolic link and a submodule (git-fast-import(1), "filemodify")."""


@dataclass(frozen=True)
class Entry:
    """A file, link or submodule of a commit: its mode, the full name of its object, its path."""

    mode: int
    name: str
    path: str


def entries(folder: Path, commit: str, too_large: str) -> Iterator[Entry]:
    """Yield the entries of a commit, in git's order; below a work tree's top, only those of the folder.

    Raises:
        UsageError: git failed, or lists more than LISTING_BYTES (`too_large` is the message).

    """
    with git.streaming(folder, "ls-tree", "-r", "-z", commit) as process:
        assert process.stdout is not None
        listing = process.stdout.read(LISTING_BYTES + 1)
        if len(listing) > LISTING_BYTES:
            raise UsageError(too_large, f"At most {LISTING_BYTES >> 20} MiB of names of files.")
    # The format of `git ls-tree -z`: https://git-scm.com/docs/git-ls-tree#_output_format
    for line in listing.split(b"\0")[:-1]:
        yield _entry(line)


def _entry(line: bytes) -> Entry:
    facts, _, path = line.partition(b"\t")
    try:
        octal, _, name = facts.decode().split()
        return Entry(int(octal, 8), name, path.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise UsageError(f"git lists no entry of a commit: {short(repr(line))}", "Is git on PATH git?") from error


def contents(folder: Path, names: Sequence[str], limit_bytes: int, too_large: str) -> Iterator[bytes]:
    """Yield the contents of the objects with these names, in order.

    Raises:
        UsageError: an object is missing or damaged, git failed, or the contents have more than `limit_bytes` in all
            (`too_large` is the message).

    """
    # One git for all objects: a process for each of a tree's 20,000 files takes a minute and more.
    # The names go through a file: git reads them at its own pace while its output is read here.
    with tempfile.TemporaryFile() as asked:
        asked.write("".join(f"{name}\n" for name in names).encode())
        asked.seek(0)
        with git.streaming(folder, "cat-file", "--batch", "--buffer", stdin=asked) as process:
            assert process.stdout is not None
            left_bytes = limit_bytes
            for name in names:
                size_bytes = _size(process.stdout.readline(HEADER_BYTES), name)
                left_bytes -= size_bytes
                if left_bytes < 0 or size_bytes > OBJECT_BYTES:
                    most = f"At most {limit_bytes >> 20} MiB of files, {OBJECT_BYTES >> 20} MiB each."
                    raise UsageError(too_large, most)
                yield _content(process.stdout, size_bytes)


def _size(header: bytes, name: str) -> int:
    """Return the size in bytes in an object's header, a line `NAME TYPE SIZE` (git-cat-file(1), "BATCH OUTPUT").

    Raises:
        EOFError: git ended before the header, or has no such object.

    """
    if not header or header.endswith(b" missing\n"):  # git's words for an object that is not there
        raise EOFError(f"object {name} is missing")
    *_, size = header.split() or [b""]
    if not size.isdigit() or len(size) > SIZE_DIGITS:
        raise EOFError(f"object {name} has no size: {short(repr(header))}")
    return int(size)


def _content(stream: IO[bytes], size_bytes: int) -> bytes:
    """Return an object's content, after which git writes an end of line.

    Raises:
        EOFError: git ended before the end of the content.

    """
    content = stream.read(size_bytes)
    if stream.read(1) != b"\n":
        raise EOFError(f"{len(content)} of {size_bytes} bytes of an object came")
    return content
