"""The members of a tree in a tar archive, which is read as a stream; one without its end mark is refused."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from typing import IO, TYPE_CHECKING

from matrix.errors import UsageError
from matrix.trees import tar_headers
from matrix.trees.sources import Member
from matrix.trees.unpacking import Unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.trees.tar_headers import Header

# The errors of a damaged archive: those of the decompressors are among them.
_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)
_EXECUTABLE = 0o100
_LEFT_OUT = {tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "pipe"}


def members(file: IO[bytes], name: str) -> Iterator[Member]:
    """Yield an archive's files and links; their paths are without the top folder (`linux-7.1/`) that all are in.

    Args:
        file: a seekable binary file, with or without compression.
        name: the archive's name in messages.

    Raises:
        UsageError: the archive is damaged, ends early, holds a hard link or a file with holes, or is beyond the bounds
            of `unpacking` and `tar_headers`.

    """
    try:
        stream = Unpacked(file, name)
        for header in tar_headers.read(stream, name):
            path = header.path.removeprefix("./").partition("/")[2]
            if path and header.type != tarfile.DIRTYPE:
                yield _member(path, header, stream, name)
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _member(path: str, header: Header, stream: Unpacked, name: str) -> Member:
    if header.type == tarfile.LNKTYPE:
        raise UsageError(f"{name} holds a hard link: {path!r}", "Make the archive by `git archive`, without any.")
    if header.type == tarfile.SYMTYPE:
        return Member(path, 0, executable=False, target=header.target, read=bytes)
    if header.type == tarfile.REGTYPE:
        is_executable = bool(header.mode & _EXECUTABLE)
        return Member(path, header.size, is_executable, None, _whole(stream, header.size, name))
    left_out = _LEFT_OUT.get(header.type, "member of an unknown type")
    return Member(path, 0, executable=False, target=None, read=bytes, left_out=left_out)


def _whole(stream: Unpacked, size: int, name: str) -> Callable[[], bytes]:
    """Return the function that reads a member's content; where the archive ends early it raises an error for people."""

    def read() -> bytes:
        try:
            content = stream.read(size)
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        if len(content) != size:
            raise _damaged(name, EOFError(f"{len(content)} of {size} bytes of a file"))
        return content

    return read


def _damaged(name: str, error: Exception) -> UsageError:
    return UsageError(f"{name} is no whole tar archive: {error}", "Get it again.")
