"""The order in which a run's cells are begun, decided once for all its processes, by how long earlier cells took."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from matrix import files
from matrix.config import selection, tree_words
from matrix.errors import MatrixError
from matrix.runs import schedule, store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import Place
    from matrix.model.result import CellResult
    from matrix.runs.run_settings import RunSettings
    from matrix.runs.store import Run

FILE = "order.json"
"""The file in a run's folder with the names of its groups of cells, in the order in which they are begun."""

MOST_RUNS = 20
"""The newest runs in whose results durations are looked for; a look at a run takes a millisecond."""


def decide(run: Run, config: Config) -> None:
    """Store the order of the cells that a run lacks, before any process of it looks; the others are not begun again."""
    settings = run.settings()
    left = set(schedule.lacking(settings.cells, {result.id: result for result in run.results()}))
    todo = [cell for cell in _cells(settings, config) if cell.id in left]
    known_s = durations_s({cell.place for cell in todo})
    order = schedule.in_order(schedule.expected(settings, todo, known_s))
    with contextlib.suppress(OSError):  # in any order the cells say what is wrong with the disk
        files.write(run.folder / FILE, json.dumps(order, indent=1), flushed=False)


def cells(run: Run, settings: RunSettings, config: Config) -> tuple[Cell, ...]:
    """Return a run's cells in their order, those on the base tree first: the others are compared with them.

    The order is the same in every process, as xdist requires of a collection.
    """
    rank = _ranks(run)

    def key(cell: Cell) -> tuple[bool, int]:
        return cell.tree.name != settings.base, rank.get(schedule.group(settings, cell), len(rank))

    return tuple(sorted(_cells(settings, config), key=key))  # a stable sort: as in _cells beside that


def _cells(settings: RunSettings, config: Config) -> list[Cell]:
    """Return a run's cells tree by tree; those of a tree that force a start method come last.

    So the build that they continue from comes before them, and no other tree's is kept in between.
    """
    trees = [tree_words.tree(config, word) for word in settings.trees]
    position = {tree.name: number for number, tree in enumerate(trees)}
    wanted = set(settings.cells)
    found = [cell for cell in selection.every(config, trees) if cell.id in wanted]
    return sorted(found, key=lambda cell: (position[cell.tree.name], bool(cell.build.start_method)))


def _ranks(run: Run) -> dict[str, int]:
    """Return the rank of each group of a run; none of a run whose order was not decided, or cannot be read."""
    try:
        found = json.loads(files.read(run.folder / FILE))
    except (OSError, ValueError, RecursionError):
        return {}
    return {name: rank for rank, name in enumerate(_list(found)) if isinstance(name, str)}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def durations_s(places: Collection[Place]) -> dict[Place, float]:
    """Return the duration of a cell at each of these places, in seconds, in the newest run that tells it."""
    found: dict[Place, float] = {}
    for run in store.runs()[:MOST_RUNS]:
        for place in sorted(set(places) - found.keys()):
            result = next(_whole_results(run, place), None)
            if result:
                found[place] = result.wall_s
    return found


def _whole_results(run: Run, place: Place) -> Iterator[CellResult]:
    """Yield the results of a run at a place that tell how long a cell takes: it was begun, and built from scratch."""
    above = run.cell(place)
    for folder in sorted(above.parent.glob(f"{above.name}@*")):
        with contextlib.suppress(MatrixError, OSError, ValueError):  # of another version, or damaged
            result = run.result(f"{place}@{folder.name.partition('@')[2]}")
            if result and result.steps and result.wall_s > 0 and result.gone_on is None:
                yield result
