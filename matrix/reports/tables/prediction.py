"""The table of a prediction: a row per number of jobs, and below it the span: the least time on any cores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.reports.tables import add_row, line, table
from matrix.trace import simulation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.reports.tables import Part
    from matrix.trace.simulation import Prediction

HEADINGS = ("-j", "predicted s", "measured s", "off", "limited by")


def parts(
    predicted: Mapping[int, Prediction], measured_s: Mapping[int, float], span: Prediction, undeclared: tuple[int, int]
) -> Iterator[Part]:
    """Yield the table of a prediction and the lines below it.

    `predicted` and `measured_s` (seconds) are by the number of jobs; `undeclared` are the number of makes whose rules
    are not known, and the number of all makes.
    """
    made = table(*HEADINGS, right=HEADINGS[:-1])
    for jobs, one in predicted.items():
        measured = _measured(one, measured_s.get(jobs))
        add_row(made, str(jobs), f"{one.wall_s:.1f}", *measured, simulation.limit(one))
    yield made
    unknown, makes = undeclared
    yield line(f"the rules of {unknown} of {makes} makes are not known: their jobs follow what had ended before them")
    yield line(f"work {span.work_s:.1f} s of CPU time; span {span.wall_s:.1f} s: no number of cores is faster")


def _measured(one: Prediction, wall_s: float | None) -> tuple[str, str]:
    """Return a measured time, in seconds, and the error of the predicted one in per cent, as texts."""
    return (f"{wall_s:.1f}", f"{one.wall_s / wall_s - 1:+.1%}") if wall_s else ("", "")
