"""The headers of a tar archive, each checked before a byte of its member is read.

tarfile takes headers of any size and number into memory, and a file with holes for as long as its header says, so of
tarfile only the parser of a single header is used. The formats: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
and https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from tarfile import EOFHeaderError  # type: ignore[attr-defined] # typeshed has it not
from typing import TYPE_CHECKING

from matrix.errors import UsageError
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.trees.unpacking import Unpacked

HEADERS = 500_000
"""The most headers of an archive: a kernel tree has 100,000 files and folders."""
EXTENSION_BYTES = 16 << 10
"""The largest extended header: a path and a link's target have at most 4 KiB each."""
BLOCK_BYTES = 512

_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_GNU = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_EXTENDED = (*_PAX, *_GNU, tarfile.XGLTYPE)
_OVERRIDES = ("path", "linkpath", "size")
_SPARSE = "GNU.sparse."
_DIGITS = 20


@dataclass(frozen=True)
class Header:
    """The header of a member: its type is one of tarfile's, its size that of the content which follows, in bytes."""

    path: str
    target: str
    type: bytes
    mode: int
    size: int


def read(stream: Unpacked, name: str) -> Iterator[Header]:
    """Yield the headers of an archive; before the next one is asked for, a member's content may be read, or a part.

    Raises:
        UsageError: there are more headers, or larger ones, than an archive of a kernel tree has, or a file with holes.
        tarfile.TarError, EOFError: the archive is damaged, or ends before its end mark.

    """
    extension: dict[str, str] = {}
    for _ in range(HEADERS):
        block = _parsed(stream.read(BLOCK_BYTES))
        if block is None:
            return
        if block.type in _EXTENDED:
            extension |= _extension(stream, block, name)
            continue
        header = _header(block, extension, name)
        extension = {}
        end = stream.position + _padded(header.size)
        yield header
        stream.skip(end - stream.position)
    raise UsageError(f"{name} has more than {HEADERS} headers", "A kernel tree has 100,000 files and folders.")


def _parsed(block: bytes) -> tarfile.TarInfo | None:
    """Return a header as it is in a block, None for the end mark."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except EOFHeaderError:
        return None
    if header.size < 0:
        raise tarfile.ReadError("a size is negative")
    return header


def _padded(size: int) -> int:
    return size + -size % BLOCK_BYTES


def _extension(stream: Unpacked, block: tarfile.TarInfo, name: str) -> dict[str, str]:
    """Return the keywords of an extended header for the next member: `path`, `linkpath` or `size`."""
    if block.size > EXTENSION_BYTES:
        raise UsageError(
            f"{name} has an extended header of {block.size} bytes", f"At most {EXTENSION_BYTES} bytes are taken."
        )
    content = stream.read(_padded(block.size))[: block.size]
    if len(content) != block.size:
        raise EOFError("an extended header ends early")
    if block.type in _GNU:
        return {_GNU[block.type]: _text(content.partition(b"\0")[0])}
    records = dict(_records(content))
    if any(key.startswith(_SPARSE) for key in records):
        raise _with_holes(name)
    found = {key: records[key] for key in _OVERRIDES if key in records}
    if found and block.type == tarfile.XGLTYPE:
        raise tarfile.ReadError("a global header names a path, a target or a size for every file")
    return found


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of a PAX header, whose records are `LENGTH KEY=VALUE` each, with an end of line."""
    at = 0
    while at < len(content) and content[at]:
        digits, _, _ = content[at : at + _DIGITS].partition(b" ")
        end = at + _number(digits)
        key, is_whole, value = content[at + len(digits) + 1 : end - 1].partition(b"=")
        if not is_whole or content[end - 1 : end] != b"\n":
            raise tarfile.ReadError("a PAX header is damaged")
        yield _text(key), _text(value)
        at = end


def _number(digits: str | bytes) -> int:
    # Only ASCII's digits: `²` is a digit for str.isdigit, and no number for int.
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _DIGITS:
        raise tarfile.ReadError("a number of a PAX header is damaged")
    return int(digits)


def _header(block: tarfile.TarInfo, extension: Mapping[str, str], name: str) -> Header:
    path = extension.get("path", block.name)
    if block.type == tarfile.GNUTYPE_SPARSE:
        raise _with_holes(name)
    size = _number(extension["size"]) if "size" in extension else block.size
    # A link, folder, device or pipe has no content, whatever its size says; a type that is not known has.
    has_content = block.isreg() or block.type not in tarfile.SUPPORTED_TYPES
    return Header(
        path=path.rstrip("/") if block.isdir() else path,
        target=extension.get("linkpath", block.linkname),
        type=tarfile.REGTYPE if block.isreg() else block.type,
        mode=block.mode,
        size=size if has_content else 0,
    )


def _with_holes(name: str) -> UsageError:
    return UsageError(f"{short(name)} has a file with holes (sparse)", "Pack the tree without: tar without --sparse.")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
