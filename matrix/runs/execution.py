"""Runs the scenario of one cell, step by step in its containers, and records the transcript."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from matrix.engine.api import CellSpec
from matrix.errors import InfrastructureError
from matrix.runs import diffoscope, parsing, step_specification
from matrix.runs.cell_deadline import CellDeadline
from matrix.runs.transcript_process import TranscriptProcess
from matrix.scenario import perf, plan
from matrix.scenario.elf_facts import ElfFacts
from matrix.scenario.observations import obstacle
from matrix.scenario.recorder import StepEnd, Taken
from matrix.scenario.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.engine.api import Container, Engine
    from matrix.model.cell import Limits
    from matrix.model.result import ImageIdentity
    from matrix.runs.store import Run
    from matrix.scenario.plan import Invocation, Scenario, Step
    from matrix.trees.volumes import PreparedTree

CELL_FACTS_BYTES = 128 << 20
"""The most of the agent's records that all steps of a cell may have together; perf's largest cell has 30 MB of them.

The process of the transcript holds them in memory, where the records of files take 13 times as much.
"""

SCAN_S = 300
"""The seconds after a step's commands in which the agent hashes the files that they wrote."""


@dataclass(frozen=True)
class KeptBuild:
    """A finished build that other builds continue from, in copies of its container's `state`.

    `transcript` is the file with the record of its step `build`, `touched` are the files of the tree in which the
    continuing build's tree differs. `cpu_s` is the CPU time of the build, in seconds, and 0 for the build that it is
    made for: only the builds after that one save it.
    """

    state: tuple[str, str]
    transcript: Path
    touched: tuple[str, ...] = ()
    cpu_s: float = 0.0


