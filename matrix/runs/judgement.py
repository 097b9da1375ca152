"""Judges a cell's transcript, fresh or from a run directory, and returns the result with its checks and verdict."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from matrix.config import selection, tree_words
from matrix.errors import InfrastructureError, MatrixError
from matrix.model.result import CellResult, Verdict
from matrix.runs import internal_errors
from matrix.runs.confinement import LimitExceededError
from matrix.runs.transcript_process import TranscriptProcess
from matrix.verdicts import judgement, result_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.model.known_failure import KnownFailure
    from matrix.runs.store import Run


def judged(
    result: CellResult, run: Run, cell: Cell, known: Sequence[KnownFailure], base: Path | None = None
) -> CellResult:
    """Return a cell's result with the steps, checks and verdict of its stored transcript.

    `base` is the transcript of the same cell on the base tree. A limit that the transcripts exceed is a finding.

    Raises:
        UsageError: a transcript cannot be read.
        InfrastructureError: the process of the transcript did not answer in time.
        ChildDiedError: it died of an internal error.

    """
    with contextlib.closing(TranscriptProcess()) as transcript:
        try:
            transcript.load(run.transcript_path(cell.id), cell)
        except LimitExceededError as error:
            return judgement.judged(result, [], error.limit)
        return judgement.judged(result, *transcript.judgement(known, base))


class BaseCells:
    """A run's cells on its base tree, `tree`, which those on other trees are compared with; no name is no base tree."""

    def __init__(self, run: Run, tree: str) -> None:
        self.run = run
        self.tree = tree

    def transcript(self, cell: Cell) -> Path | None:
        """Return the file with the transcript of a cell on the base tree.

        There is none for a cell that is on that tree itself, nor where the whole cell on the base tree was skipped.

        Raises:
            InfrastructureError: the cell on the base tree has no result, or an ERROR, or its transcript is lost.

        """
        result = self.result(cell)
        return self._transcript(result) if result else None

    def result(self, cell: Cell) -> CellResult | None:
        """Return the result of a cell on the base tree, or nothing for a cell that is on that tree itself.

        Raises:
            InfrastructureError: the cell on the base tree has no result, or an ERROR.

        """
        if not self.tree or cell.tree.name == self.tree:
            return None
        cell_id = cell.place.on(self.tree)
        result = self.run.result(cell_id)
        if result is None or result.verdict == Verdict.ERROR:
            reason = result.reason if result else "it was not run"
            raise InfrastructureError(
                f"the cell on the base tree has no result to compare with: {cell_id}: {reason}", "Go on with --resume."
            )
        return result

    def _transcript(self, result: CellResult) -> Path | None:
        path = self.run.transcript_path(result.id)
        if path.is_file():
            return path
        if result.verdict == Verdict.SKIP and not result.steps:
            return None
        raise InfrastructureError(
            f"the cell on the base tree has no transcript to compare with: {result.id}",
            "Run the cells again, in a new run.",
        )


def check_again(run: Run, loaded: Config) -> list[CellId]:
    """Judge the transcripts of a run by today's checks, builds and known failures; nothing is built.

    A cell that is an ERROR, or was never judged, keeps its result: it was interrupted, or the infrastructure failed,
    and `--resume` does it again. Cells whose transcript is lost, or that are of no build or image today, keep theirs,
    too, and are returned.

    Raises:
        UsageError: a result or a transcript cannot be read.

    """
    settings = run.settings()
    trees = [tree_words.tree(loaded, word) for word in settings.trees]
    today = {cell.id: cell for cell in selection.every(loaded, trees)}
    base = BaseCells(run, settings.base)
    left: list[CellId] = []
    for result in filter(_was_judged, run.results()):
        cell = today.get(result.id)
        if cell and run.transcript_path(result.id).is_file():
            run.save(_judged_again(result, cell, loaded.known, base))
        else:
            left.append(result.id)
    return left


def _was_judged(result: CellResult) -> bool:
    return result.verdict != Verdict.ERROR and bool(result.checks)


def _judged_again(result: CellResult, cell: Cell, known: Sequence[KnownFailure], base: BaseCells) -> CellResult:
    try:
        # By other known failures than those of the key, perhaps: the result is nobody else's any more.
        again = judged(result.model_copy(update={"key": ""}), base.run, cell, known, base.transcript(cell))
        return result_key.with_differences_of(again, result)
    except InfrastructureError as error:
        return judgement.error(result, str(error))
    except MatrixError:
        raise
    except Exception as error:  # noqa: BLE001 - the other cells are judged
        return judgement.error(result, internal_errors.recorded(base.run, result.id, error))
