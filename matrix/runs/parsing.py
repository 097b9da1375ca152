"""Parses files that a build left, in a child process; a limit that a file exceeds is why it cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from matrix.runs import confinement, parsing_requests
from matrix.runs.confinement import Bounds
from matrix.scenario.elf_facts import ElfFacts
from matrix.scenario.make_database import Database

if TYPE_CHECKING:
    from matrix.verdicts.judgement import Limit

FILE_BYTES = 512 << 20
"""The size of a file beyond which it is not read; perf, linked statically and with debug information, has 80 MB."""

BOUNDS = Bounds(memory_bytes=2 << 30, cpu_s=120, output_bytes=64 << 20)
"""Ten times what the largest of perf's files take: a program of 80 MB, 24 MB of make's data bases and their 5 MB."""

_DATABASES = TypeAdapter(tuple[Database, ...])


def elf_facts(path: str, content: bytes) -> ElfFacts:
    """Return the facts of an ELF file; of a file that cannot be read within the limits, with its `error`."""
    if len(content) >= FILE_BYTES:
        return ElfFacts(path=path, error=f"it has {FILE_BYTES >> 20} MiB or more, the limit on a file that is read")
    outcome = confinement.run(parsing_requests.TASK, parsing_requests.ELF + path.encode() + b"\n" + content, BOUNDS)
    if outcome.exceeded:
        return ElfFacts(path=path, error=_not_within(outcome.exceeded))
    return ElfFacts.model_validate_json(outcome.output)


def databases(text: bytes) -> tuple[Database, ...]:
    """Return the data bases of make in what it printed.

    Raises:
        ValueError: they exceed a limit.

    """
    outcome = confinement.run(parsing_requests.TASK, parsing_requests.DATABASES + text, BOUNDS)
    if outcome.exceeded:
        raise ValueError(f"make's data bases: {_not_within(outcome.exceeded)}")
    kind, answer = outcome.output[:1], outcome.output[1:]
    if kind == parsing_requests.REFUSAL:
        raise ValueError(answer.decode())
    return _DATABASES.validate_json(answer)


def _not_within(limit: Limit) -> str:
    return f"not to be read within {limit.value}, the limit on {limit.name}"
