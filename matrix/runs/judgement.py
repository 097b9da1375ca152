"""Judges a cell's transcript, fresh or from a run directory, and returns the result with its checks and verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.config import selection
from matrix.errors import InfrastructureError
from matrix.model.result import CellResult, Verdict
from matrix.verdicts import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.model.known_failure import KnownFailure
    from matrix.runs.store import Run
    from matrix.scenario.observations import Observations
    from matrix.scenario.transcript import Transcript


def judged(
    result: CellResult, transcript: Transcript, known: Sequence[KnownFailure], base: Observations | None = None
) -> CellResult:
    """Return a result with the steps, checks and verdict of its transcript.

    `base` are the observations of the same cell on the base tree. The result is an ERROR where the transcript breaks
    off before a step that could have been run, or has no build: neither is perf's fault.
    """
    observations = transcript.observations(base=base)
    reason = _incompleteness(observations)
    if reason:
        return result.model_copy(update={"verdict": Verdict.ERROR, "reason": reason, "checks": ()})
    checks = judge.check_results(observations, known)
    program = observations.steps["build"].files.get(f"{observations.output}/perf")
    return result.model_copy(
        update={
            "steps": judge.step_results(observations),
            "checks": checks,
            "verdict": judge.cell_verdict(checks),
            "reason": "",
            "program_sha256": program.content if program else "",
        }
    )


def _incompleteness(observations: Observations) -> str:
    """Return why observations cannot be judged, or nothing."""
    lacking = observations.lacking
    if lacking is not None:
        return f"the cell was interrupted: step {lacking.name} was not run"
    return "" if "build" in observations.steps else "the transcript has no step build"


class BaseCells:
    """A run's cells on its base tree, `tree`, which those on other trees are compared with; no name is no base tree.

    The observations of the last one that was asked for are kept, as the cells of one place come one after the other.
    """

    def __init__(self, run: Run, tree: str) -> None:
        self.run = run
        self.tree = tree
        self._last: tuple[CellId, Observations | None] | None = None

    def observations(self, cell: Cell) -> Observations | None:
        """Return the observations of a cell on the base tree.

        There are none for a cell that is on that tree itself, nor where the whole cell on the base tree was skipped.

        Raises:
            InfrastructureError: the cell on the base tree has no result, or an ERROR, or its transcript is lost.

        """
        if not self.tree or cell.tree.name == self.tree:
            return None
        cell_id = cell.place.on(self.tree)
        result = self.run.result(cell_id)
        if result is None or result.verdict == Verdict.ERROR:
            reason = result.reason if result else "it was not run"
            raise InfrastructureError(
                f"there is nothing to compare it with: {cell_id}: {reason}", "Go on with --resume."
            )
        if self._last is None or self._last[0] != cell_id:
            self._last = cell_id, self._observations(result)
        return self._last[1]

    def _observations(self, result: CellResult) -> Observations | None:
        transcript = self.run.transcript(result.id)
        if transcript:
            return transcript.observations()
        if result.verdict == Verdict.SKIP and not result.steps:
            return None
        raise InfrastructureError(
            f"there is nothing to compare it with: {result.id} has no transcript", "Run the cells again, in a new run."
        )


def check_again(run: Run, loaded: Config) -> None:
    """Judge the transcripts of a run by today's checks, builds and known failures; nothing is built.

    A cell that was never judged keeps its result: it was interrupted, or the infrastructure failed, and `--resume` does
    it again.

    Raises:
        UsageError: a result or a transcript cannot be read.

    """
    settings = run.settings()
    trees = [selection.tree(loaded, word) for word in settings.trees]
    today = {cell.id: cell for cell in selection.every(loaded, trees)}
    base = BaseCells(run, settings.base)
    for result in run.results():
        cell = today.get(result.id)
        transcript = run.transcript(result.id) if result.checks else None  # without checks it was never judged
        if cell and transcript:
            run.save(_judged_again(result, transcript.with_cell(cell), loaded.known, base))


def _judged_again(
    result: CellResult, transcript: Transcript, known: Sequence[KnownFailure], base: BaseCells
) -> CellResult:
    try:
        return judged(result, transcript, known, base.observations(transcript.scenario.cell))
    except InfrastructureError as error:
        return result.model_copy(update={"verdict": Verdict.ERROR, "reason": str(error), "checks": ()})
