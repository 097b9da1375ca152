"""One cell from its definition to its stored result; a failure of the infrastructure is an ERROR result."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrix import __version__, checks
from matrix.config import command_line
from matrix.engine import agent_volume, images
from matrix.engine.api import BTF
from matrix.errors import InfrastructureError, MatrixError, UsageError, of_files
from matrix.model.result import CellResult, Predecessor, Verdict
from matrix.runs import execution, internal_errors, schedule
from matrix.runs.confinement import LimitExceededError
from matrix.runs.execution import Execution
from matrix.scenario import perf, plan
from matrix.trees import volumes
from matrix.verdicts import judgement, kept_build

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell, Limits
    from matrix.model.known_failure import KnownFailure
    from matrix.model.result import ImageIdentity
    from matrix.model.tree import Tree
    from matrix.runs.execution import KeptBuild
    from matrix.runs.judgement import BaseCells
    from matrix.runs.kept_builds import KeptBuilds
    from matrix.runs.store import Run
    from matrix.runs.transcript_process import TranscriptProcess
    from matrix.trees.volumes import PreparedTree

BTF_BYTES = 64 << 20
"""The most that is read of the kernel's type information; a distribution's kernel has 5 to 10 MB."""


@dataclass(frozen=True)
class Context:
    """The circumstances in which a cell is run: the run directory, the engine, the bounds, and other cells' results.

    `checks` limits the steps to those that these checks need; without any, every step is run. The build continues from
    the kept build of the tree `predecessor`, if there is one; where `keeps_build`, the finished build is kept itself.
    `base` are the cells on the base tree, which come first, and `base_word` names their tree for `--base`.
    """

    run: Run
    engine: Engine
    jobs: int
    limits: Limits
    known: tuple[KnownFailure, ...]
    say: Callable[[str], None]
    kept_builds: KeptBuilds
    base: BaseCells
    base_word: str = ""
    checks: tuple[str, ...] = ()
    predecessor: Tree | None = None
    keeps_build: bool = False

    def chapter(self, cell: Cell, title: str) -> None:
        """Begin a chapter of a cell's run, which is the progress that is shown until the next one begins."""
        self.run.progress(cell.id, title)


@dataclass(frozen=True)
class _Prepared:
    """A cell whose image and tree are in the engine."""

    cell: Cell
    image: ImageIdentity
    tree: PreparedTree


@dataclass(frozen=True)
class _Recorded:
    """A recorded cell: the process of its transcript, and the circumstances of its build.

    These are the digest of the kernel's type information, and the kept build that was continued; `from_scratch` is the
    reason why the build did not continue from the kept build that it was to continue from.
    """

    transcript: TranscriptProcess
    btf_sha256: str
    continued: Predecessor | None = None
    from_scratch: str = ""


class _MissedError(Exception):
    """A build that continued from a kept build missed work, so that its facts say nothing on a build from scratch."""


def run(cell: Cell, context: Context) -> CellResult:
    """Run one cell and return its result, which is stored before this returns, and so is the transcript if it has one.

    An internal error is an ERROR too: a cell without a result would be built again for each of its checks.
    """
    began, started = time.monotonic(), time.gmtime()
    # An earlier attempt's facts are not this one's: where this one has none that can be read, nothing may be judged.
    context.run.forget_transcript(cell.id)
    # Stored before anything can fail: a killed process then leaves an ERROR, and the run counts as begun.
    result = _begun(cell, context, started)
    context.run.save(result)
    try:
        result = _ended(result, cell, context)
    except Exception as error:  # noqa: BLE001 - the other checks of the cell, and the other cells, go on
        context.kept_builds.close()  # it may be what failed
        result = _as_error(result, context.run, error)
    result = result.model_copy(update={"wall_s": round(time.monotonic() - began, 1)})
    context.run.save(result)
    with contextlib.suppress(OSError):  # the result is stored, whatever the display of progress shows
        context.chapter(cell, "")
    return result


def failed(cell: Cell, run: Run, error: Exception) -> CellResult:
    """Return a cell's result where `run` could not begin the cell or store its result; stored as far as possible."""
    result = CellResult(
        id=cell.id, run=run.name, tool_version=__version__, verdict=Verdict.ERROR, definition=cell, reason=""
    )
    result = _as_error(result, run, error)
    with contextlib.suppress(OSError):
        run.save(result)
        run.progress(cell.id, "")
    return result


def _as_error(result: CellResult, run: Run, error: Exception) -> CellResult:
    """Return a result as an ERROR, with the reason in an error's own words where it has words for people."""
    if isinstance(error, OSError):
        error = of_files(error)
    reason = str(error) if isinstance(error, MatrixError) else internal_errors.recorded(run, result.id, error)
    return result.model_copy(update={"verdict": Verdict.ERROR, "reason": reason})


