"""The messages between a run's command and its workers: JSON of these forms, checked on arrival. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import Field, StringConstraints, TypeAdapter

from matrix.errors import UsageError
from matrix.model.base import Frozen, first_problem
from matrix.model.cell_id import CellId
from matrix.model.result import ImageIdentity
from matrix.runs.run_settings import RunSettings

M = TypeVar("M", bound=Frozen)

BLOCK_BYTES = 8 << 20
"""The longest piece of a file that is sent at once."""

MESSAGE_BYTES = 4 << 20
"""The longest message; a request has the settings of a run and the ids of a group's cells."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
# A name in a folder: no slash, and neither `.` nor `..`.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]
Line = Annotated[str, StringConstraints(max_length=1000)]


class Blob(Frozen):
    """A file that one side has and the other asks for: its SHA-256 and its size in bytes."""

    sha256: Digest
    size: int = Field(ge=0, le=16 << 30)


class SentTree(Frozen):
    """A tree's content as the run has noted it: its hash, its source's name for people, and its archive."""

    sha256: Digest
    origin: str
    archive: Blob


class Needs(Frozen):
    """The needs of a group of cells: the machine's architecture, memory in bytes, and the kernel's type information."""

    architecture: str
    memory_bytes: int
    btf: bool


class Machine(Frozen):
    """A worker's machine: the digest of its program, its architecture, processors, memory, and whether it has BTF."""

    program: Digest
    version: Line
    name: Line
    architecture: Line
    processors: int
    memory_bytes: int
    btf: bool
    at_once: int


class Possessions(Frozen):
    """A worker's images that it was asked for, by name, and its engine: the facts of Engine.describe, and the BTF."""

    host: dict[str, str] = Field(default_factory=dict)
    images: dict[str, ImageIdentity] = Field(default_factory=dict)


class Request(Frozen):
    """A request to run a group of cells.

    `settings` are the run's, with the cells of the group alone. `configs` is a file with the user's own folders of
    configuration; `trees` maps the name of a note to a tree's content, and `differences` a patch's commit to a file
    with its difference. With `has_given`, the worker asks for the cells of the group that are done already.
    """

    program: Digest
    token: Token
    topic: Line
    settings: RunSettings
    configs: Blob | None = None
    trees: dict[FileName, SentTree] = Field(default_factory=dict)
    differences: dict[FileName, Blob] = Field(default_factory=dict)
    needs: Needs
    has_given: bool = False


class Given(Frozen):
    """The answer to a worker that asks for the done cells of its group: a packed cell for each, by its id."""

    cells: dict[CellId, Blob] = Field(default_factory=dict)


class _FromWorker(Frozen):
    """A message of a worker, by its name, on the request of this token."""

    token: Token
    worker: Line


class AtStep(Frozen):
    """A cell has come to a step."""

    kind: Literal["step"] = "step"
    token: Token
    cell: CellId
    step: Line


class Offer(_FromWorker):
    """A cell is done, and its files are packed for the run's command to fetch."""

    kind: Literal["offer"] = "offer"
    cell: CellId
    pack: Blob


class Lack(_FromWorker):
    """A worker lacks a file of a request."""

    kind: Literal["lack"] = "lack"
    sha256: Digest


class Ask(_FromWorker):
    """A worker asks for the done cells of its group."""

    kind: Literal["ask"] = "ask"


class Remark(_FromWorker):
    """A line of progress that is no cell's."""

    kind: Literal["remark"] = "remark"
    text: Line


Note = Annotated[AtStep | Offer | Lack | Ask | Remark, Field(discriminator="kind")]
"""A message from a worker while a group runs."""

_NOTE: TypeAdapter[AtStep | Offer | Lack | Ask | Remark] = TypeAdapter(Note)


class GroupEnd(Frozen):
    """The end of a group: `done`, `stopped`, `unfit` (the worker's machine or engine failed) or `refused`."""

    kind: Literal["done", "stopped", "unfit", "refused"]
    worker: Line = ""
    reason: Line = ""


def note(text: object) -> AtStep | Offer | Lack | Ask | Remark:
    """Return the message that a text is.

    Raises:
        UsageError: the text is no such message.

    """
    try:
        return _NOTE.validate_json(_bounded(text))
    except ValueError as error:
        raise _no_message(error) from error


def parse(kind: type[M], text: object) -> M:
    """Return the message of a kind that a text is.

    Raises:
        UsageError: the text is no such message.

    """
    try:
        return kind.model_validate_json(_bounded(text))
    except ValueError as error:
        raise _no_message(error) from error


def _bounded(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError("it is no text")  # noqa: TRY004 - of its sender, as any other problem of the message
    if len(text) > MESSAGE_BYTES:
        raise ValueError(f"it has more than {MESSAGE_BYTES} characters")
    return text


def _no_message(error: ValueError) -> UsageError:
    return UsageError(
        f"a message between machines has another form: {first_problem(error)}",
        "Have the same version of perf-build-matrix on all machines.",
    )


def line(text: str) -> str:
    """Return a text as a line of a message, cut at its bound."""
    return re.sub(r"\s+", " ", text)[:1000]
