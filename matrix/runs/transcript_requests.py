"""The requests that a cell's process answers; a request is one line of JSON, and the bytes that belong to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from matrix.model.base import Frozen
from matrix.model.cell import Cell
from matrix.model.known_failure import KnownFailure
from matrix.scenario.elf_facts import ElfFacts
from matrix.scenario.make_database import Database
from matrix.scenario.recorder import Taken
from matrix.scenario.transcript import Transcript


class Begin(Frozen):
    """Begin a cell's transcript.

    `index` maps the tree's files to mode and digest; `below` is the file of the transcript of the kept build that the
    build continues from, empty for none.
    """

    kind: Literal["begin"] = "begin"
    transcript: Transcript
    index: dict[str, tuple[int, str]]
    below: str = ""


class Load(Frozen):
    """Take a stored transcript for the cell's, which is `cell` as it is today."""

    kind: Literal["load"] = "load"
    path: str
    cell: Cell


class Take(Frozen):
    """Record a step, whose bytes are the agent's output; the answer is `Took`. `log` is the path of the step's log.

    `touched` are the files of the tree whose content after the step has to be the tree's.
    """

    kind: Literal["take"] = "take"
    taken: Taken
    log: str
    touched: tuple[str, ...] = ()


class Fail(Frozen):
    """Let the step that was recorded last fail by an error that was found in its log, whose path is `log`."""

    kind: Literal["fail"] = "fail"
    step: str
    error: str
    log: str


class Took(Frozen):
    """The end of a step that was recorded, as in StepEnd, and those of `Take.touched` that have another content."""

    failure: str
    ended: bool
    cpu_s: float
    stale: tuple[str, ...]


class Note(Frozen):
    """Record facts that are no step's; what is None stays as it was."""

    kind: Literal["note"] = "note"
    elf: dict[str, ElfFacts] | None = None
    compact_tables: tuple[str, ...] | None = None
    differences: tuple[str, ...] | None = None
    databases: tuple[Database, ...] | None = None


class Present(Frozen):
    """Answer with those of `paths`, inside the cell, that were there after a step, as a list of JSON."""

    kind: Literal["present"] = "present"
    step: str
    paths: tuple[str, ...]


class GeneratorArgv(Frozen):
    """Answer with the words by which the build ran a generator, as a list of JSON."""

    kind: Literal["generator-argv"] = "generator-argv"
    generator: str


class MissedWork(Frozen):
    """Answer with the work that the continued build missed, as a text; `sources` and `output` as in missed_work()."""

    kind: Literal["missed-work"] = "missed-work"
    sources: tuple[str, ...]
    output: str


class FirstDifference(Frozen):
    """Answer with the first artefact, in build order, that differs between the builds; empty for none."""

    kind: Literal["first-difference"] = "first-difference"


class Export(Frozen):
    """Answer with the transcript so far, as its file has it."""

    kind: Literal["export"] = "export"


class Judge(Frozen):
    """Answer with the parts of the judgement on the cell, a line of JSON each; `base` is the base tree's transcript."""

    kind: Literal["judge"] = "judge"
    base: str
    known: tuple[KnownFailure, ...]


Request = Begin | Load | Take | Fail | Note | Present | GeneratorArgv | MissedWork | FirstDifference | Export | Judge
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])


def packed(request: Frozen, content: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    return request.model_dump_json().encode() + b"\n" + content


def unpacked(message: bytes) -> tuple[Any, bytes]:
    """Return the request of a message, and the bytes that belong to it."""
    line, _, content = message.partition(b"\n")
    return _REQUEST.validate_json(line), content
