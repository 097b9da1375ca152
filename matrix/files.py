"""Files that are there whole or not at all, some with a seal by which damage is seen; small tar archives in memory.

A file that a loss of power must not take is flushed to the disk (fsync(2)), and so is the folder with its name. A
sealed file is not: what is lost of it is seen, and made again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import secrets
import tarfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PART_SUFFIX = ".part"
"""The suffix of a file that is being written."""


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of files, a map from path to content, that every user may read (mode 644)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@contextlib.contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Give the path of a new file beside `path`, in a folder that is made if need be; a file left there is removed."""
    # In the same folder, as only there a rename is atomic (rename(2)); process and token, as others may write it too.
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        yield part
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:  # of a write, which knows no path
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def abandoned(folder: Path) -> list[Path]:
    """Return the files below a folder that `part_of` gave to processes which have ended, killed, and left them."""
    return sorted(part for part in folder.rglob(f".*{PART_SUFFIX}") if not _writer_lives(part))


def _writer_lives(part: Path) -> bool:
    """Return whether the process in a name `.FILE.PROCESS-TOKEN.part` lives; a name of another form is nobody's."""
    number = part.name.split(".")[-2].partition("-")[0]
    return not number.isdecimal() or Path(f"/proc/{number}").exists()


_UNFLUSHED_FOLDERS = frozenset((errno.EINVAL, errno.ENOTSUP))
"""The errors of fsync(2) on a file system that flushes no folders."""


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where its file system does that."""
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in _UNFLUSHED_FOLDERS:
            raise


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that do not exist; a loss of power takes none of them."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


@contextlib.contextmanager
def replacing(path: Path, *, flushed: bool = True) -> Iterator[Path]:
    """Give the path of a new file that replaces `path` when the body of the `with` has ended without an error.

    Once it is replaced a loss of power does not take it, unless `flushed` is False, for what can be made again.
    """
    with part_of(path) as part:
        yield part
        if flushed:  # before the rename: a file system may do that first, and a loss of power leaves an empty file
            _flush(part)
        part.replace(path)
    if flushed:
        flush_folder(path.parent)


TAIL_BYTES = 64 << 10
"""The end of a log in which a message looks for its last lines; the log may have gigabytes."""


def tail(path: Path, most_bytes: int = TAIL_BYTES) -> str:
    """Return the end of a log; bytes that are not UTF-8 are replaced."""
    with path.open("rb") as file:
        return end_of(file, most_bytes)


def end_of(file: IO[bytes], most_bytes: int) -> str:
    """Return the end of an open file; bytes that are not UTF-8 are replaced."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
    return file.read(most_bytes).decode(errors="replace")


def last_lines(path: Path, most: int) -> list[str]:
    """Return the last lines of a log, `most` of them or what TAIL_BYTES hold."""
    return tail(path).splitlines()[-most:]


def write(path: Path, content: str | bytes, *, flushed: bool = True) -> None:
    """Write a file, text as UTF-8; a reader sees the old content or the new one, and never a part (see `replacing`)."""
    with replacing(path, flushed=flushed) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file as `write` does, with a seal: a last line with the SHA-256 of all before it."""
    write(path, content + _seal(content), flushed=False)


RECORD_BYTES = 128 << 20
"""The longest file of a run or of the state folder that is read whole; a judgement in a result has at most 64 MiB."""


def read(path: Path, most_bytes: int = RECORD_BYTES) -> bytes:
    """Return the content of a file that somebody else may have written.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has more than `most_bytes`.

    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes} bytes, the limit on a file that is read whole")
    return content


SEALED_BYTES = 256 << 20
"""The longest sealed file; the record of 7.3's tree has 9 MB."""


def read_sealed(path: Path) -> bytes | None:
    """Return the content of a file that `write_sealed` wrote; None where it is missing, or anything was done to it."""
    try:
        with path.open("rb") as file:
            data = file.read(SEALED_BYTES)  # the seal of a longer one is beyond them
    except OSError:
        return None
    content = data[:-_SEAL_BYTES]
    return content if data[-_SEAL_BYTES:] == _seal(content) else None


def read_sealed_json(path: Path) -> Any:
    """Return the JSON value in a file that `write_sealed` wrote; None where it cannot be read, as one of no JSON."""
    try:
        return json.loads(read_sealed(path) or b"")
    except (ValueError, RecursionError):  # json recurses once for each bracket
        return None


def _seal(content: bytes) -> bytes:
    return b"\n%s\n" % hashlib.sha256(content).hexdigest().encode()


_SEAL_BYTES = len(_seal(b""))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
