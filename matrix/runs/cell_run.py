"""One cell from its definition to its stored result; a failure of the infrastructure is an ERROR result."""

from __future__ import annotations

import contextlib
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix import __version__
from matrix.config import command_line
from matrix.engine import images
from matrix.errors import MatrixError, UsageError, of_files
from matrix.model.result import CellResult, Verdict
from matrix.runs import admission, internal_errors, own_configs, recorded_cell, reuse, schedule
from matrix.runs.confinement import LimitExceededError
from matrix.runs.recorded_cell import PreparedCell
from matrix.runs.reuse import Surroundings
from matrix.scenario import environments
from matrix.trees import volumes
from matrix.verdicts import judgement

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell, Limits
    from matrix.model.known_failure import KnownFailure
    from matrix.model.tree import Tree
    from matrix.runs.judgement import BaseCells
    from matrix.runs.kept_builds import KeptBuilds
    from matrix.runs.store import Run
    from matrix.trees.volumes import PreparedTree


@dataclass(frozen=True)
class Context:
    """The circumstances in which a cell is run: the run directory, the engine, the bounds, and other cells' results.

    `checks` limits the steps to those that these checks need; without any, every step is run. Where `fresh`, no earlier
    result is reused. The build continues from the kept build of the tree `predecessor`, if there is one; where
    `keeps_build`, the finished build is kept itself. `base` are the cells on the base tree, which come first, and
    `base_word` names their tree for `--base`.
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
    fresh: bool = False
    predecessor: Tree | None = None
    keeps_build: bool = False

    def chapter(self, cell: Cell, title: str) -> None:
        """Begin a chapter of a cell's run, which is the progress that is shown until the next one begins."""
        self.run.progress(cell.id, title)


def run(cell: Cell, context: Context) -> CellResult:
    """Run one cell and return its result, which is stored before this returns, and so is the transcript if it has one.

    An internal error is an ERROR too: a cell without a result would be built again for each of its checks.
    """
    began, started = time.monotonic(), time.gmtime()
    # An earlier attempt's facts are not this one's: where this one has none that can be read, nothing may be judged.
    context.run.forget_transcript(cell.id)
    # Stored before anything can fail: a killed process then leaves an ERROR, and the run counts as begun.
    result = begun(cell, context, started)
    context.run.save(result)
    try:
        result = _ended(result, cell, context)
    except Exception as error:  # noqa: BLE001 - the other checks of the cell, and the other cells, go on
        context.kept_builds.close()  # it may be what failed
        result = _as_error(result, context.run, error)
    if result.reused is None:  # an earlier one has the time that it took then
        result = result.model_copy(update={"wall_s": round(time.monotonic() - began - result.waited_s, 1)})
    context.run.save(result)
    reuse.keep(result, context)
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


def begun(cell: Cell, context: Context, started: time.struct_time) -> CellResult:
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
        environment=environments.of_builds(cell)["first"],
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
    result = identified(result, Surroundings(image, tree.identity, context.engine.describe()), context)
    context.run.save(result)
    if cell.build.start_method and not tree.facts.generator_has_pool:
        reason = "this tree's event generator has no process pool, so no start method can be forced"
        return result.model_copy(update={"verdict": Verdict.SKIP, "reason": reason})
    _refuse_missing_touch_files(cell, tree)

    context.chapter(cell, "look for an earlier result")
    return reuse.adopted(result, context) or _built(result, PreparedCell(cell, image, tree), context)


def identified(result: CellResult, found: Surroundings, context: Context) -> CellResult:
    """Return the result of a cell that has begun with its image, tree, host and keys."""
    cell = result.definition
    assert cell is not None
    key = reuse.transcript_key(recorded_cell.scenario(cell, context), found)
    facts = {"image": found.image, "tree": found.tree, "host": found.host, "transcript_key": key}
    return result.model_copy(update={**facts, "key": reuse.result_key_of(key, cell, context)})


def _built(result: CellResult, prepared: PreparedCell, context: Context) -> CellResult:
    """Return the result of a cell whose steps are run as soon as there is memory for it."""
    if not result.host.get("url", "").startswith("unix:"):  # the memory is another machine's
        return _judged(result, prepared, context)
    with admission.admitted(prepared.cell.id, context.run) as waited_s:
        return _judged(result, prepared, context).model_copy(update={"waited_s": waited_s})


def _judged(result: CellResult, prepared: PreparedCell, context: Context) -> CellResult:
    """Return the result of a cell whose steps are run now."""
    try:
        recorded = recorded_cell.recorded(prepared, context)
    except LimitExceededError as error:
        return judgement.judged(result, [], error.limit)

    facts = {
        "host": {**result.host, "btf_sha256": recorded.btf_sha256},
        "gone_on": recorded.continued,
        "from_scratch": recorded.from_scratch,
        "saved_s": round(recorded.saved_s, 1),
    }
    with contextlib.closing(recorded.transcript) as transcript:
        context.chapter(prepared.cell, "judge")
        parts, exceeded = transcript.judgement(context.known, context.base.transcript(prepared.cell))
    return reuse.compared(judgement.judged(result.model_copy(update=facts), parts, exceeded))


def _refuse_missing_touch_files(cell: Cell, tree: PreparedTree) -> None:
    for path in (cell.tree.touch_source, cell.tree.touch_header):
        if path not in tree.facts.index:
            raise UsageError(
                f"tree {cell.tree.name} has no {path} to touch", "Name others in a tree file: touch_source, …"
            )


def _reproduce(cell: Cell, context: Context) -> str:
    """Return the command that reproduces a cell: a patch's by its result in this run, which alone names its tree."""
    if cell.tree.delta:
        return shlex.join(["perf-matrix", "repro", cell.id, "--run", context.run.name])
    base = "" if cell.tree.name == context.base.tree else context.base_word
    configs = context.run.settings().configs
    if cell.build.is_adhoc:  # the command line says itself what the run's own folder has
        configs = tuple(folder for folder in configs if folder != str(own_configs.folder(context.run)))
    return command_line.reproduce(cell, configs, context.jobs, context.limits, base)
