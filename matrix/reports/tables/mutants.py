"""The table of planted faults: a row per fault and cell, and the share that the checks killed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from matrix.reports.tables import add_row, line, table
from matrix.verdicts.wording import first_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from matrix.model.edit import Edit
    from matrix.reports.tables import Part
    from matrix.verdicts.mutants import MutantsResult, PlantedFault


def parts(found: MutantsResult) -> Iterator[Part]:
    """Yield the table of planted faults, and the score."""
    fixed = ("fault", "cell", "check", "fate", "seconds")
    made = table("fault", "cell", "check", "fate", "finding", "seconds", right=("seconds",), no_wrap=fixed)
    for row in found.planted:
        add_row(made, row.fault or "(none)", row.cell, row.check, row.fate, _finding(row), f"{row.wall_s:.0f}")
    yield made
    yield line("")
    yield line(f"{_score(found)}; {found.mean_s:.1f} s a fault, with what was built to plant on")


def _finding(row: PlantedFault) -> str:
    """Return the first finding of the fault's own check, or else of any; without one the reason."""
    of_any_check = tuple(itertools.chain.from_iterable(row.killers.values()))
    of_its_check = row.killers.get(row.check)
    return first_of(of_its_check or of_any_check) or row.reason


def _score(found: MutantsResult) -> str:
    return "no fault was judged" if found.score is None else f"{found.score:.1%} killed as intended"


def fault_lines(faults: Iterable[Edit]) -> Iterator[Text]:
    """Yield two lines a fault: its name and summary, and the check that is to find it where."""
    for edit in faults:
        assert edit.expect is not None
        yield line(f"{edit.name}: {edit.summary}")
        yield line(f"  {edit.expect.check} in {', '.join(edit.expect.cells)}")
