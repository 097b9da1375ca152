"""The task of the child that judges a cell: stored transcripts to the parts of a judgement, a line of JSON each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.model.base import Frozen
from matrix.model.cell import Cell
from matrix.model.known_failure import KnownFailure
from matrix.runs import transcripts
from matrix.verdicts import judgement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations


class Request(Frozen):
    """A cell to judge: the files of its transcript and of the base tree's, empty for none; `cell` as it is today."""

    transcript: str
    base: str
    cell: Cell
    known: tuple[KnownFailure, ...]


def main(request: bytes) -> Iterator[bytes]:
    """Yield the parts of the judgement on a cell.

    Raises:
        UsageError: a file is no transcript of ours.

    """
    asked = Request.model_validate_json(request)
    observations = _observations(asked)
    for part in judgement.parts(observations, asked.known):
        yield f"{part.model_dump_json(exclude_defaults=True)}\n".encode()


def _observations(asked: Request) -> Observations:
    # However large: this process's limit on memory is a finding against the tree, and a refusal would be none.
    base = transcripts.read(Path(asked.base), sys.maxsize).observations() if asked.base else None
    return transcripts.read(Path(asked.transcript), sys.maxsize).with_cell(asked.cell).observations(base=base)
