"""One cell from beginning to end: prepare, run, judge, keep. What goes wrong on our side is an ERROR result."""

from __future__ import annotations

import hashlib
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrix import __version__, checks
from matrix.config import selection
from matrix.engine import agent_volume, images
from matrix.engine.api import BTF
from matrix.errors import InfrastructureError, MatrixError, UsageError
from matrix.model.result import CellResult, Predecessor, Verdict
from matrix.runs import execution, judgement, kept_builds
from matrix.scenario import perf, plan
from matrix.trees import volumes
from matrix.verdicts import kept_build

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell, Limits
    from matrix.model.known_failure import KnownFailure
    from matrix.model.result import ImageIdentity
    from matrix.model.tree import Tree
    from matrix.runs.judgement import BaseCells
    from matrix.runs.store import Run
    from matrix.scenario.observations import StepFacts
    from matrix.scenario.transcript import Transcript
    from matrix.trees.volumes import PreparedTree


@dataclass(frozen=True)
class Context:
    """What every cell of a run shares: where results go, what runs them, within which bounds.

    `checks` are those whose steps are run, none meaning all. The cell goes on with what was built of the tree `below`,
    if there is one, and what it builds itself is `kept` for others; `ground` is where. `base` are the cells, which come
    first, that those on other trees are compared with, and `base_word` is the word that asked for their tree.
    """

    run: Run
    engine: Engine
    jobs: int
    limits: Limits
    known: tuple[KnownFailure, ...]
    say: Callable[[str], None]
    ground: kept_builds.KeptBuilds
    base: BaseCells
    base_word: str = ""
    checks: tuple[str, ...] = ()
    below: Tree | None = None
    kept: bool = False


class _MissedError(Exception):
    """A build that went on with another did not do all that it should: it says nothing of one from scratch."""


def run(cell: Cell, context: Context) -> CellResult:
    """Run one cell and return its result, which is stored before this returns, and its transcript with it."""
    began = time.time()
    result = CellResult(
        id=cell.id,
        run=context.run.name,
        tool_version=__version__,
        verdict=Verdict.ERROR,
        reason="the cell was begun and did not end",
        definition=cell,
        jobs=context.jobs,
        make=cell.make,
        environment=plan.environments(cell)["first"],
        out_of_tree=cell.build.out_of_tree,
        limits=context.limits,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        reproduce=_reproduce(cell, context),
    )
    context.run.save(result)
    try:
        result = _run(result, cell, context)
    except (MatrixError, OSError) as error:
        context.ground.close()  # it may be what failed
        result = result.model_copy(update={"verdict": Verdict.ERROR, "reason": str(error)})
    result = result.model_copy(update={"wall_s": round(time.time() - began, 1)})
    context.run.save(result)
    context.run.progress(cell.id, "")
    return result


def _run(result: CellResult, cell: Cell, context: Context) -> CellResult:
    engine = context.engine
    context.run.progress(cell.id, "prepare")
    image = images.prepare(cell.image, engine, context.say)
    tree = volumes.prepare(cell.tree, engine, context.say, context.run.pins)
    result = result.model_copy(update={"image": image, "tree": tree.identity, "host": engine.describe()})
    context.run.save(result)
    if cell.build.start_method and not tree.facts.generator_has_pool:
        reason = "this tree's event generator has no process pool, so no start method can be forced"
        return result.model_copy(update={"verdict": Verdict.SKIP, "reason": reason})
    for path in (cell.tree.touch_source, cell.tree.touch_header):
        if path not in tree.facts.index:
            raise UsageError(
                f"tree {cell.tree.name} has no {path} to touch", "Name others in a tree file: touch_source, …"
            )
    gone_on, why = None, ""
    try:
        cell_run, gone_on = _going_on(cell, context, image, tree)
        transcript, btf = _executed(cell_run, context)
    except (_MissedError, InfrastructureError) as error:
        if context.below is None or cell.tree.edits:
            raise
        gone_on, why = None, str(error)
        context.run.progress(cell.id, f"from scratch, as {why}")
        transcript, btf = _executed(_cell_run(cell, context, image, tree), context)
    host = {**result.host, "btf_sha256": hashlib.sha256(btf).hexdigest() if btf else "none"}
    base = context.base.observations(cell)
    facts = {"host": host, "gone_on": gone_on, "from_scratch": why}
    return judgement.judged(result.model_copy(update=facts), transcript, context.known, base)


