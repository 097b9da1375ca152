"""The bench, which measures two trees in turn: one command at a time, never traced, with no other cell on the machine.

Pairs are interleaved, as blocks of A and then B give 49 % false alarms at 10 pairs where interleaved ones give 11 %
(see matrix/verdicts/paired_ratios.py).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import Timeout

from matrix import __version__, paths
from matrix.engine import agent_volume, images
from matrix.engine.api import CellSpec
from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.model.result import RequirementVerdict, Verdict
from matrix.runs import execution, locks, step_specification, store, transcripts
from matrix.scenario import plan
from matrix.scenario.transcript import StepRecord, records
from matrix.timing import comparison_files, measures
from matrix.trees import volumes
from matrix.verdicts import comparison, requirement
from matrix.verdicts.comparison import ComparisonRun, Counted, MeasureResult, Sample, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matrix.engine.api import Container, Engine
    from matrix.model.cell import Cell
    from matrix.model.result import ImageIdentity
    from matrix.scenario.plan import Step
    from matrix.scenario.step_facts import StepFacts
    from matrix.trees.volumes import PreparedTree
    from matrix.verdicts.comparison import Arm
    from matrix.verdicts.requirement import Requirement


@dataclass(frozen=True)
class Asked:
    """A comparison to make: the same cell on two trees, `pairs` rounds of each measure, in an order drawn by `seed`.

    `required` are the texts of requirements on times, `pins` the folder in which a run notes the content of its trees.
    """

    base: Cell
    head: Cell
    measures: tuple[str, ...]
    pairs: int
    jobs: int
    seed: int
    required: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    pins: Path | None = None


@dataclass
class _Tree:
    """A tree that was built once, traced, in a container that is kept.

    `counted` maps measures to the counts of the traced steps, `steps` measures to the steps to time.
    """

    cell: Cell
    prepared: PreparedTree
    container: Container
    counted: dict[str, Counted]
    steps: dict[str, Step]


@dataclass
class Bench:
    """The parts that all measurements share.

    `agent` is the name of the agent's volume, `cpus` the CPUs to which containers are pinned (`0-3`), empty for all of
    them; `stack` removes the containers at the end.
    """

    asked: Asked
    engine: Engine
    image: ImageIdentity
    agent: str
    cpus: str
    say: Callable[[str], None]
    stack: contextlib.ExitStack

    def container(self, prepared: PreparedTree, state: tuple[str, ...] = ()) -> Container:
        """Return a new container on a tree, as a copy of the kept build `state` if there is one."""
        limits = self.asked.limits
        spec = CellSpec(self.image.tag, prepared.volumes, self.agent, "matrix", limits, state, self.cpus)
        made = self.engine.cell(spec)
        self.stack.callback(made.remove)
        return made

    def tree(self, cell: Cell, prepared: PreparedTree, folder: Path) -> _Tree:
        """Build a tree once, traced, and return it with the steps to measure.

        Raises:
            UsageError: a step of the tree fails, so that there is nothing to measure.

        """
        # The steps that measures.TRACED counts.
        scenario = plan.scenario(cell, self.asked.jobs, self.asked.limits, only=("build", "rebuild", "touch-source"))
        cell_run = execution.Execution(
            self.engine, store.Run(folder), scenario, self.image, prepared, self.agent, cpus=self.cpus
        )
        self.stack.callback(cell_run.close)
        self.say(f"{cell.id}: build it once, traced, to count")
        for step in scenario.steps:
            end = cell_run.take(step)
            if end.failure:
                hint = f"perf-matrix run --tree {cell.tree.asked} --select {cell.id.partition('@')[0]} says more."
                raise UsageError(f"{cell.id}: step {step.name} failed: {end.failure}", hint)
        facts = _facts(cell_run)
        if not facts["build"].traced:
            self.say("ptrace is forbidden here: nothing is counted, and generate and tables cannot be timed")
        counted = {
            measure: measures.counted(facts[name]) for measure, name in measures.TRACED.items() if facts[name].traced
        }
        steps = measures.steps(scenario.steps[0], cell, facts["build"])
        return _Tree(cell, prepared, cell_run.container("first"), counted, steps)

    def sample(self, step: Step, container: Container, measure: str, number: int, arm: Arm) -> Sample:
        """Run a measure once and return its times.

        Raises:
            UsageError: the command failed.

        """
        load = os.getloadavg()[0]  # before the command, as it is a load itself
        # No roots to scan: hashing a tree's files after each run would take longer than most measures.
        words = step_specification.words(step, plan.invocations(step), roots={})
        log = bytearray()
        status, output = container.agent(words, log.extend, step.timeout_s + execution.SCAN_S)
        if len(output) > execution.CELL_FACTS_BYTES:
            raise UsageError(f"{measure} of the {arm} left facts of more than {execution.CELL_FACTS_BYTES >> 20} MiB")
        found, error = records(output)
        facts = StepRecord(step=step, log="", error=error, records=found).facts()
        if facts.failure or len(facts.commands) != 1:
            tail = log[-2000:].decode(errors="replace")
            raise UsageError(
                f"{measure} of the {arm} failed (status {status}): {facts.failure}", f"The end of its output:\n{tail}"
            )
        [ran] = facts.commands
        return Sample(
            measure=measure, round=number, arm=arm, wall_s=ran.wall_s, user_s=ran.user_s, system_s=ran.system_s,
            load=round(load, 2),
        )  # fmt: skip


def _facts(cell_run: execution.Execution) -> dict[str, StepFacts]:
    """Return the facts of a cell's steps by their names."""
    cell_id = cell_run.scenario.cell.id
    with contextlib.closing(cell_run.transcript) as transcript:
        cell_run.run.save_transcript(cell_id, transcript.blocks())
    recorded = transcripts.read(cell_run.run.transcript_path(cell_id))
    return {record.step.name: record.facts() for record in recorded.steps}


