"""Completes a run: runs the cells that it lacks, and once more those that the infrastructure failed at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.runs import launch, schedule

if TYPE_CHECKING:
    from matrix.model.cell_id import CellId
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run

ATTEMPTS = 2


def complete(run: Run, number: int, access: EngineAccess, *, attempts: int = ATTEMPTS) -> None:
    """Run the cells that a run lacks, `number` at once (0: as many as suit this machine).

    A cell whose result is an ERROR is the infrastructure's fault, so it is lacking and run again, up to `attempts`
    times in all.

    Raises:
        UsageError: another process is at work on the run, or a tree does not exist.
        InfrastructureError: pytest or the engine could not do their work.

    """
    wanted = run.settings().cells
    lacking = schedule.lacking(run, wanted)
    access.say(f"run {run.name}: {_progress(run, lacking, wanted, number)}")
    for attempt in range(attempts):
        if not lacking:
            return
        if attempt:
            access.say(f"run {run.name}: {len(lacking)} again, as the infrastructure failed")
        launch.run(run, wanted, schedule.at_once(run, lacking, number), access.host, access.console)
        lacking = schedule.lacking(run, wanted)


def _progress(run: Run, lacking: tuple[CellId, ...], wanted: tuple[CellId, ...], number: int) -> str:
    todo = f"{len(lacking)} of {len(wanted)} cells to do"
    return f"{todo}, {schedule.at_once(run, lacking, number)} at once" if lacking else todo
