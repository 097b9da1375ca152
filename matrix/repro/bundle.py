"""A bundle: a .tar.gz to attach to a mail, with a result, its logs, its recipe and its patch. Pure.

A stranger's bundle is read into memory and never unpacked to a disk. Only members with the names of `pack` are taken,
and the bound on a member's size is checked before its content is read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import ValidationError

from matrix import __version__
from matrix.errors import UsageError
from matrix.model.base import Frozen
from matrix.model.image import Image
from matrix.model.result import CellResult
from matrix.repro import consistency, redaction
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matrix.model.cell import Cell

T = TypeVar("T", bound=Frozen)

MANIFEST, RESULT, RECIPE, PATCH = "bundle.json", "result.json", "recipe.json", "patches/0001.patch"
LOG = re.compile(r"logs/[a-z0-9][a-z0-9._-]{0,63}", re.A)
# Bounds on a member of each kind, on all members together and on the packed file: far above
# those of a real bundle, and small enough for any machine's memory.
JSON_BYTES = 16 << 20
LOG_BYTES = 8 << 20
PATCH_BYTES = 16 << 20
TOTAL_BYTES = 128 << 20
FILE_BYTES = 64 << 20
MEMBERS = 64
VALUES = 250_000
"""The most values of a JSON member: pydantic keeps a kilobyte or two of memory for each one that it refuses."""

# A tar archive is a sequence of blocks, padded to a record of 20 blocks by default (tar(5)).
BLOCK = 512
RECORD = 20 * BLOCK
_KINDS = {
    tarfile.SYMTYPE: "a link", tarfile.LNKTYPE: "a link", tarfile.DIRTYPE: "a folder", tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe", tarfile.XHDTYPE: "an extended header",
    tarfile.XGLTYPE: "an extended header", tarfile.GNUTYPE_LONGNAME: "an extended header",
    tarfile.GNUTYPE_LONGLINK: "an extended header", tarfile.GNUTYPE_SPARSE: "a file with holes",
}  # fmt: skip


class Manifest(Frozen):
    """The first member of a bundle: the SHA-256 of each other member by its name."""

    schema_version: Literal[1] = 1
    tool_version: str
    members: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """The contents of a bundle; `logs` maps a log's name to its content, `patch` is git's patch on the tree or None."""

    result: CellResult
    logs: dict[str, bytes]
    patch: bytes | None


def pack(result: CellResult, logs: Mapping[str, bytes], patch: bytes | None, places: Iterable[str] = ()) -> bytes:
    """Return the bundle of a result, without the names of `places` and of the private folders that the result names.

    The same result gives the same bytes. A log that is too long loses its middle.

    Raises:
        UsageError: the result has no definition, or a member is too large.

    """
    hidden = (*places, *redaction.private(result))
    bare = redaction.result(result, hidden)
    recipe = consistency.definition(bare).image
    members = {
        RESULT: bare.model_dump_json(indent=1).encode(),
        RECIPE: recipe.model_dump_json(indent=1).encode(),
        **{f"logs/{name}": cut(redaction.log(log, hidden)) for name, log in logs.items()},
        **({PATCH: patch} if patch is not None else {}),
    }
    digests = {name: _digest(members[name]) for name in sorted(members)}
    members[MANIFEST] = Manifest(tool_version=__version__, members=digests).model_dump_json(indent=1).encode()
    packed = gzip.compress(_archive(members), mtime=0)  # 0 is no time stamp (RFC 1952, 2.3.1): equal bytes each time
    try:
        unpack(packed)
    except UsageError as error:  # the receiver would refuse it in the same way, after the mail was sent
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{short(result.id)} cannot be bundled: {reason}", "Run the cell again.") from error
    return packed


def cut(log: bytes) -> bytes:
    """Return a log as it is or, where it is too long, its beginning and its end."""
    if len(log) <= LOG_BYTES:
        return log
    note = b"\n[perf-matrix: the middle was left out of the bundle]\n"
    # make stops soon after the first error, so the end of a log tells more than its beginning.
    head = LOG_BYTES // 4
    return log[:head] + note + log[-(LOG_BYTES - head - len(note)) :]


def _archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    # A format without extended headers, which `unpack` refuses.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(members):
            header = tarfile.TarInfo(name)  # no owner and no date: the same members give the same bytes
            header.size = len(members[name])
            archive.addfile(header, io.BytesIO(members[name]))
    return buffer.getvalue()


def unpack(data: bytes) -> Bundle:
    """Return the contents of a bundle, after checking that `pack` could have made it.

    Raises:
        UsageError: the bytes are no bundle, or the bundle is too large, has other members or digests, or a result that
            is inconsistent with its own definition.

    """
    if len(data) > FILE_BYTES:
        raise refused(f"it is larger than {FILE_BYTES >> 20} MiB")
    found: dict[str, bytes] = {}
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            for name, content in _members(stream):
                if name in found:
                    raise refused(f"it holds {name} twice")
                found[name] = content
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise refused(f"it is no whole .tar.gz: {error}") from error
    return _checked(found)


def _members(stream: gzip.GzipFile) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of an archive's members.

    tarfile's own reader is not used: it follows extended headers and holes, and ends without an error at a damaged
    header (https://github.com/python/cpython/issues/120740). Each header is checked before its content is read.

    Raises:
        UsageError: a header is not one that `pack` writes, or the members exceed the bounds.
        EOFError: the archive ends early.

    """
    total = count = 0
    while any(block := _exactly(stream, BLOCK)):  # a block of zeros comes after the last member
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        count, total = count + 1, total + _allowed(header)
        if count > MEMBERS or total > TOTAL_BYTES:
            raise refused(f"it holds more than {MEMBERS} files, or more than {TOTAL_BYTES >> 20} MiB")
        content = _exactly(stream, header.size)
        _exactly(stream, -header.size % BLOCK)  # contents are padded to whole blocks
        yield header.name, content
    _check_end(stream)


