"""The members of a tree that comes as a tar archive, read as a stream, to its end mark or not at all."""

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

_DAMAGE = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError)
_EXECUTABLE = 0o100


class _Header(tarfile.TarInfo):
    """A header that notes on its archive that the end mark was read: tarfile takes any other end for one too."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            tarfile.end_mark = True  # type: ignore[attr-defined]
            raise


def members(file: object, name: str) -> Iterator[Member]:
    """Yield an archive's files and links, each path without the one folder that all are in.

    Args:
        file: a readable file of bytes, packed or not.
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
    """Yield the member that an entry is, if it is a file or a symbolic link below the top folder."""
    if entry.islnk():
        raise UsageError(f"{name} holds a hard link: {entry.name!r}", "git archive makes none.")
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
    """Return the function that reads a member's content, all of it or an error that can be acted on."""

    def read() -> bytes:
        try:
            data = content.read()
        except _DAMAGE as error:
            raise _damaged(name, error) from error
        if len(data) != size:
            raise _damaged(name, EOFError(f"{len(data)} of {size} bytes of a file"))
        return data

    return read


def _damaged(name: str, error: Exception) -> UsageError:
    return UsageError(f"{name} is no whole tar archive: {error}", "Get it again.")
