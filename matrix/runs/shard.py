"""Shards of a run: the share of its cells that one of several machines runs, for whom a merge makes one run. Pure.

Every machine comes to the same shards by itself, so that nobody has to give the shards out.
"""

from __future__ import annotations

import functools
import re
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.errors import UsageError
from matrix.model.base import Frozen
from matrix.model.cell_id import CellId
from matrix.runs import schedule
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matrix.config.selection import SelectedCells
    from matrix.model.cell_id import Place
    from matrix.model.result import CellResult

MOST = 1000
"""The most shards of a run."""

_WORDS = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", re.A)


class Shard(Frozen):
    """A run's place among its shards: the `number`-th of `of`; `whole` are the cells of all shards together."""

    number: int = Field(ge=1, le=MOST)
    of: int = Field(ge=1, le=MOST)
    whole: tuple[CellId, ...] = Field(min_length=1)

    def __str__(self) -> str:
        """Return the shard as its option names it: `2/5`."""
        return f"{self.number}/{self.of}"


def parse(text: str) -> tuple[int, int]:
    """Return the numbers K and N of the text K/N.

    Raises:
        UsageError: the text has another form, or K is above N.

    """
    found = _WORDS.fullmatch(text)
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of <= MOST:
        raise UsageError(f"--shard {text!r} is no shard", f"A shard is K/N, as 2/5; K is at most N, N at most {MOST}.")
    return number, of


def share(
    cells: Sequence[CellId], group: Callable[[CellId], str], text: str, durations_s: Mapping[Place, float]
) -> tuple[tuple[CellId, ...], Shard]:
    """Return the cells of the shard that the text K/N names, in their order, and the shard.

    Args:
        cells: the cells of all shards.
        group: the function that names a cell's group; a group is never divided, as one machine must run it.
        text: the text K/N.
        durations_s: the expected duration of a cell at a place; a place without one counts as the mean of the others.

    Raises:
        UsageError: the text names no shard, or one without a cell.

    """
    number, of = parse(text)
    shards = _shards(_weights(cells, group, durations_s), of)
    mine = shards[number - 1]
    if not mine:
        groups = count(sum(map(len, shards)), "group of cells", "groups of cells")
        raise UsageError(f"shard {text} has no cell: there is only {groups} to divide", "Ask for fewer shards.")
    chosen = tuple(cell_id for cell_id in cells if group(cell_id) in mine)
    return chosen, Shard(number=number, of=of, whole=tuple(cells))


def of_selection(found: SelectedCells, text: str, earlier: Iterable[CellResult]) -> tuple[SelectedCells, Shard | None]:
    """Return the cells of the shard that the text K/N names, and the shard; all cells where there is no text.

    `earlier` are results that tell how long a cell takes at its place.

    Raises:
        UsageError: the text names no shard, or one without a cell.

    """
    if not text:
        return found, None
    ids = [cell.id for cell in found.cells]
    mine, shard = share(ids, functools.partial(schedule.group_on, found.base), text, durations_s(earlier))
    cells = tuple(cell for cell in found.cells if cell.id in mine)
    return replace(found, cells=cells), shard


def _weights(
    cells: Sequence[CellId], group: Callable[[CellId], str], durations_s: Mapping[Place, float]
) -> dict[str, float]:
    """Return the expected duration of each group of cells, in seconds, or the number of its cells if none is known."""
    usual = statistics.fmean(durations_s.values()) if durations_s else 1.0
    weights: dict[str, float] = {}
    for cell_id in cells:
        name = group(cell_id)
        weights[name] = weights.get(name, 0.0) + durations_s.get(cell_id.place, usual)
    return weights


def _shards(weights: Mapping[str, float], of: int) -> list[set[str]]:
    """Return the names of groups in each shard: the longest first, each into the shard that has the least by then.

    Graham, "Bounds on multiprocessing timing anomalies" (1969): the longest shard then takes at most 4/3 of the time
    that the best division takes.
    """
    shards: list[set[str]] = [set() for _ in range(of)]
    loads = [0.0] * of
    for name in sorted(weights, key=lambda name: (-weights[name], name)):
        least = loads.index(min(loads))
        shards[least].add(name)
        loads[least] += weights[name]
    return shards


def durations_s(results: Iterable[CellResult]) -> dict[Place, float]:
    """Return the mean duration of a cell at each place, in seconds, as an earlier run's results have it."""
    found: dict[Place, list[float]] = {}
    for result in results:
        if result.steps and result.wall_s > 0:  # a cell that was skipped or not begun tells no duration
            found.setdefault(result.id.place, []).append(result.wall_s)
    return {place: statistics.fmean(walls_s) for place, walls_s in found.items()}