def _going_on(
    cell: Cell, context: Context, image: ImageIdentity, tree: PreparedTree
) -> tuple[execution.Execution, Predecessor | None]:
    """Return a cell to be run that goes on with what was built of the tree below, if there is one.

    What a patch of C sources alone goes on with differs from it in idle files besides: those are not touched.
    """
    if context.below is None:
        return _cell_run(cell, context, image, tree), None
    below = volumes.prepare(context.below, context.engine, context.say, context.run.pins)
    context.run.progress(cell.id, "build what to go on with")
    built = context.ground.of(cell.model_copy(update={"tree": context.below}), image, below)
    differing = kept_build.differing(below.facts.index, tree.facts.index)
    touched = differing if cell.tree.edits else tuple(filter(perf.is_source, differing))
    gone_on = Predecessor(tree=context.below.name, touched=touched)
    return _cell_run(cell, context, image, tree, replace(built, touched=touched)), gone_on


def _cell_run(
    cell: Cell, context: Context, image: ImageIdentity, tree: PreparedTree, built: execution.KeptBuild | None = None
) -> execution.Execution:
    only = checks.steps(context.checks) | {"build"} if context.checks else None
    scenario = plan.scenario(cell, context.jobs, context.limits, only, built.touched if built else ())
    agent = agent_volume.provide(context.engine)
    return execution.Execution(context.engine, context.run, scenario, image, tree, agent, built)


def _after_build(cell_run: execution.Execution, facts: StepFacts, context: Context) -> None:
    """Keep what was built for those that are to go on with it; see that what went on did all that it should.

    Raises:
        _MissedError: it did not. What was planted need not: it is planted to be missed.

    """
    cell, built = cell_run.scenario.cell, cell_run.built
    if built is None:
        if context.kept:
            context.ground.keep(cell_run)
    elif not cell.tree.edits:
        sources = [perf.in_cell(path) for path in built.touched]
        missed = kept_build.missed(built.record.facts(), facts, sources, plan.output_folder(cell))
        if missed:
            raise _MissedError(missed)


def _executed(cell_run: execution.Execution, context: Context) -> tuple[Transcript, bytes | None]:
    """Run a cell's steps; return their transcript, kept by then, and the kernel's type information."""
    cell = cell_run.scenario.cell
    with execution.closing(cell_run):
        btf = cell_run.container("first").read(BTF, 64 << 20)
        if not btf and cell.build.expect.bpf_skeletons:
            raise InfrastructureError(
                f"this kernel has no {BTF}", "BPF skeletons are made from it: select other builds."
            )
        try:
            for facts in execution.execute(cell_run):
                if facts.step.name == "build" and not facts.failure:
                    _after_build(cell_run, facts, context)
        finally:
            transcript = cell_run.transcript()
            context.run.save_transcript(cell.id, transcript)
    return transcript, btf


def _reproduce(cell: Cell, context: Context) -> str:
    """Return what does a cell again: a patch's tree is known by no name but this run's, so a bundle takes it along."""
    if cell.tree.delta:
        bundle = shlex.join(["perf-matrix", "bundle", context.run.name, cell.id, "-o", "failure.tar.gz"])
        return f"{bundle}; perf-matrix repro --from failure.tar.gz"
    base = context.base_word if cell.tree.name != context.base.tree else ""
    configs = context.run.settings().configs
    return selection.reproduce(cell, configs, context.jobs, context.limits, base)