def _begun(cell: Cell, context: Context, started: time.struct_time) -> CellResult:
    """Return the result of a cell that has only begun: an ERROR, which it stays if this process is killed."""
    return CellResult(
        id=cell.id,
        run=context.run.name,
        tool_version=__version__,
        verdict=Verdict.ERROR,
        reason=schedule.BEGUN,
        definition=cell,
        jobs=context.jobs,
        make=cell.make,
        environment=plan.environments(cell)["first"],
        out_of_tree=cell.build.out_of_tree,
        limits=context.limits,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", started),
        reproduce=_reproduce(cell, context),
    )


def _ended(result: CellResult, cell: Cell, context: Context) -> CellResult:
    context.chapter(cell, "prepare the image")
    image = images.prepare(cell.image, context.engine, context.say)

    context.chapter(cell, "prepare the tree")
    tree = volumes.prepare(cell.tree, context.engine, context.say, context.run.pins)
    result = result.model_copy(update={"image": image, "tree": tree.identity, "host": context.engine.describe()})
    context.run.save(result)
    if cell.build.start_method and not tree.facts.generator_has_pool:
        reason = "this tree's event generator has no process pool, so no start method can be forced"
        return result.model_copy(update={"verdict": Verdict.SKIP, "reason": reason})
    _refuse_missing_touch_files(cell, tree)

    try:
        recorded = _recorded(_Prepared(cell, image, tree), context)
    except LimitExceededError as error:
        return judgement.judged(result, [], error.limit)

    facts = {
        "host": {**result.host, "btf_sha256": recorded.btf_sha256},
        "gone_on": recorded.continued,
        "from_scratch": recorded.from_scratch,
    }
    with contextlib.closing(recorded.transcript) as transcript:
        context.chapter(cell, "judge")
        parts, exceeded = transcript.judgement(context.known, context.base.transcript(cell))
    return judgement.judged(result.model_copy(update=facts), parts, exceeded)


def _refuse_missing_touch_files(cell: Cell, tree: PreparedTree) -> None:
    for path in (cell.tree.touch_source, cell.tree.touch_header):
        if path not in tree.facts.index:
            raise UsageError(
                f"tree {cell.tree.name} has no {path} to touch", "Name others in a tree file: touch_source, …"
            )


def _recorded(prepared: _Prepared, context: Context) -> _Recorded:
    """Return the record of the steps: on the predecessor's kept build or, if that fails or misses work, from scratch.

    A planted fault is never built from scratch instead: its build is meant to miss work.
    """
    if context.predecessor is None:
        return _from_scratch(prepared, context)
    try:
        return _continued(prepared, context, context.predecessor)
    except (_MissedError, InfrastructureError, LimitExceededError) as error:
        if prepared.cell.tree.edits:
            raise
        reason = str(error)
    context.run.forget_transcript(prepared.cell.id)
    context.chapter(prepared.cell, f"from scratch, as {reason}")
    return replace(_from_scratch(prepared, context), from_scratch=reason)


def _from_scratch(prepared: _Prepared, context: Context) -> _Recorded:
    return _steps_done(_execution(prepared, context), context)


def _continued(prepared: _Prepared, context: Context, predecessor: Tree) -> _Recorded:
    """Return the record of the steps, the build continued from the kept build of the tree `predecessor`.

    The changed files are touched, so that make sees them as newer than their products. A patch that may continue
    changes C sources alone, but idle files can differ from the predecessor's besides: those are not touched.
    """
    cell = prepared.cell
    context.chapter(cell, f"prepare the tree {predecessor.name}")
    tree = volumes.prepare(predecessor, context.engine, context.say, context.run.pins)

    context.chapter(cell, f"kept build of {predecessor.name}")
    kept = context.kept_builds.of(cell.model_copy(update={"tree": predecessor}), prepared.image, tree)
    changed = kept_build.differing(tree.facts.index, prepared.tree.facts.index)
    touched = changed if cell.tree.edits else tuple(path for path in changed if perf.is_source(path))
    recorded = _steps_done(_execution(prepared, context, replace(kept, touched=touched)), context)
    return replace(recorded, continued=Predecessor(tree=predecessor.name, touched=touched))


def _execution(prepared: _Prepared, context: Context, kept: KeptBuild | None = None) -> Execution:
    # Without a build no other step can run, so it is one whatever the checks need.
    only = checks.steps(context.checks) | {"build"} if context.checks else None
    touched = kept.touched if kept else ()
    scenario = plan.scenario(prepared.cell, context.jobs, context.limits, only, touched)
    agent = agent_volume.provide(context.engine)
    return Execution(context.engine, context.run, scenario, prepared.image, prepared.tree, agent, kept)


def _steps_done(cell_run: Execution, context: Context) -> _Recorded:
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
    return _Recorded(cell_run.transcript, hashlib.sha256(btf).hexdigest() if btf else "none")


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


def _reproduce(cell: Cell, context: Context) -> str:
    """Return the command that reproduces a cell: a patch's by its result in this run, which alone names its tree."""
    if cell.tree.delta:
        return shlex.join(["perf-matrix", "repro", cell.id, "--run", context.run.name])
    base = "" if cell.tree.name == context.base.tree else context.base_word
    return command_line.reproduce(cell, context.run.settings().configs, context.jobs, context.limits, base)
