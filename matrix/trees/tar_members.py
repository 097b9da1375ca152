"""The members of a tree in a tar archive, which is read as a stream; one without its end mark is refused."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from tarfile import EOFHeaderError  # type: ignore[attr-defined] # typeshed has it not
from typing import IO, TYPE_CHECKING, Self

from matrix.errors import UsageError
from matrix.trees.sources import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The errors of a damaged archive: tarfile lets those of the decompressors through.
_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)
_EXECUTABLE = 0o100


class _Header(tarfile.TarInfo):
    """A header that notes on its archive that the end mark was read.

    tarfile ends without an error at a header that is damaged: https://github.com/python/cpython/issues/120740
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            # On the archive, as the header is dropped; tarfile itself ends its loop by this error.
            tarfile.end_mark = True  # type: ignore[attr-defined]
            raise


def members(file: object, name: str) -> Iterator[Member]:
    """Yield an archive's files and links; their paths are without the top folder (`linux-7.1/`) that all are in.

    Args:
        file: a readable binary file, with or without compression.
        name: the archive's name in messages.

    Raises:
        UsageError: the archive is damaged, ends early, or holds a hard link.

    """
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Header) as archive:  # type: ignore[call-overload]
            for entry in archive:
                yield from _members_of(archive, entry, name)
            if not hasattr(archive, "end_mark"):
                raise tarfile.ReadError("it ends before its end mark")
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _members_of(archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str) -> Iterator[Member]:
    """Yield the member of an entry, if the entry is a file or a symbolic link below the top folder."""
    if entry.islnk():
        raise UsageError(f"{name} holds a hard link: {entry.name!r}", "Make the archive by `git archive`, without any.")
    path = entry.name.removeprefix("./").partition("/")[2]
    if not path:
        return
    if entry.issym():
        yield Member(path, 0, executable=False, target=entry.linkname, read=bytes)
    elif entry.isfile():
        content = archive.extractfile(entry)
        assert content is not None
        yield Member(path, entry.size, bool(entry.mode & _EXECUTABLE), None, _whole(content, entry.size, name))


def _whole(content: IO[bytes], size: int, name: str) -> Callable[[], bytes]:
    """Return the function that reads a member's content.

    Raises:
        UsageError: (the function) the archive is damaged, or ends before the content does.

    """

    def read() -> bytes:
        try:
            data = content.read()
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        if len(data) != size:  # tarfile returns what there is where the stream ends inside of a file
            raise _damaged(name, EOFError(f"{len(data)} of {size} bytes of a file"))
        return data

    return read


def _damaged(name: str, error: Exception) -> UsageError:
    return UsageError(f"{name} is no whole tar archive: {error}", "Get it again.")
