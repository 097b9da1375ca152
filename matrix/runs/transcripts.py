"""Reads and writes the transcript of a cell in a run directory."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

from matrix.errors import UsageError, from_system
from matrix.files import replacing
from matrix.model.base import first_problem
from matrix.scenario.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_AGAIN = "Remove the result.json beside it: `perf-matrix run --resume RUN` does the cell again then."
BLOCK_BYTES = 1 << 20
TRANSCRIPT_BYTES = 1 << 30
"""The size of a transcript's JSON beyond which it is not read; perf's largest cell has 30 MB."""


def write(path: Path, blocks: Iterable[bytes]) -> None:
    """Store the blocks of a transcript; the file is there whole or not at all."""
    with replacing(path) as part, part.open("wb") as file:
        file.writelines(blocks)


def blocks(transcript: Transcript) -> Iterator[bytes]:
    """Yield a transcript as its file has it, compressed."""
    # Level 3: a default build's 30 MB take 0.15 s and 3.4 MB; gzip's usual 6 takes twice the time for 2.5 MB.
    content = gzip.compress(_text(transcript), compresslevel=3)
    for at in range(0, len(content), BLOCK_BYTES):
        yield content[at : at + BLOCK_BYTES]


def _text(transcript: Transcript) -> bytes:
    # In one piece: json.dump to a file encodes in Python, and takes six times as long for a build of 60,000 files.
    try:
        return transcript.model_dump_json().encode()
    except ValueError:  # a string that UTF-8 has no bytes for, which JSON has an escape for
        return json.dumps(transcript.model_dump(mode="json")).encode()


def read(path: Path, most_bytes: int = TRANSCRIPT_BYTES) -> Transcript:
    """Return a transcript.

    Raises:
        UsageError: the file is no transcript of ours, or a larger one than `most_bytes`.

    """
    try:
        with gzip.open(path, "rb") as file:
            return Transcript.model_validate_json(b"".join(_blocks_of(file, most_bytes)))
    except OSError as error:  # gzip's own for other content, too
        raise from_system(f"{path} is no transcript: {error}", _AGAIN, error) from error
    except (EOFError, ValueError, zlib.error) as error:
        raise UsageError(f"{path} is no transcript: {first_problem(error)}", _AGAIN) from error


def is_whole(path: Path) -> bool:
    """Return whether a transcript's file has the length and the checksum that gzip wrote (RFC 1952, section 2.3.1)."""
    try:
        with gzip.open(path, "rb") as file:
            # To the end, where the checksum is; an empty file is a whole one for gzip.
            return sum(map(len, _blocks_of(file, TRANSCRIPT_BYTES))) > 0
    except (gzip.BadGzipFile, EOFError, ValueError, zlib.error):
        return False


def _blocks_of(file: gzip.GzipFile, most_bytes: int) -> Iterator[bytes]:
    """Yield the content of a compressed file, unless there is too much: a few KiB can expand to gigabytes of zeros."""
    left = most_bytes
    while block := file.read(BLOCK_BYTES):
        left -= len(block)
        if left < 0:
            raise ValueError(f"it has more than {most_bytes >> 20} MiB, the limit on a transcript")
        yield block
