"""Completes a run: runs the cells that it lacks, and once more the cells whose result is an ERROR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.errors import UsageError
from matrix.runs import earlier_results, launch, locks, order, schedule, transcripts
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Collection

    from matrix.config.load import Config
    from matrix.model.cell_id import CellId
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.run_settings import RunSettings
    from matrix.runs.store import Run

ATTEMPTS = 2
"""A second attempt, as many ERRORs pass: a registry that did not answer, a disk that was full, a killed process."""


def complete(
    run: Run, number: int, access: EngineAccess, *, attempts: int = ATTEMPTS, config: Config | None = None
) -> None:
    """Run the cells that a run lacks, `number` at once (0: as many as suit this machine).

    A cell whose result is an ERROR is the infrastructure's fault, so it is lacking and run again, up to `attempts`
    times in all. `config` is the run's configuration, where the caller has loaded it.

    Raises:
        UsageError: another process is at work on the run, or a tree does not exist.
        InfrastructureError: pytest or the engine could not do their work.

    """
    # Held over all attempts: between two of them nobody else is to take the run up.
    with locks.doing(run):
        _complete(run, number, access, attempts, config)


def _complete(run: Run, number: int, access: EngineAccess, attempts: int, config: Config | None) -> None:
    settings = run.settings()
    _forget_damaged(run, settings, access)
    if not _lacking(run, settings.cells):
        access.say(f"run {run.name}: {_progress(settings, (), 0)}")
        return
    known = config or run.configuration()
    if access.way is None:  # a key has the image of the engine that would build, which another machine has
        earlier_results.take(run, _lacking(run, settings.cells), access, known)
    lacking = _lacking(run, settings.cells)
    at_once = _at_once(run, settings, known, lacking, number)
    access.say(f"run {run.name}: {_progress(settings, lacking, at_once)}")
    for attempt in range(attempts):
        if not lacking:
            return
        if attempt:
            access.say(f"run {run.name}: {len(lacking)} again, as the infrastructure failed")
        launch.run(run, settings.cells, at_once, access, known)
        lacking = _lacking(run, settings.cells)
        at_once = _at_once(run, settings, known, lacking, number)  # few cells may be left for many workers


def _forget_damaged(run: Run, settings: RunSettings, access: EngineAccess) -> None:
    """Remove results that are damaged or another cell's, each with a line that names it: the cells are lacking then.

    So are cells on the base tree whose transcript is damaged, as others are compared with it.
    """
    for cell_id in settings.cells:
        damage = _forget_damaged_result(run, cell_id)
        if not damage and cell_id.tree == settings.base:
            damage = _forget_damaged_transcript(run, cell_id)
        if damage:
            access.say(f"{damage}: the cell is done again")


def _forget_damaged_result(run: Run, cell_id: CellId) -> str:
    """Remove a result that is damaged, and return a sentence on it; the cell's other files stay until it begins."""
    try:
        run.result(cell_id)
    except UsageError as error:
        run.forget_result(cell_id)
        return error.message
    return ""


def _forget_damaged_transcript(run: Run, cell_id: CellId) -> str:
    """Remove a cell whose transcript is damaged, and return a sentence on it."""
    transcript = run.transcript_path(cell_id)
    if not transcript.is_file() or transcripts.is_whole(transcript):
        return ""
    run.forget(cell_id)
    return f"{transcript} is no whole transcript"


def _lacking(run: Run, wanted: tuple[CellId, ...]) -> tuple[CellId, ...]:
    return schedule.lacking(wanted, {result.id: result for result in run.results()})


def _at_once(run: Run, settings: RunSettings, config: Config, lacking: Collection[CellId], asked: int) -> int:
    """Return the number of cells to run at once, where these are lacking."""
    todo = [cell for cell in order.cells(run, settings, config) if cell.id in lacking]
    return schedule.at_once(settings, todo, asked)


def _progress(settings: RunSettings, lacking: tuple[CellId, ...], at_once: int) -> str:
    todo = f"{len(lacking)} of {count(len(settings.cells), 'cell')} to do"
    return f"{todo}, {at_once} at once" if lacking else todo
