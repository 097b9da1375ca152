"""The run of a series: from the patches to the cells to run, and from the results to the first patch that breaks."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from matrix import paths
from matrix.config import selection, tree_words
from matrix.config.selection import Selection
from matrix.errors import UsageError
from matrix.runs import completion, interrupts, locks, schedule, store
from matrix.runs.run_kind import SeriesRun
from matrix.scenario import perf
from matrix.series import apply
from matrix.trees import patches
from matrix.verdicts import breaks, kept_build, series
from matrix.verdicts.series import BASE
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId, Place
    from matrix.model.tree import Tree
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run
    from matrix.series.apply import AppliedPatch, PatchBase
    from matrix.trees.patches import Patch
    from matrix.verdicts.series import PatchResult, PatchTree, SeriesResult

SMOKE = "smoke"
"""The profile whose first glob selects the cells of every patch, where the request names none."""


@dataclass(frozen=True)
class SeriesRequest:
    """A request for the run of a series.

    `patches` is an mbox, a folder of patches or `A..B`. `bases` are words for trees or revisions of `repository`; the
    series is run on the first, the others are named in a hint where it does not apply. `without` are numbers of patches
    to leave out. With `alone`, each patch is applied to the base by itself; with `exhaustive`, every patch is run in
    every cell, from scratch. The whole series is run in the cells of `selection`, every patch in those of the glob
    `each`.
    """

    patches: str
    bases: tuple[str, ...]
    repository: Path | None = None
    without: frozenset[int] = frozenset()
    alone: bool = False
    exhaustive: bool = False
    selection: Selection = field(default_factory=Selection)
    each: str = ""


@dataclass(frozen=True)
class AppliedSeries:
    """A series on its base: each patch and the commits before and after it."""

    base: PatchBase
    applied: tuple[AppliedPatch, ...]

    @property
    def patches(self) -> tuple[PatchTree, ...]:
        """The patches, each with the name of its tree."""
        return tuple(one.tree for one in self.applied)

    @property
    def trees(self) -> tuple[Tree, ...]:
        """The tree of the base, and that of each patch."""
        made = (self.base.made(one.tree.tree, one.tree.subject, one.after) for one in self.applied)
        return (self.base.tree, *made)

    @property
    def folder(self) -> Path:
        """The folder of configuration for the trees; the same patches on the same base have the same folder."""
        commits = "".join((self.base.commit, *(one.after for one in self.applied)))
        return paths.state() / "series" / hashlib.sha256(commits.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class BegunSeries:
    """A series that was begun: its run, the user's word for its base, and its configuration."""

    run: Run
    base: str
    config: Config


def begin(request: SeriesRequest, config: Config, number: int, jobs: int, access: EngineAccess) -> BegunSeries:
    """Apply a series and begin its run.

    `number` cells run at once, make with `jobs` jobs in each, 0 for the default numbers.

    Raises:
        UsageError: a patch does not apply, no patch is left, or no patch changes a file that perf is built from.
        InfrastructureError: no engine answers, or the base's tree could not be fetched.

    """
    applied = apply_series(request, config, access)
    apply.configure(applied.folder, applied.trees)
    names = [tree.name for tree in applied.trees]
    # The configuration was read before these trees were written; it is extended, and not read again.
    configured = replace(config, trees={**config.trees, **{tree.name: tree for tree in applied.trees}})
    cells = cells_to_run(request, applied.patches, configured)
    # By places and not cells: the cells of one place are run by one worker, as each may continue another's build.
    at_once = schedule.workers(number, len({cell.place for cell in cells}))
    folders = (*request.selection.folders, str(applied.folder.resolve()))
    kind = SeriesRun(patches=applied.patches)
    run = store.begin(cells, names, folders, schedule.jobs(jobs, at_once), base=BASE, kind=kind)
    return BegunSeries(run, applied.base.word, configured)


def resume(run: Run) -> BegunSeries:
    """Return the series of a run that was begun before."""
    config = run.configuration()
    # The summary of the base's tree is the word for it (`apply.base`).
    return BegunSeries(run, tree_words.tree(config, BASE).summary, config)


def apply_series(request: SeriesRequest, config: Config, access: EngineAccess) -> AppliedSeries:
    """Apply the patches of a series to its base, one after the other or each by itself.

    Raises:
        UsageError: a patch does not apply, or no patch is left.
        InfrastructureError: no engine answers, or a base's tree could not be fetched.

    """
    found = patches.read(request.patches, request.repository)
    chosen = _chosen(found, request.without)
    with interrupts.interruptible():
        engine = access.connect()
        access.say(f"preparing the base: {', '.join(request.bases)}")
        on, *others = [apply.base(word, request.repository, config, engine, access.say) for word in request.bases]
    access.say(f"applying the patches to {on.word}")
    missing = patches.missing(found)
    # Patches that were not given and those that were left out may both be the reason of a refusal.
    commits = apply.commits(on, chosen, others, sorted({*missing, *request.without}))
    access.say(f"{count(len(commits), 'patch', 'patches')} applied to {on.word}")
    if missing:
        access.say(f"not among the patches: {', '.join(map(str, missing))}")
    applied = apply.in_order(on, chosen, commits)
    if request.alone:
        access.say("applying each patch by itself")
        applied = apply.by_themselves(on, chosen, applied)
    if not request.exhaustive:
        access.say("looking for patches whose builds can continue from a kept build")
        applied = apply.with_kept_builds(on, applied)
    return AppliedSeries(on, applied)


