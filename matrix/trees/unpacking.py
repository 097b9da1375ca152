"""The bytes of an archive, decompressed piece by piece below bounds: a kilobyte of a packed file can mean gigabytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import time
from typing import IO, TYPE_CHECKING, Protocol

from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

UNPACKED_BYTES = 16 << 30
"""The most bytes that an archive may unpack to: a whole kernel tree has 1.8 GB."""
RATIO = 100
"""The most bytes that a byte of an archive may unpack to: kernel trees have 6 (gzip) to 12 (xz)."""
RATIO_FROM_BYTES = 64 << 20
"""The size from which RATIO is looked at, so that a small tree of equal files is taken."""
MEMORY_BYTES = 256 << 20
"""The memory that an xz file may ask for: `xz -9`, the largest preset, needs 65 MiB."""
TIME_S = 1800
"""The longest time that an archive is read for, in seconds: a kernel's .tar.xz takes half a minute."""
PIECE_BYTES = 1 << 20
_PACKED_BYTES = 1 << 13  # small, as a file of empty streams has a stream every 14 bytes

_BOMB = "No kernel tree is packed like this. Unpack it under limits of your own, and name the folder: dir:PATH."


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


_Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


class Unpacked:
    """The decompressed bytes of an archive, in order.

    Args:
        file: a seekable binary file, compressed with gzip, bzip2, xz or not at all, as its first bytes say.
        name: the archive's name in messages.

    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._stream = _decompressed(file, name)
        self._deadline = time.monotonic() + TIME_S
        self.position = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than `size` only where the archive ends.

        Raises:
            UsageError: the archive unpacks to more bytes, or for a longer time, than any kernel tree.
            OSError, EOFError, lzma.LZMAError, zlib.error: the archive is damaged.

        """
        pieces = []
        left = size
        while left > 0:
            piece = self._stream.read(min(left, PIECE_BYTES))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
            self._count(len(piece))
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Read bytes without keeping them; errors are those of `read`, and EOFError where the archive ends."""
        while size > 0:
            skipped = len(self.read(min(size, PIECE_BYTES)))
            if not skipped:
                raise EOFError("a member's content ends early")
            size -= skipped

    def _count(self, size: int) -> None:
        """Check the bounds after a piece: by then at most PIECE_BYTES were unpacked beyond them."""
        self.position += size
        if self.position > UNPACKED_BYTES:
            raise UsageError(f"{self._name} unpacks to more than {UNPACKED_BYTES >> 30} GiB", _BOMB)
        if self.position > max(RATIO_FROM_BYTES, RATIO * self._file.tell()):
            raise UsageError(f"{self._name} unpacks to more than {RATIO} times its size", _BOMB)
        if time.monotonic() > self._deadline:
            raise UsageError(f"{self._name} is not unpacked after {TIME_S} s", _BOMB)


def _decompressed(file: IO[bytes], name: str) -> _Readable:
    """Return the reader of a file's content, by the magic number that its first bytes are."""
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if magic.startswith(b"BZh"):
        return _Streams(file, name, bz2.BZ2Decompressor)
    # The magic numbers of .xz and of .lzma, the older format: https://tukaani.org/xz/format.html
    if magic.startswith((b"\xfd7zXZ\0", b"\x5d\0\0\x80")):
        return _Streams(file, name, lambda: lzma.LZMADecompressor(memlimit=MEMORY_BYTES))
    return file


class _Streams:
    """The content of a file of one or more compressed streams, with a bound on the decompressor's memory.

    bz2.BZ2File and lzma.LZMAFile read the same files, but the latter has no such bound.
    """

    def __init__(self, file: IO[bytes], name: str, begin: Callable[[], _Decompressor]) -> None:
        self._file = file
        self._name = name
        self._begin = begin
        self._stream = begin()

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes of the content, none where the last stream ends.

        Raises:
            EOFError: the file ends within a stream.

        """
        while not self._is_at_end():
            packed = self._file.read(_PACKED_BYTES) if self._stream.needs_input else b""
            if self._stream.needs_input and not packed:
                raise EOFError("the compressed data ends early")
            content = self._decompressed(packed, size)
            if content:
                return content
        return b""

    def _decompressed(self, packed: bytes, size: int) -> bytes:
        try:
            return self._stream.decompress(packed, size)
        except lzma.LZMAError as error:
            if "Memory usage limit" not in str(error):
                raise
            needs = f"an xz file that needs more than {MEMORY_BYTES >> 20} MiB of memory to be unpacked"
            raise UsageError(f"{self._name} is {needs}", _BOMB) from error

    def _is_at_end(self) -> bool:
        """Return whether the last stream has ended; where another one follows, that is begun."""
        if not self._stream.eof:
            return False
        # Streams may be padded with zeros: https://tukaani.org/xz/xz-file-format.txt, section 2.2.
        rest = self._stream.unused_data.lstrip(b"\0") or self._file.read(_PACKED_BYTES).lstrip(b"\0")
        if not rest:
            return True
        self._file.seek(-len(rest), 1)
        self._stream = self._begin()
        return False