@dataclass
class Execution:
    """A cell that is being run: its containers by place, the ends of its steps, and the process of its transcript.

    Where `built`, a kept build, is set, the first container begins as a copy of that and not with the bare tree. `cpus`
    are the processors that the containers are pinned to, as `0-3`.
    """

    engine: Engine
    run: Run
    scenario: Scenario
    image: ImageIdentity
    tree: PreparedTree
    agent_volume: str
    built: KeptBuild | None = None
    cpus: str = ""
    containers: dict[str, Container] = field(default_factory=dict)
    ends: list[StepEnd] = field(default_factory=list)
    facts_bytes: int = 0

    def __post_init__(self) -> None:
        self.deadline = CellDeadline(self.scenario.limits.cell_s)
        begun = Transcript(
            scenario=self.scenario,
            ignore=self.tree.facts.ignore_texts,
            generator_has_pool=self.tree.facts.generator_has_pool,
            tree_version=self.tree.identity.version,
        )
        self.transcript = TranscriptProcess()
        with contextlib.ExitStack() as undo:
            undo.callback(self.transcript.close)
            self.transcript.begin(begun, self.tree.facts.index, self.built.transcript if self.built else None)
            undo.pop_all()

    def container(self, place: str) -> Container:
        """Return the container of a place, started now if it was not yet."""
        if place not in self.containers:
            self.containers[place] = self._start(place, self._begun_with(place))
        return self.containers[place]

    def copy(self) -> Container:
        """Return another container that begins as the first one is now; the caller removes it."""
        return self._start("first", self.container("first").state)

    def _start(self, place: str, state: tuple[str, ...]) -> Container:
        spec = CellSpec(
            image=self.image.tag,
            tree_volumes=self.tree.volumes,
            agent_volume=self.agent_volume,
            hostname=self.scenario.hostnames[place],
            limits=self.scenario.limits,
            state=state,
            cpus=self.cpus,
        )
        return self.engine.cell(spec)

    def _begun_with(self, place: str) -> tuple[str, ...]:
        """Return the state that a place is a copy of; where no file is touched the second build is from scratch."""
        return self.built.state if self.built and (place == "first" or self.built.touched) else ()

    def remove_containers(self) -> None:
        """Remove the containers; the process of the transcript lives on.

        Raises:
            InfrastructureError: the engine could not remove all of them; the others are gone.

        """
        containers, self.containers = list(self.containers.values()), {}
        with contextlib.ExitStack() as stack:
            for container in containers:
                stack.callback(container.remove)  # runs them all, whichever of them fails

    def log(self, step: str) -> Path:
        """Return the file of a step's log in the run's folder."""
        return self.run.cell(self.scenario.cell.id) / "logs" / f"{step}.log"

    def close(self) -> None:
        """Remove the containers and end the process of the transcript.

        Raises:
            InfrastructureError: the engine could not remove all of the containers.

        """
        with contextlib.closing(self.transcript):
            self.remove_containers()

    def take(self, step: Step) -> StepEnd:
        """Run one step, record it, and return its end.

        Raises:
            LimitExceededError: what the step left cannot be read within the limits.
            InfrastructureError: the engine failed, or an edit of the tree is not there after the build.

        """
        path = self.log(step.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            # A log alone, as in a bundle, says which commands it is of.
            file.write(f"# {step.name}: {step.text}\n".encode())
            taken, output = self._execute(step, file)
        touched = self.built.touched if self.built and step.touch and step.name == "build" else ()
        took = self.transcript.take(taken, output, path, touched)
        if took.stale:  # a kept build's copy could have hidden the edit
            where = took.stale[0]
            raise InfrastructureError(f"the edit of {where} is not there after the build", "Mark it from_scratch.")
        failure = took.failure
        if step.declares and not failure:
            failure = self._note_databases(step, path)
        end = StepEnd(step, failure, took.ended, took.cpu_s)
        self.ends.append(end)
        return end

    def _note_databases(self, step: Step, log: Path) -> str:
        """Record the rules in a step's log, and empty the log (24 MB for perf); return the error in it, or nothing."""
        head, _, printed = log.read_bytes().partition(b"\n")
        try:
            databases = parsing.databases(printed)
        except ValueError as error:
            self.transcript.fail(step.name, str(error), log)
            return str(error)
        self.transcript.note(databases=databases)
        if databases:
            log.write_bytes(head + f"\n{len(databases)} data bases: their rules are in the transcript\n".encode())
        return ""

    def _execute(self, step: Step, log: IO[bytes]) -> tuple[Taken, bytes]:
        """Run the commands of a step, and return it with the agent's output."""
        container = self.container(step.place)
        words = step_specification.words(step, self._invocations(step))
        taken = Taken(step=step, log=f"logs/{step.name}.log")
        # The agent ends a command that overruns timeout_s; this is for an agent that does not.
        deadline_s = step.timeout_s * max(1, len(step.commands)) + SCAN_S
        if self.deadline.failure:
            return taken.model_copy(update={"error": self.deadline.failure}), b""
        allowed_s = min(deadline_s, self.deadline.left_s)
        status, output = container.agent(words, lambda block: _write(log, block), allowed_s)
        self.facts_bytes += len(output)
        if self.facts_bytes > CELL_FACTS_BYTES:
            error = f"the facts of the cell's steps exceed {CELL_FACTS_BYTES >> 20} MiB"
            return taken.model_copy(update={"error": error}), b""
        limit = self.deadline.failure or _lack_of_memory(status, container, self.scenario.limits)
        return taken.model_copy(update={"limit": limit, "early": _early(status)}), output

    def _invocations(self, step: Step) -> list[Invocation]:
        if not step.replays:
            return plan.invocations(step)
        seen = self.transcript.generator_argv(step.replays)
        return plan.replays(step, seen) if seen else []

    def inspect(self) -> None:
        """Record the ELF facts of the built program and of the event tables' objects, and the tables' names."""
        output = plan.output_folder(self.scenario.cell)
        paths = [f"{output}/{name}" for name in perf.ELF_FILES]
        built = self.transcript.present("build", paths)
        elf = {path: parsing.elf_facts(path, self._read(path)) for path in built}
        tables: tuple[str, ...] = ()
        try:
            tables = perf.compact_tables(self._read(f"{output}/{perf.TABLES_SOURCE}"))
        except ValueError as error:
            source = f"{output}/{perf.TABLES_OBJECT}"
            elf[source] = ElfFacts(path=source, error=str(error))
        self.transcript.note(elf=elf, compact_tables=tables)

    def _read(self, path: str) -> bytes:
        return self.container("first").read(path, parsing.FILE_BYTES) or b""

    def explain(self) -> None:
        """Store diffoscope's text on the first file that differs between the builds; the transcript has its begin."""
        path = self.transcript.first_difference()
        if not path:
            return
        contents = {place: self.container(place).read(path, diffoscope.MAX_BYTES + 1) for place in ("first", "second")}
        target = self.run.cell(self.scenario.cell.id) / "logs" / "diffoscope.txt"
        text = diffoscope.difference(self.engine, path, contents["first"] or b"", contents["second"] or b"")
        target.write_text(text, encoding="utf-8", errors="replace")
        self.transcript.note(differences=tuple(text.splitlines()[:40]))


def _lack_of_memory(status: int, container: Container, limits: Limits) -> str:
    """Return that the cell's limit on memory ended the agent, or nothing where it did not."""
    if not status or not container.is_out_of_memory():
        return ""
    return f"hit the limit on memory, {limits.memory_bytes >> 20} MiB (the kernel ended the agent or the container)"


def _early(status: int) -> str:
    return f"the step's facts end early (its container or the agent ended, status {status})"


def _write(file: IO[bytes], block: bytes) -> None:
    file.write(block)
    file.flush()  # for whoever follows the log while the step runs


def execute(cell: Execution) -> Iterator[StepEnd]:
    """Run the scenario's steps in order, as far as no failure stands in their way, and yield the end of each."""
    for step in cell.scenario.steps:
        if not obstacle(step, cell.ends):
            cell.run.progress(cell.scenario.cell.id, step.name)
            end = cell.take(step)
            _look_into_containers(cell, end)
            yield end


def _look_into_containers(cell: Execution, end: StepEnd) -> None:
    """Record the facts that later steps would destroy: the program's ELF facts, and why the second build differs."""
    cell_id = cell.scenario.cell.id
    # Before the self-test, in which the program could put another file in its place.
    if end.step.name == "build" and not end.failure and _is_self_tested(cell.scenario):
        cell.run.progress(cell_id, "read the ELF files")
        cell.inspect()
    if end.step.name == "build-again" and not end.failure:
        if not cell.built:
            cell.run.progress(cell_id, "explain the first difference")
            cell.explain()
        # No later step needs the second container, and its volumes are in memory.
        cell.containers.pop(end.step.place).remove()


def _is_self_tested(scenario: Scenario) -> bool:
    return any(step.name == "self-test" for step in scenario.steps)


@contextlib.contextmanager
def closing(cell: Execution) -> Iterator[Execution]:
    """Close the cell at the end, whatever happens."""
    with contextlib.closing(cell.transcript), removing_containers(cell):
        yield cell


@contextlib.contextmanager
def removing_containers(cell: Execution) -> Iterator[None]:
    """Remove the cell's containers at the end, whatever happens."""
    try:
        yield
    finally:
        with contextlib.suppress(InfrastructureError):  # what could not be removed is swept at the run's end
            cell.remove_containers()
