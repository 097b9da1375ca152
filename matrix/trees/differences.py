"""A patch's difference to its base as a file: for a machine that has not the repository with the patch's commit."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from pydantic import Base64Bytes, TypeAdapter

from matrix import files
from matrix.errors import UsageError
from matrix.model.base import Frozen, first_problem
from matrix.trees.scratch_repository import CommitFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class _ChangedFile(Frozen):
    """A file of a difference (see CommitFile)."""

    mode: int
    content: Base64Bytes
    link: bool


_DIFFERENCE: TypeAdapter[dict[str, _ChangedFile | None]] = TypeAdapter(dict[str, _ChangedFile | None])


def path(pins: Path, commit: str) -> Path:
    """Return the file with a commit's difference among a run's notes of trees."""
    return pins / f"{commit}.difference"


def write(target: Path, difference: Mapping[str, CommitFile | None]) -> None:
    """Write a difference: the changed files by their paths, None for one that is removed."""
    found = {
        name: _ChangedFile(mode=file.mode, content=base64.b64encode(file.content), link=file.link) if file else None
        for name, file in difference.items()
    }
    files.write(target, _DIFFERENCE.dump_json(found))


def read(source: Path) -> dict[str, CommitFile | None]:
    """Return the difference in a file.

    Raises:
        UsageError: the file holds none.

    """
    try:
        found = _DIFFERENCE.validate_json(files.read(source))
    except ValueError as error:
        raise UsageError(f"{source} is no difference of a patch: {first_problem(error)}", "Begin a new run.") from error
    return {name: CommitFile(file.mode, file.content, file.link) if file else None for name, file in found.items()}
