"""The task of the child that parses files of a build: a kind and bytes to JSON."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from matrix.runs.parsing_requests import ANSWER, ELF, REFUSAL
from matrix.scenario import elf, make_database
from matrix.scenario.make_database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATABASES = TypeAdapter(tuple[Database, ...])


def main(request: bytes) -> Iterator[bytes]:
    """Yield the answer to a request."""
    content = memoryview(request)[1:]
    yield _elf(content) if request[:1] == ELF else _databases(content)


def _elf(content: memoryview) -> bytes:
    end = next(index for index, byte in enumerate(content) if byte == ord("\n"))
    path = bytes(content[:end]).decode()
    return elf.facts(path, bytes(content[end + 1 :])).model_dump_json().encode()


def _databases(content: memoryview) -> bytes:
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace")
    try:
        return ANSWER + _DATABASES.dump_json(make_database.parse(lines))
    except ValueError as error:
        return REFUSAL + str(error).encode()