def _chosen(found: Sequence[Patch], without: frozenset[int]) -> list[Patch]:
    """Return the patches that are not left out."""
    numbers = {patch.number for patch in found}
    unknown = without - numbers
    if unknown:
        raise UsageError(f"--without {min(unknown)}: the series has no such patch", f"The series has {len(found)}.")
    if without == numbers:
        raise UsageError("--without leaves no patch", "Leave fewer out.")
    return [patch for patch in found if patch.number not in without]


def cells_to_run(request: SeriesRequest, found: Sequence[PatchTree], config: Config) -> tuple[Cell, ...]:
    """Return the cells of a series' run at its begin; the search for a first bad patch adds more.

    Every patch is run in the places of `each`. In the places of the selection only the end of the series is run, or
    every patch if the request is exhaustive. Patches that are applied by themselves have no end of a series.

    Raises:
        UsageError: no patch changes a file that perf is built from, or a glob selects no cell.

    """
    # The base is run wherever a patch is, as only a failure that the base does not have is a patch's.
    at_end = _places_of_end(request.selection, config)
    at_each = _places_of_each(request, at_end[0], config)
    built = _built_trees(found, exhaustive=request.exhaustive)
    ids = _on_base_and(built, at_each)
    if not request.alone:
        end = built if request.exhaustive else built[-1:]
        ids |= _on_base_and(end, at_end)
    return selection.on_trees(config, sorted(ids), (BASE, *built))


def _places_of_end(asked: Selection, config: Config) -> list[Place]:
    """Return the places in which the whole series is run."""
    profile = selection.profile(config, asked.profile)
    return [cell.place for cell in selection.of_profile(config, profile, [BASE], asked.select, asked.exclude)]


def _places_of_each(request: SeriesRequest, first: Place, config: Config) -> list[Place]:
    """Return the places in which every patch is run: the request's, the `first` selected, or the smoke profile's."""
    usual = first if request.selection.select else config.profiles[SMOKE].select[0]
    on_base = selection.every(config, [config.trees[BASE]])
    return [cell.place for cell in selection.select(on_base, [request.each or usual], option="--each")]


def _on_base_and(trees: Sequence[str], places: Iterable[Place]) -> set[CellId]:
    """Return the ids of the cells of these places, on the base and on these trees."""
    return {place.on(tree) for place, tree in itertools.product(places, (BASE, *trees))}


def _built_trees(found: Sequence[PatchTree], *, exhaustive: bool) -> list[str]:
    """Return the names of the patches' trees to build: those of idle patches only in an exhaustive series.

    Raises:
        UsageError: all patches are idle.

    """
    built = [patch.tree for patch in found if exhaustive or not patch.idle]
    if not built:
        raise UsageError(
            "no patch changes anything that perf is built from",
            f"{perf.MANIFEST} lists what perf is built from; --exhaustive builds all the same.",
        )
    return built


def complete(begun: BegunSeries, number: int, access: EngineAccess) -> None:
    """Run the cells of a series that have no result, and then those that name the first bad patch in each place.

    Raises:
        UsageError: another process is at work on the run, or a tree does not exist.
        InfrastructureError: pytest or the engine failed.

    """
    run = begun.run
    with locks.doing(run):
        _complete_cells(begun, number, access)
        if not any(patch.alone for patch in _patches(run)):
            _search(begun, number, access)


def _search(begun: BegunSeries, number: int, access: EngineAccess) -> None:
    """Search the first bad patch of each place: all places by one cell, then the next ones that the results ask for."""
    while wanted := _next_of_search(begun.run):
        access.say(f"looking for the first patch: {', '.join(wanted)}")
        begun.run.extend(wanted)
        _complete_cells(begun, number, access)


def _complete_cells(begun: BegunSeries, number: int, access: EngineAccess) -> None:
    """Run the cells that have no result, and again from scratch those that differ from the build they continued."""
    run = begun.run
    completion.complete(run, number, access, config=begun.config)
    # A loop: a cell that is built anew may differ from the one that continued its build, which is then doubtful too.
    while doubtful := kept_build.to_do_from_scratch({result.id: result for result in run.results()}):
        access.say(f"once more, from scratch: {', '.join(doubtful)}")
        _require_from_scratch(run, doubtful)
        completion.complete(run, number, access, config=begun.config)


def _require_from_scratch(run: Run, cells: Sequence[CellId]) -> None:
    """Take the results of cells out of a run, and the kept builds from their trees, so that they are built anew."""
    trees = {cell_id.tree for cell_id in cells}
    patches = {patch.tree: patch for patch in _patches(run)}
    for tree in trees & patches.keys():
        patches[tree] = patches[tree].model_copy(update={"may_go_on_with": ""})
    kind = SeriesRun(patches=tuple(patches.values()))
    run.save_settings(run.settings().model_copy(update={"kind": kind}))
    for cell_id in cells:
        run.forget(cell_id)


def _next_of_search(run: Run) -> list[CellId]:
    """Return the next cell to run in each place where the end fails and the first bad patch is not known yet."""
    rows = _rows(run)
    places: dict[Place, None] = dict.fromkeys(cell_id.place for cell_id in run.settings().cells)
    following = {place: breaks.next_row(rows, place) for place in places}
    return [place.on(rows[row].step.tree) for place, row in following.items() if row is not None]


def _patches(run: Run) -> tuple[PatchTree, ...]:
    kind = run.settings().kind
    assert isinstance(kind, SeriesRun)
    return kind.patches


def _rows(run: Run) -> tuple[PatchResult, ...]:
    return series.patch_results(_patches(run), run.settings().cells, {result.id: result for result in run.results()})


def result(begun: BegunSeries) -> SeriesResult:
    """Return the result of the series, by the results that its run has so far."""
    return breaks.series_result(begun.run.name, begun.base, _rows(begun.run))
