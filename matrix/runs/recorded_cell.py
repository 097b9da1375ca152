"""Records one cell: its steps are run on a kept build or from scratch, and their transcript is stored."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrix import checks
from matrix.engine import agent_volume
from matrix.engine.api import BTF
from matrix.errors import InfrastructureError
from matrix.model.result import Predecessor
from matrix.runs import execution
from matrix.runs.confinement import LimitExceededError
from matrix.runs.execution import Execution
from matrix.scenario import perf, plan
from matrix.trees import volumes
from matrix.verdicts import kept_build

if TYPE_CHECKING:
    from matrix.model.cell import Cell
    from matrix.model.result import ImageIdentity
    from matrix.model.tree import Tree
    from matrix.runs.cell_run import Context
    from matrix.runs.execution import KeptBuild
    from matrix.runs.transcript_process import TranscriptProcess
    from matrix.scenario.plan import Scenario
    from matrix.trees.volumes import PreparedTree

BTF_BYTES = 64 << 20
"""The most that is read of the kernel's type information; a distribution's kernel has 5 to 10 MB."""


@dataclass(frozen=True)
class PreparedCell:
    """A cell whose image and tree are in the engine."""

    cell: Cell
    image: ImageIdentity
    tree: PreparedTree


@dataclass(frozen=True)
class RecordedCell:
    """A recorded cell: the process of its transcript, and the circumstances of its build.

    These are the digest of the kernel's type information, and the kept build that was continued; `from_scratch` is the
    reason why the build did not continue from the kept build that it was to continue from. `saved_s` is the CPU time of
    the kept build, in seconds, where another cell had it built.
    """

    transcript: TranscriptProcess
    btf_sha256: str
    saved_s: float = 0.0
    continued: Predecessor | None = None
    from_scratch: str = ""


class _MissedError(Exception):
    """A build that continued from a kept build missed work, so that its facts say nothing on a build from scratch."""


def recorded(prepared: PreparedCell, context: Context) -> RecordedCell:
    """Return the record of the steps: on the predecessor's kept build or, if that fails or misses work, from scratch.

    A build that forces a start method continues from the build of its own tree without one. A planted fault is never
    built from scratch instead: its build is meant to miss work.
    """
    predecessor = context.predecessor
    if predecessor is None and prepared.cell.build.start_method:
        predecessor = prepared.cell.tree
    if predecessor is None:
        return _from_scratch(prepared, context)
    try:
        return _continued(prepared, context, predecessor)
    except (_MissedError, InfrastructureError, LimitExceededError) as error:
        if prepared.cell.tree.edits and predecessor.name != prepared.cell.tree.name:
            raise
        reason = str(error)
    context.run.forget_transcript(prepared.cell.id)
    context.chapter(prepared.cell, f"from scratch, as {reason}")
    return replace(_from_scratch(prepared, context), from_scratch=reason)


def _from_scratch(prepared: PreparedCell, context: Context) -> RecordedCell:
    return _steps_done(_execution(prepared, context), context)


def _continued(prepared: PreparedCell, context: Context, predecessor: Tree) -> RecordedCell:
    """Return the record of the steps, the build continued from the kept build of the tree `predecessor`.

    The changed files are touched, so that make sees them as newer than their products. A patch that may continue
    changes C sources alone, but idle files can differ from the predecessor's besides: those are not touched.
    """
    cell = prepared.cell
    context.chapter(cell, f"prepare the tree {predecessor.name}")
    tree = volumes.prepare(predecessor, context.engine, context.say, context.run.pins)

    context.chapter(cell, f"kept build of {predecessor.name}")
    begun_as = plan.without_start_method(cell.model_copy(update={"tree": predecessor}))
    kept = context.kept_builds.of(begun_as, prepared.image, tree)
    changed = kept_build.differing(tree.facts.index, prepared.tree.facts.index)
    touched = changed if cell.tree.edits else tuple(path for path in changed if perf.is_source(path))
    done = _steps_done(_execution(prepared, context, replace(kept, touched=touched)), context)
    recorded = replace(done, saved_s=kept.cpu_s)
    if predecessor.name == cell.tree.name:
        return recorded  # a copy of a whole build of the same tree is no less than one from scratch
    return replace(recorded, continued=Predecessor(tree=predecessor.name, touched=touched))


def scenario(cell: Cell, context: Context, touched: tuple[str, ...] = ()) -> Scenario:
    """Return the steps of a cell that the run's checks need; `touched` are files that differ from a kept build's."""
    # Without a build no other step can run, so it is one whatever the checks need.
    only = checks.steps(context.checks) | {"build"} if context.checks else None
    return plan.scenario(cell, context.jobs, context.limits, only, touched)


def _execution(prepared: PreparedCell, context: Context, kept: KeptBuild | None = None) -> Execution:
    planned = scenario(prepared.cell, context, kept.touched if kept else ())
    agent = agent_volume.provide(context.engine)
    return Execution(context.engine, context.run, planned, prepared.image, prepared.tree, agent, kept)


def _steps_done(cell_run: Execution, context: Context) -> RecordedCell:
    """Run a cell's steps; their transcript is stored however they end, unless a limit ended its process."""
    cell = cell_run.scenario.cell
    with contextlib.ExitStack() as undo:
        undo.callback(cell_run.transcript.close)
        with execution.removing_containers(cell_run):
            context.chapter(cell, "start the container")
            btf = _kernel_types(cell_run)
            try:
                _take_steps(cell_run, context)
            except BaseException:
                # For whoever looks why; the failure counts, whatever becomes of this.
                with contextlib.suppress(Exception):
                    _store_transcript(cell_run, context)
                raise
            _store_transcript(cell_run, context)
        undo.pop_all()  # its process judges the cell
    return RecordedCell(cell_run.transcript, hashlib.sha256(btf).hexdigest() if btf else "none")


def _take_steps(cell_run: Execution, context: Context) -> None:
    for end in execution.execute(cell_run):
        # Right after the build: the next step writes into the container that is to be kept.
        if end.step.name == "build" and not end.failure:
            _after_build(cell_run, context)


def _store_transcript(cell_run: Execution, context: Context) -> None:
    cell = cell_run.scenario.cell
    if not cell_run.transcript.has_ended:
        context.chapter(cell, "store the transcript")
        context.run.save_transcript(cell.id, cell_run.transcript.blocks())


def _kernel_types(cell_run: Execution) -> bytes | None:
    """Return the kernel's type information, which BPF skeletons are made from.

    Raises:
        InfrastructureError: the kernel has none, and the build makes skeletons.

    """
    btf = cell_run.container("first").read(BTF, BTF_BYTES)
    if not btf and cell_run.scenario.cell.build.expect.bpf_skeletons:
        raise InfrastructureError(f"this kernel has no {BTF}", "BPF skeletons are made from it: select other builds.")
    return btf


def _after_build(cell_run: Execution, context: Context) -> None:
    """Keep a build from scratch that other cells wait for; check that one that continued missed no work.

    Raises:
        _MissedError: work was missed. The build of a planted fault is not checked: it is meant to miss some.

    """
    cell, kept = cell_run.scenario.cell, cell_run.built
    if kept is None:
        if context.keeps_build:
            context.kept_builds.keep(cell_run)
        return
    if cell.tree.edits:
        return
    sources = [perf.in_cell(path) for path in kept.touched]
    missed = cell_run.transcript.missed_work(sources, plan.output_folder(cell))
    if missed:
        raise _MissedError(missed)
