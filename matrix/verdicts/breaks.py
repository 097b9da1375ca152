"""Breaks of a series: the first patch with a finding, and the patch to run next to find that one. Pure.

Patches are rows of the series here: the index of a patch's result among those of the series, from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.verdicts.series import Break, PatchResult, SeriesResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BASE_ROW = -1
"""The row of the base, on which nothing newly fails."""


def next_row(rows: Sequence[PatchResult], place: str) -> int | None:
    """Return the row to run a cell (its place) in next, to find the first patch with the findings of the last row.

    The row is in the middle of those that may be the first; idle patches are none of them. None means that nothing is
    left to find.
    """
    broken = _broken_keys(rows, place)
    # One finding at a time: a row that is run for one mostly decides the others, too.
    for key in _keys_broken_last(broken):
        untried = _untried_rows(rows, place, _rows_before_first(rows, broken, key))
        if untried:
            return untried[len(untried) // 2]  # halves what is left, as git bisect does
    return None


def _keys_broken_last(broken: Mapping[int, frozenset[str]]) -> list[str]:
    """Return the keys of the new findings in the last row that was run, sorted."""
    return sorted(broken[max(broken)]) if broken else []


def _untried_rows(rows: Sequence[PatchResult], place: str, numbers: Sequence[int]) -> list[int]:
    """Return those of the rows in which a cell (its place) was not run."""
    return [row for row in numbers if rows[row].comparison(place) is None]


def series_result(run: str, base: str, rows: Sequence[PatchResult]) -> SeriesResult:
    """Return the result of a series with its breaks, cell by cell."""
    places = dict.fromkeys(comparison.cell for patch in rows for comparison in patch.held)
    breaks = [found for place in places for found in _breaks(rows, place)]
    return SeriesResult(run=run, base=base, rows=tuple(rows), breaks=tuple(breaks))


def _breaks(rows: Sequence[PatchResult], place: str) -> Iterator[Break]:
    """Yield the breaks in a cell: findings with the same suspects and the same end are one."""
    broken = _broken_keys(rows, place)
    alike: dict[tuple[tuple[int, ...], int], list[str]] = {}  # keys by their suspects and the patch that mends them
    for key in sorted(frozenset[str]().union(*broken.values())):
        course = (_suspects(rows, broken, key), _mended_by(rows, broken, key))
        alike.setdefault(course, []).append(key)
    for (suspects, mended), keys in alike.items():
        yield Break(cell=place, keys=tuple(keys), suspects=suspects, mended=mended)


def _broken_keys(rows: Sequence[PatchResult], place: str) -> dict[int, frozenset[str]]:
    """Return the keys of a cell's new findings, by each row in which it was run and decided."""
    broken = {}
    for row, patch in enumerate(rows):
        if comparison := patch.decided_comparison(place):
            broken[row] = frozenset(comparison.broken_keys)
    return broken


def _first_row(broken: Mapping[int, frozenset[str]], key: str) -> int:
    """Return the first row that is known to have a finding."""
    return min(row for row, keys in broken.items() if key in keys)


def _rows_before_first(rows: Sequence[PatchResult], broken: Mapping[int, frozenset[str]], key: str) -> list[int]:
    """Return the rows between the last known without a finding and the first known with it, idle patches left out."""
    first = _first_row(broken, key)
    last_without = max((row for row in broken if row < first), default=BASE_ROW)
    return [row for row in range(last_without + 1, first) if not rows[row].step.idle]


def _suspects(rows: Sequence[PatchResult], broken: Mapping[int, frozenset[str]], key: str) -> tuple[int, ...]:
    """Return the numbers of the patches that may be the first with a finding."""
    suspects = [*_rows_before_first(rows, broken, key), _first_row(broken, key)]
    return tuple(rows[row].step.number for row in suspects)


def _mended_by(rows: Sequence[PatchResult], broken: Mapping[int, frozenset[str]], key: str) -> int:
    """Return the number of the first patch that is known to be without a finding for good; 0 where there is none."""
    last = max(row for row, keys in broken.items() if key in keys)
    later = [rows[row].step.number for row in broken if row > last]
    return min(later, default=0)
