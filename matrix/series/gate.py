"""The gate: a head is compared with its base, cell by cell and, for the requirements of its profile, in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.config import load, selection, tree_words
from matrix.model.cell_id import Place
from matrix.model.result import Verdict
from matrix.reports import formats
from matrix.runs import completion, interrupts, locks, schedule, store
from matrix.runs.run_kind import GateRun
from matrix.runs.shard import of_selection
from matrix.timing import bench
from matrix.verdicts import requirement
from matrix.verdicts.comparison import MEASURES
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matrix.config.load import Config
    from matrix.config.selection import Selection
    from matrix.model.result import CellResult
    from matrix.reports import Report
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run
    from matrix.timing.bench import Asked

USUAL = Place("debian-trixie/gcc/default")
"""The place to measure in, if it is one of the gate's."""


def begin(  # noqa: PLR0913 - the options of a gate
    asked: Selection,
    config: Config,
    pairs: int,
    number: int,
    jobs: int,
    *,
    shard: str = "",
    earlier: Sequence[CellResult] = (),
) -> Run:
    """Begin the run of a gate: `asked` has one tree, the head, and a base.

    `number` cells run at once, make with `jobs` jobs in each, 0 for the default numbers. The profile's requirements on
    times are measured in `pairs` rounds, or not at all where that is 0. `shard` is K/N, the share of the cells that
    is run, divided by the durations of `earlier` results; one shard, which has the gate's place for it, measures.

    Raises:
        UsageError: a tree or the profile does not exist, or no cell is selected.

    """
    whole = selection.selected(config, asked)
    found, share = of_selection(whole, shard, earlier)
    [head] = [tree_words.tree(config, word).name for word in asked.trees]
    measures = pairs > 0 and measured_place(whole.places) in found.places
    require = selection.profile(config, asked.profile).require if measures else ()
    sharing = schedule.jobs_of(found.cells, found.base, number, jobs)
    kind = GateRun(head=head, require=require, pairs=pairs)
    return store.begin(found.cells, found.trees, asked.folders, sharing, base=found.base, kind=kind, shard=share)


def complete(run: Run, number: int, access: EngineAccess, config: Config | None = None) -> None:
    """Run the cells of a gate that have no result, and measure for its requirements on times unless that was done.

    `config` is the run's configuration, if the caller has loaded it.

    Raises:
        UsageError: another process is at work on the run, or a tree does not exist.
        InfrastructureError: pytest or the engine failed.

    """
    with locks.doing(run):
        completion.complete(run, number, access, config=config)
        kind = run.settings().kind
        assert isinstance(kind, GateRun)
        if kind.require and not run.required():
            _measure(run, kind, access)


def _measure(run: Run, kind: GateRun, access: EngineAccess) -> None:
    """Measure base and head in one place and keep the verdict on each requirement with the run.

    Where a tree was not built in that place there is no verdict, and the report says so.
    """
    base = run.settings().base
    place = measured_place({cell_id.place for cell_id in run.settings().cells})
    # The bench would build the tree again, and end the gate with an error before its report.
    for name in (base, kind.head):
        if not was_built(run.result(place.on(name))):
            access.say(f"not measured: {place}@{name} was not built")
            return
    asked = what_to_measure(run, kind, place)
    access.say(f"measuring {', '.join(asked.measures)} in {place}: {count(kind.pairs, 'round')}")
    with interrupts.interruptible():
        found, _ = bench.compare(asked, access.connect(), access.say)
    run.save_required(found.required)


def measured_place(places: Collection[Place]) -> Place:
    """Return the place of a gate's places to measure in: USUAL if it is one of them, or else the first by name."""
    return USUAL if USUAL in places else min(places)


def was_built(result: CellResult | None) -> bool:
    """Return whether the build step of a cell passed."""
    if result is None or not result.steps:
        return False
    return all(step.verdict == Verdict.PASS for step in result.steps if step.name == "build")


def what_to_measure(run: Run, kind: GateRun, place: Place) -> Asked:
    """Return the comparison of base and head by which the gate's requirements are decided."""
    settings = run.settings()
    config = load.load([Path(folder) for folder in settings.configs])
    ids = [place.on(name) for name in (settings.base, kind.head)]
    cells = {cell.id: cell for cell in selection.on_trees(config, ids, settings.trees)}
    wanted = {requirement.parse(text).measure for text in kind.require}
    return bench.Asked(
        base=cells[ids[0]],
        head=cells[ids[1]],
        measures=tuple(name for name in MEASURES if name in wanted),
        pairs=kind.pairs,
        jobs=schedule.jobs(0, 1),
        seed=0,  # the same order each time, so that a gate can be repeated
        required=kind.require,
        pins=run.pins,  # the trees of the run's cells, whatever their branches have become meanwhile
    )


def write_reports(report: Report, folder: Path) -> None:
    """Write a gate's report in every format into a folder."""
    for report_format in formats.registry().values():
        files.write(folder / report_format.file_name, report_format.render(report))
