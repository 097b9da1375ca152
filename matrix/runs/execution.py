"""Runs the scenario of one cell, step by step in its containers, and records the transcript."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from matrix import files
from matrix.checks import reproducible
from matrix.engine.api import CellSpec
from matrix.errors import InfrastructureError
from matrix.model.base import first_problem
from matrix.runs import diffoscope, parsing, step_specification
from matrix.runs.cell_deadline import CellDeadline
from matrix.scenario import perf, plan
from matrix.scenario.elf import ElfFacts
from matrix.scenario.listings import children, gone
from matrix.scenario.observations import obstacle
from matrix.scenario.transcript import StepRecord, Transcript, records, stacked, trouble
from matrix.trace import command_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matrix.engine.api import Container, Engine
    from matrix.model.cell import Limits
    from matrix.model.result import ImageIdentity
    from matrix.runs.store import Run
    from matrix.scenario.plan import Invocation, Scenario, Step
    from matrix.scenario.step_facts import StepFacts
    from matrix.trees.volumes import PreparedTree

CELL_FACTS_BYTES = 256 << 20
"""The most of the agent's records that all steps of a cell may have together; perf's largest cell has 30 MB of them.

This process holds them in memory, where they take five times as much.
"""

SCAN_S = 300
"""The seconds after a step's commands in which the agent hashes the files that they wrote."""

TAIL_BYTES = 1 << 20
"""The end of a failed step's log in which the lines with the reason are looked for."""


@dataclass(frozen=True)
class KeptBuild:
    """A finished build that other builds continue from, in copies of its container's `state`.

    `record` is that of its step `build`, `touched` are the files of the tree in which the continuing build's tree
    differs.
    """

    state: tuple[str, str]
    record: StepRecord
    touched: tuple[str, ...] = ()