def compare(asked: Asked, engine: Engine, say: Callable[[str], None]) -> tuple[ComparisonRun, Path]:
    """Measure two trees in turn; return the comparison and the file that holds it.

    Raises:
        UsageError: a tree cannot be built, a measure failed, or other cells are being run.

    """
    from matrix.verdicts import paired_ratios  # noqa: PLC0415 - scipy is slow to import, and only this needs it

    with alone(), contextlib.ExitStack() as stack:
        image = images.prepare(asked.base.image, engine, say)
        host = engine.describe()
        # Pinned where make has fewer jobs than there are CPUs, so that it does not move between them.
        cpus = f"0-{asked.jobs - 1}" if int(host["cpus"]) > asked.jobs else ""
        bench = Bench(asked, engine, image, agent_volume.provide(engine), cpus, say, stack)
        sides = _sides(bench)
        found = ComparisonRun(
            name=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), tool_version=__version__,
            place=asked.base.place, jobs=asked.jobs, pairs=asked.pairs, seed=asked.seed,
            limits=asked.limits, pinned=cpus, host=host, image=image,
            base=_side(sides["base"]), head=_side(sides["head"]), left_out=_left_out(asked.measures, sides),
        )  # fmt: skip
        for number, measure in enumerate(one for one in asked.measures if one not in found.left_out):
            # A seed of its own, so that the order of one measure does not repeat itself in the next.
            order = paired_ratios.schedule(asked.pairs, asked.seed + number)
            samples = tuple(_measured(bench, sides, measure, order))
            found = found.model_copy(update={"samples": (*found.samples, *samples)})
            found = found.model_copy(update={"measured": (*found.measured, _measure_result(found, measure))})
            comparison_files.save(found)  # after each measure, so that an interrupt loses only the one in hand
        found = found.model_copy(update={"required": _required(found, asked.required)})
        return found, comparison_files.save(found)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the lock on measuring while the body of a `with` runs; programs other than perf-matrix are not looked for.

    Raises:
        UsageError: cells are being run, or another comparison is being measured.

    """
    hint = "Timing needs the machine for itself: wait until it has ended."
    try:
        lock = locks.measuring().acquire(timeout=1)  # not 0: a run that only looks at the lock holds it for a moment
    except Timeout as error:
        raise UsageError("another comparison is going on", hint) from error
    with lock:
        for run in store.runs():
            if locks.is_being_done_elsewhere(run):
                raise UsageError(f"{run.name} is going on", hint)
        if locks.others_busy():
            raise UsageError("a trace, a prediction or a shell is being built", hint)
        yield


def _sides(bench: Bench) -> dict[Arm, _Tree]:
    """Return the tree of each arm: the base, the head, and `again`, the base in a container of its own.

    The ratio of base and again (an A/A pair) shows how far the machine is from measuring equal things as equal.
    """
    folder = bench.stack.enter_context(paths.temporary("compare"))
    base, head = (
        bench.tree(cell, volumes.prepare(cell.tree, bench.engine, bench.say, bench.asked.pins), folder / name)
        for name, cell in (("base", bench.asked.base), ("head", bench.asked.head))
    )
    bench.say(f"{base.cell.id}: copy its container, for the A/A pair")
    again = _Tree(base.cell, base.prepared, bench.container(base.prepared, base.container.state), {}, base.steps)
    return {"base": base, "again": again, "head": head}


def _side(tree: _Tree) -> Side:
    return Side(tree=tree.prepared.identity, counted=tree.counted)


def _left_out(measures: Sequence[str], sides: Mapping[Arm, _Tree]) -> dict[str, str]:
    """Map each measure that one of the trees does not have to the reason why it is left out."""
    left_out = {}
    for measure in measures:
        trees = [side.cell.tree.name for side in (sides["base"], sides["head"]) if measure not in side.steps]
        if trees:
            left_out[measure] = f"not part of this build on {', '.join(trees)}"
    return left_out


def _measured(
    bench: Bench, sides: Mapping[Arm, _Tree], measure: str, order: Sequence[tuple[Arm, ...]]
) -> Iterator[Sample]:
    """Yield the sample of each run of a measure, in the order of the schedule."""
    # The first run in a container reads its files from the disk; a build from scratch has a new container each time.
    if measure != "build":
        bench.say(f"{measure}: once in each container before it counts")
        for arm, side in sides.items():
            bench.sample(side.steps[measure], side.container, measure, 0, arm)
    for number, arms in enumerate(order):
        took = {}
        for arm in arms:
            sample = _one(bench, sides[arm], measure, number, arm)
            took[arm] = sample.wall_s
            yield sample
        words = ", ".join(f"{arm} {took[arm]:.2f} s" for arm in comparison.ARMS)
        bench.say(f"{measure} {number + 1}/{len(order)}: {words}")


def _one(bench: Bench, side: _Tree, measure: str, number: int, arm: Arm) -> Sample:
    """Return the sample of one run: in the kept container, or of a build from scratch in a new one."""
    if measure != "build":
        return bench.sample(side.steps[measure], side.container, measure, number, arm)
    container = bench.container(side.prepared)
    try:
        return bench.sample(side.steps[measure], container, measure, number, arm)
    finally:
        container.remove()


def _measure_result(found: ComparisonRun, measure: str) -> MeasureResult:
    from matrix.verdicts import paired_ratios  # noqa: PLC0415 - as above

    base, again, head = (found.times(measure, arm) for arm in comparison.ARMS)
    return MeasureResult(
        comparison=paired_ratios.compare(measure, base, again, head),
        base_cpu_s=round(statistics.median(found.cpu(measure, ("base", "again"))), 3),
        head_cpu_s=round(statistics.median(found.cpu(measure, ("head",))), 3),
    )


def _required(found: ComparisonRun, wanted: Sequence[str]) -> dict[str, RequirementVerdict]:
    """Map the text of each requirement to the verdict on it; a requirement that was not measured is INCONCLUSIVE."""
    return {text: _verdict_on(requirement.parse(text), found) for text in wanted}


def _verdict_on(needed: Requirement, found: ComparisonRun) -> RequirementVerdict:
    comparisons = {one.comparison.measure: one.comparison for one in found.measured}
    if needed.measure in comparisons:
        return requirement.verdict_on(needed, comparisons[needed.measure])
    reason = found.left_out.get(needed.measure, "it was not measured")
    return RequirementVerdict(Verdict.INCONCLUSIVE, f"{needed.measure}: {reason}")
