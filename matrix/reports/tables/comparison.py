"""The table of a comparison of two trees: a row per measure, and below it the requirements and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.reports.tables import add_row, line, table
from matrix.verdicts.comparison import Difference
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.reports.tables import Part
    from matrix.verdicts.comparison import Comparison, ComparisonRun, MeasureResult

HEADINGS = (
    "measure", "base s", "head s", "ratio", "95 % interval", "A/A", "floor", "p", "", "CPU s", "processes", "compilers",
)  # fmt: skip
NUMBERS = tuple(heading for heading in HEADINGS if heading not in ("measure", ""))
"""The headings of columns of numbers."""


def parts(found: ComparisonRun) -> Iterator[Part]:
    """Yield the table of a comparison and the lines below it."""
    made = table(*HEADINGS, right=NUMBERS, no_wrap=HEADINGS)
    for measured in found.measured:
        add_row(made, *_row(measured), *_counts(found, measured.comparison.measure))
    yield made
    for measure, reason in found.left_out.items():
        yield line(f"not measured: {measure}: {reason}")
    for requirement, (verdict, reason) in found.required.items():
        yield line(f"{verdict} {requirement}: {reason}")
    machine = f"{found.host.get('cpus', '?')} processors, {found.host.get('kernel', '')}"
    yield line(f"{count(found.pairs, 'round')}, -j{found.jobs}, {machine}")


def _row(measured: MeasureResult) -> tuple[str, ...]:
    one = measured.comparison
    return (
        one.measure,
        f"{one.base_s:.2f}",
        f"{one.head_s:.2f}",
        f"{one.ratio:.3f}",
        _interval(one),
        f"{one.aa_ratio:.3f}",
        f"{one.floor:.3f}" if one.floor else "none",
        f"{one.p_value:.3f}",
        answer(one),
        f"{measured.base_cpu_s:.1f} > {measured.head_cpu_s:.1f}",
    )


def _interval(one: Comparison) -> str:
    if one.interval is None:
        return "none"
    low, high = one.interval
    return f"{low:.3f} to {high:.3f}"


def answer(one: Comparison) -> str:
    """Return a comparison's answer and, where it is inconclusive, the number of pairs that would decide."""
    if one.answer != Difference.INCONCLUSIVE:
        return str(one.answer)
    pairs = f"~{one.pairs_needed} pairs decide" if one.pairs_needed else "no number of pairs decides"
    return f"inconclusive; {pairs}"


def _counts(found: ComparisonRun, measure: str) -> tuple[str, str]:
    """Return the numbers of processes and of compiler runs, base > head; empty where they were not counted."""
    base, head = found.base.counted.get(measure), found.head.counted.get(measure)
    if base is None or head is None:
        return "", ""
    return f"{base.processes} > {head.processes}", f"{base.compiler_runs} > {head.compiler_runs}"