@dataclass
class Execution:
    """A cell that is being run: its containers by place, and its transcript as far as it has got.

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
    facts: dict[str, StepFacts] = field(default_factory=dict)
    facts_bytes: int = 0

    def __post_init__(self) -> None:
        self.children = children(self.tree.facts.index)
        self.deadline = CellDeadline(self.scenario.limits.cell_s)
        self.transcript = Transcript(
            scenario=self.scenario,
            ignore=self.tree.facts.ignore,
            generator_has_pool=self.tree.facts.generator_has_pool,
            tree_version=self.tree.identity.version,
        )

    def _record(self, **facts: Any) -> None:
        self.transcript = self.transcript.model_copy(update=facts)

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

    def close(self) -> None:
        """Remove the containers.

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

    def take(self, step: Step) -> StepFacts:
        """Run one step and keep its facts."""
        log = f"logs/{step.name}.log"
        path = self.log(step.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            # A log alone, as in a bundle, says which commands it is of.
            file.write(f"# {step.name}: {step.text}\n".encode())
            found, error = self._execute(step, file)
        missing: tuple[str, ...] = ()
        try:
            missing = tuple(gone(found, self.children))
        except ValueError as problem:
            error = error or f"a listing of step {step.name} is not as the agent writes it: {first_problem(problem)}"
        if step.declares and not error:
            error = self._note_databases(path)
        record = StepRecord(step=step, log=log, error=error, records=found, missing=missing)
        facts = record.facts()  # once: a build has 20,000 records
        if facts.failure:
            evidence = trouble(files.tail(path, TAIL_BYTES))
            record, facts = record.model_copy(update={"evidence": evidence}), replace(facts, evidence=evidence)
        self._record(steps=[*self.transcript.steps, record])
        self.facts[step.name] = facts
        self._note_lower(facts)
        if self.built and step.touch and step.name == "build":
            self._check_touched(self.built.touched, facts)
        return facts

    def _check_touched(self, touched: Sequence[str], facts: StepFacts) -> None:
        """Check that the touched files have the tree's content: a kept build's copy could have hidden it.

        Raises:
            InfrastructureError: a file has another content.

        """
        for path in touched:
            file = facts.files.get(perf.in_cell(path))
            if not facts.failure and (file is None or file.content != self.tree.facts.index[path].content):
                raise InfrastructureError(f"the edit of {path} is not there after the build", "Mark it from_scratch.")

    def _note_databases(self, log: Path) -> str:
        """Record the rules in a step's log, and empty the log (24 MB for perf); return the error in it, or nothing."""
        head, _, printed = log.read_bytes().partition(b"\n")
        try:
            databases = parsing.databases(printed)
        except ValueError as error:
            return str(error)
        self._record(databases=databases)
        if databases:
            log.write_bytes(head + f"\n{len(databases)} data bases: their rules are in the transcript\n".encode())
        return ""

    def _execute(self, step: Step, log: IO[bytes]) -> tuple[list[list[Any]], str]:
        container = self.container(step.place)
        words = step_specification.words(step, self._invocations(step))
        # The agent ends a command that overruns timeout_s; this is for an agent that does not.
        deadline_s = step.timeout_s * max(1, len(step.commands)) + SCAN_S
        if self.deadline.failure:
            return [], self.deadline.failure
        allowed_s = min(deadline_s, self.deadline.left_s)
        status, output = container.agent(words, lambda block: _write(log, block), allowed_s)
        self.facts_bytes += len(output)
        if self.facts_bytes > CELL_FACTS_BYTES:
            return [], f"the facts of the cell's steps exceed {CELL_FACTS_BYTES >> 20} MiB"
        found, error = records(output)
        # The agent's last record is `end`: without it, facts are lacking, and lacking facts look like a clean build.
        if error or not found or found[-1][0] != "end":
            error = (
                self.deadline.failure
                or _lack_of_memory(status, container, self.scenario.limits)
                or error
                or _early(status)
            )
        if self.built and step.name == "build" and not error:
            try:
                found = stacked(self.built.record.records, found)
            except ValueError as problem:
                error = str(problem)
        return found, error

    def _invocations(self, step: Step) -> list[Invocation]:
        if not step.replays:
            return plan.invocations(step)
        seen = command_lines.generator_argv(self.facts["build"], step.replays)
        return plan.replays(step, seen) if seen else []

    def _note_lower(self, facts: StepFacts) -> None:
        """Record the tree's entries below the paths that a step wrote to."""
        entries = {path: entry for path in facts.files if (entry := self._tree_entry(path)) is not None}
        self._record(lower={**self.transcript.lower, **entries})

    def _tree_entry(self, path: str) -> tuple[int, str] | None:
        """Return mode and digest of a path (inside the cell) in the tree, or None where the tree does not have it."""
        relative = path.removeprefix("/src/")
        if relative in self.tree.facts.index:
            return self.tree.facts.index[relative]
        return (0o755, "") if relative in self.children else None

    def inspect(self) -> None:
        """Record the ELF facts of the built program and of the event tables' objects, and the tables' names."""
        output = plan.output_folder(self.scenario.cell)
        paths = [f"{output}/{name}" for name in perf.ELF_FILES]
        built = [path for path in paths if path in self.facts["build"].files]
        self._record(elf={path: parsing.elf_facts(path, self._read(path)) for path in built})
        try:
            tables = perf.compact_tables(self._read(f"{output}/{perf.TABLES_SOURCE}"))
        except ValueError as error:
            source = f"{output}/{perf.TABLES_OBJECT}"
            self._record(elf={**self.transcript.elf, source: ElfFacts(path=source, error=str(error))})
        else:
            self._record(compact_tables=tables)

    def _read(self, path: str) -> bytes:
        return self.container("first").read(path, parsing.FILE_BYTES) or b""

    def explain(self) -> None:
        """Store diffoscope's text on the first file that differs between the builds; the transcript has its begin."""
        path = reproducible.first_difference(self.transcript.observations(self.facts))
        if path is None:
            return
        contents = {place: self.container(place).read(path, diffoscope.MAX_BYTES + 1) for place in ("first", "second")}
        target = self.run.cell(self.scenario.cell.id) / "logs" / "diffoscope.txt"
        text = diffoscope.difference(self.engine, path, contents["first"] or b"", contents["second"] or b"")
        target.write_text(text, encoding="utf-8", errors="replace")
        self._record(differences=tuple(text.splitlines()[:40]))


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


def execute(cell: Execution) -> Iterator[StepFacts]:
    """Run the scenario's steps in order, as far as no failure stands in their way, and yield each one's facts."""
    for step in cell.scenario.steps:
        if not obstacle(step, cell.facts.values()):
            cell.run.progress(cell.scenario.cell.id, step.name)
            facts = cell.take(step)
            _look_into_containers(cell, facts)
            yield facts


def _look_into_containers(cell: Execution, facts: StepFacts) -> None:
    """Record the facts that later steps would destroy: the program's ELF facts, and why the second build differs."""
    cell_id = cell.scenario.cell.id
    # Before the self-test, in which the program could put another file in its place.
    if facts.step.name == "build" and not facts.failure and _is_self_tested(cell.scenario):
        cell.run.progress(cell_id, "read the ELF files")
        cell.inspect()
    if facts.step.name == "build-again" and not facts.failure:
        if not cell.built:
            cell.run.progress(cell_id, "explain the first difference")
            cell.explain()
        # No later step needs the second container, and its volumes are in memory.
        cell.containers.pop(facts.step.place).remove()


def _is_self_tested(scenario: Scenario) -> bool:
    return any(step.name == "self-test" for step in scenario.steps)


@contextlib.contextmanager
def closing(cell: Execution) -> Iterator[Execution]:
    """Remove the cell's containers at the end, whatever happens."""
    try:
        yield cell
    finally:
        with contextlib.suppress(InfrastructureError):  # what could not be removed is swept at the run's end
            cell.close()