def _check_end(stream: gzip.GzipFile) -> None:
    """Refuse an archive with anything after its members but the zeros that fill the last record."""
    rest = stream.read(RECORD + 1)
    if len(rest) > RECORD or any(rest):
        raise refused("something comes after its end")


def _allowed(header: tarfile.TarInfo) -> int:
    """Return the size of a member in bytes, after checking that a bundle may have it.

    Raises:
        UsageError: the member is no plain file, has a name that no bundle has, or is too large.

    """
    name = short(repr(header.name))
    if header.type != tarfile.REGTYPE:
        raise refused(f"it holds {_KINDS.get(header.type, 'no plain file')}, {name}; a bundle has plain files only")
    if header.name.startswith("/") or ".." in header.name.split("/"):
        raise refused(f"{name} leads out of it")
    limit = _limit_bytes(header.name)
    if limit is None:
        raise refused(f"it holds {name}, which no bundle does")
    if not 0 <= header.size <= limit:
        raise refused(f"{name} is said to have {header.size} bytes; at most {limit} are taken")
    return header.size


def _limit_bytes(name: str) -> int | None:
    """Return the most bytes that a member of this name may have; None for a name that no bundle has."""
    if LOG.fullmatch(name):
        return LOG_BYTES
    limits = {MANIFEST: JSON_BYTES, RESULT: JSON_BYTES, RECIPE: JSON_BYTES, PATCH: PATCH_BYTES}
    return limits.get(name)


def _exactly(stream: gzip.GzipFile, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("it ends early")
    return data


def _checked(found: dict[str, bytes]) -> Bundle:
    _check_presence(found)
    manifest = _parsed(Manifest, found.pop(MANIFEST), MANIFEST)
    if manifest.members != {name: _digest(content) for name, content in found.items()}:
        raise refused(f"its members are not those that its {MANIFEST} lists, by their sha256")
    result = _parsed(CellResult, found[RESULT], RESULT)
    cell = consistency.check(result)
    if _parsed(Image, found[RECIPE], RECIPE) != cell.image:
        raise refused(f"its {RECIPE} is not the one that its {RESULT} has")
    patch = found.get(PATCH)
    _check_patch(patch, cell)
    return Bundle(result, _logs(found), patch)


def _check_presence(found: Mapping[str, bytes]) -> None:
    for name in (MANIFEST, RESULT, RECIPE):
        if name not in found:
            raise refused(f"it has no {name}")


def _logs(members: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix("logs/"): content for name, content in members.items() if LOG.fullmatch(name)}


def _check_patch(patch: bytes | None, cell: Cell) -> None:
    if (patch is None) != (cell.tree.delta is None):
        raise refused(f"its tree has {'a patch' if cell.tree.delta else 'no patch'}, and the bundle disagrees")


def parse_result(content: bytes) -> CellResult:
    """Return the result in a file that a stranger may have written, after checking that it is consistent.

    Raises:
        UsageError: the content is no result, is too large, or is inconsistent.

    """
    if len(content) > JSON_BYTES:
        raise UsageError(f"the result is refused: it is larger than {JSON_BYTES >> 20} MiB")
    result = _parsed(CellResult, content, RESULT)
    consistency.check(result)
    return result


def _parsed(model: type[T], content: bytes, name: str) -> T:
    if _count_values(content) > VALUES:  # before the parser makes objects of them
        raise refused(f"{name} has more than {VALUES} values")
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise refused(f"{name} is not what this version writes: {_first_mistake(error)}") from error


def _first_mistake(error: ValidationError) -> str:
    """Return the place of the first mistake in a JSON text, and pydantic's message on it."""
    # Neither the URL nor the input: the input is a stranger's text, and may be long.
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    return f"{short(where)}: {short(first['msg'])}"


def _count_values(content: bytes) -> int:
    """Return an upper bound on the number of values in a JSON text, without parsing it."""
    return sum(content.count(mark) for mark in (b"{", b"[", b","))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refused(why: str) -> UsageError:
    """Return the error by which a bundle is refused, with the reason `why`."""
    return UsageError(f"the bundle is refused: {why}", "Ask whoever sent it for one that `perf-matrix bundle` made.")
