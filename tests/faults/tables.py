"""The tables of a campaign: for a terminal, and in the form of docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.faults.boundaries import CLOCK, FAULTS
from tests.faults.questions import QUESTIONS
from tests.faults.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.faults.questions import Outcome

SHOWN = {"engine": "a request", "server": "an answer of the server"}
"""The boundaries of the roles that are no processes."""


def text(done: Sequence[Outcome]) -> str:
    """Return the counts by kind and boundary: faults that were reached, what came of them, what was wrong."""
    lines = [f"{'kind':12} {'boundary':28} {'faults':>6} {'wrong':>6}  exit statuses"]
    for kind, boundary, here in _rows(done):
        wrong = sum(bool(one.wrong) for one in here)
        lines.append(f"{kind:12} {boundary:28} {len(here):6} {wrong:6}  {_counted(one.status for one in here)}")
    reached = [one for one in done if one.fired]
    lines.append(f"{'all':41} {len(reached):6} {sum(bool(one.wrong) for one in reached):6}")
    lines.append(f"{len(done) - len(reached)} faults were not reached: their run took another way")
    return "\n".join(lines)


def markdown(done: Sequence[Outcome], seed: int, processes: int, wall_s: float, cpu_s: float) -> str:
    """Return the tables of docs/reliability.md, with a line that says which campaign they are of."""
    reached = [one for one in done if one.fired]
    lines = ["| kind | boundary | faults, how many of each | exit statuses |", "|---|---|---|---|"]
    for kind, boundary, here in _rows(done):
        faults = _counted(f"{one.fault.how} days" if kind == CLOCK else one.fault.how for one in here)
        statuses = _counted(one.status for one in here)
        lines.append(f"| {kind} | {boundary} | {len(here)}: {faults.replace(':', '')} | {statuses} |")
    lines += ["", "| scenario | faults | exit statuses |", "|---|---|---|"]
    for name in SCENARIOS:
        of_it = [one for one in reached if one.fault.scenario == name]
        lines.append(f"| {name} | {len(of_it)} | {_counted(one.status for one in of_it)} |")
    lines += ["", f"| after | {' | '.join(QUESTIONS)} |", f"|---|{'---|' * len(QUESTIONS)}"]
    answers = [sum(any(wrong.question == asked for wrong in one.wrong) for one in done) for asked in QUESTIONS]
    lines.append(f"| {len(reached)} faults | {' | '.join(map(str, answers))} |")
    missed = f"{len(done)} faults, of which {len(done) - len(reached)} were not reached"
    lines += ["", f"Seed {seed}, {missed}, {processes} at once: {wall_s:.0f} s, {cpu_s:.0f} s of CPU time."]
    return "\n".join(lines)


def _rows(done: Sequence[Outcome]) -> Iterable[tuple[str, str, list[Outcome]]]:
    """Yield the outcomes of faults that were reached, by kind and boundary."""
    for kind, boundaries in FAULTS.items():
        for boundary in boundaries:
            here = [one for one in done if one.fired and one.fault.kind == kind and _boundary(one) == boundary]
            if here:
                yield kind, SHOWN.get(boundary, boundary), here


def _boundary(one: Outcome) -> str:
    return one.fault.role if one.fault.role in SHOWN else one.fault.boundary


def _counted(values: Iterable[object]) -> str:
    return ", ".join(f"{value}: {number}" for value, number in sorted(Counter(map(str, values)).items(), key=_key))


def _key(counted: tuple[str, int]) -> tuple[bool, float, str]:
    value = counted[0]
    return (True, float(value), "") if value.lstrip("-").isdigit() else (False, 0, value)
