"""The recording of a single step of a cell: its trace, and the rules that its makes declare."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix import paths
from matrix.engine import agent_volume, images
from matrix.errors import InfrastructureError, UsageError, did_you_mean
from matrix.runs import execution, interrupts, locks, schedule, store
from matrix.scenario import plan
from matrix.trees import volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.named_cell import NamedCell
    from matrix.runs.store import Run
    from matrix.scenario.make_database import Database
    from matrix.scenario.plan import Step
    from matrix.scenario.step_facts import StepFacts

DATABASE = "database"
"""The step in which makes print their data bases; it comes after the build, and is not part of its trace."""


@dataclass(frozen=True)
class Recorded:
    """A traced step, the id of its cell, and the data bases of its makes."""

    cell: str
    facts: StepFacts
    databases: tuple[Database, ...]


def recorded(named: NamedCell, step: str, run: str, jobs: int, access: EngineAccess) -> Recorded:
    """Return the recording of a cell's step from the run of this name or, without a name, one made now.

    0 `jobs` of make means as many as there are processors.

    Raises:
        UsageError: the cell has no such traced step, or the run did not record it.
        InfrastructureError: no engine answers, or it forbids ptrace.

    """
    names = [planned.name for planned in plan.scenario(named.cell).steps if _is_traced(planned)]
    if step not in names:
        raise UsageError(f"no traced step {step!r}{did_you_mean(step, names)}", f"There are: {', '.join(names)}.")
    if run:
        return of_run(store.find(run), named.cell.id, step)
    with interrupts.interruptible(), locks.busy():
        return record(named, step, schedule.jobs(jobs, 1), access.connect(), access.say)


def _is_traced(planned: Step) -> bool:
    return bool(planned.commands) and planned.commands[0].traced


def record(named: NamedCell, step: str, jobs: int, engine: Engine, say: Callable[[str], None]) -> Recorded:
    """Run the build of a cell, a step and the printing of rules, and return the recording of the step.

    Raises:
        UsageError: a step failed.
        InfrastructureError: the engine forbids ptrace.

    """
    cell = named.cell
    image = images.prepare(cell.image, engine, say)
    tree = volumes.prepare(cell.tree, engine, say, named.pins)
    # The build is always run, as every other step starts from it.
    scenario = plan.scenario(cell, jobs, only=("build", step, DATABASE))
    with paths.temporary("trace") as folder:
        cell_run = execution.Execution(engine, store.Run(folder), scenario, image, tree, agent_volume.provide(engine))
        with execution.closing(cell_run):
            for planned in scenario.steps:
                say(f"{cell.id}: {planned.name}")
                end = cell_run.take(planned)
                if end.failure:
                    hint = f"{_shell_command(named, planned.name)} looks at it."
                    raise UsageError(f"{cell.id}: step {planned.name} failed: {end.failure}", hint)
            cell_run.run.save_transcript(cell.id, cell_run.transcript.blocks())
        return of_run(cell_run.run, cell.id, step)


def _shell_command(named: NamedCell, step: str) -> str:
    """Return the command for a shell after a step; the source of a tree that no run has is given by --tree."""
    words = [named.cell.id] if named.run else [named.cell.place, "--tree", named.cell.tree.asked]
    return shlex.join(["perf-matrix", "shell", *words, "--after", step])


def of_run(run: Run, cell_id: str, step: str) -> Recorded:
    """Return the recording of a step from a run.

    Raises:
        UsageError: the run did not record the step, an older version recorded it, or it continued a kept build.

    """
    transcript = run.transcript(cell_id)
    if transcript is None:
        raise UsageError(f"{run.name} has no transcript of {cell_id}", "`perf-matrix report` names its cells.")
    facts = next((record.facts() for record in transcript.steps if record.step.name == step), None)
    if facts is None or facts.failure:
        raise UsageError(f"{cell_id} has no finished step {step} in {run.name}")
    continued_another_build = facts.step.touch and step == "build"
    if continued_another_build:
        raise UsageError(f"{cell_id} in {run.name} continued a kept build", "Trace it without --run.")
    return _checked(Recorded(cell_id, facts, transcript.databases))


def _checked(found: Recorded) -> Recorded:
    """Return a recording that has all that a graph of jobs needs.

    Raises:
        UsageError: the recording is of an older version, without the processes' standard outputs.
        InfrastructureError: the engine forbade ptrace.

    """
    # Yama's ptrace_scope: https://docs.kernel.org/admin-guide/LSM/Yama.html
    if not found.facts.traced:
        raise InfrastructureError("ptrace is forbidden here, so there is no trace", "Allow it: seccomp, Yama's scope.")
    if not any(process.stdouts for process in found.facts.processes):
        raise UsageError(
            f"{found.cell} was recorded by an older version, without the outputs of its processes",
            "Trace the step without --run.",
        )
    return found
