"""The record of campaigns: a line of JSON for what a process gave a target until then.

Counts of several invocations add up by it. Of the lines with the same target, seed and driver, the last one counts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Asked(NamedTuple):
    """What a process is to give a target: at most so many inputs, for at most so many seconds."""

    target: str
    seed: int
    inputs: int
    seconds: float
    driver: str


class Record(NamedTuple):
    """The inputs of a target from a seed of a driver ("mutation" or "atheris"), and their CPU time in seconds."""

    target: str
    seed: int
    inputs: int
    cpu_s: float
    slowest_s: float
    failures: tuple[str, ...]
    driver: str


def append(path: Path, record: Record) -> None:
    """Append a line to the file of records."""
    with path.open("a") as file:
        file.write(json.dumps(record._asdict()) + "\n")


def read(path: Path) -> list[Record]:
    """Return the records of a file, which need not exist: the last one for each target, seed and driver."""
    found: dict[tuple[str, int, str], Record] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        values = json.loads(line)
        record = Record(**{**values, "failures": tuple(values["failures"])})
        found[record.target, record.seed, record.driver] = record
    return list(found.values())


def given(records: list[Record], target: str) -> int:
    """Return how many inputs a target was given in all."""
    return sum(record.inputs for record in records if record.target == target)


def next_seed(records: list[Record], target: str) -> int:
    """Return a seed that makes other inputs than those that a target was given."""
    return max((record.seed + 1 for record in records if record.target == target), default=0)


def table(records: list[Record], names: list[str]) -> list[str]:
    """Return the lines of a table of targets: what came of all their inputs."""
    rows = [f"{'target':20}{'inputs':>10}{'a CPU second':>14}{'slowest':>10}  failures"]
    return rows + [_row(name, [record for record in records if record.target == name]) for name in names]


def _row(name: str, records: list[Record]) -> str:
    cpu_s = sum(record.cpu_s for record in records)
    inputs = sum(record.inputs for record in records)
    rate = f"{inputs / cpu_s:.0f}" if cpu_s else "-"
    slowest = f"{max(record.slowest_s for record in records):.3f} s" if records else "-"
    failures = sorted({place for record in records for place in record.failures})
    return f"{name:20}{inputs:>10}{rate:>14}{slowest:>10}  {', '.join(failures) or '0'}"
