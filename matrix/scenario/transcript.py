"""A cell's transcript: the agent's records of each step, as saved, and the observations that follow from them. Pure."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from matrix.model.base import Frozen
from matrix.scenario.elf_facts import ElfFacts
from matrix.scenario.make_database import Database
from matrix.scenario.observations import Observations
from matrix.scenario.plan import Scenario, Step
from matrix.scenario.step_facts import StepFacts, step_facts
from matrix.untrusted import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.model.cell import Cell


class StepRecord(Frozen):
    """One step as planned and as recorded: `records` are the agent's (their forms: matrix/agent/records.py).

    `missing` are the tree's paths that have gone, `evidence` the lines of its log that most likely say why it failed.
    """

    step: Step
    log: str
    error: str = ""
    records: list[list[Any]] = Field(default_factory=list)
    missing: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    def facts(self) -> StepFacts:
        """Return the step's facts; records of another form than the agent's make the step fail."""
        try:
            facts = step_facts(self.step, self.log, self.records, self.error, self.missing)
        except ValueError as error:
            return StepFacts(self.step, self.log, error=str(error))
        return replace(facts, evidence=self.evidence)


class Transcript(Frozen):
    """The facts of a cell that are stored, so that checks can examine them later (their meaning: Observations)."""

    version: Literal[1] = 1
    scenario: Scenario
    ignore: dict[str, str]
    generator_has_pool: bool
    tree_version: str = ""
    steps: list[StepRecord] = Field(default_factory=list)
    lower: dict[str, tuple[int, str]] = Field(default_factory=dict)
    elf: dict[str, ElfFacts] = Field(default_factory=dict)
    compact_tables: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    databases: tuple[Database, ...] = ()

    def with_cell(self, cell: Cell) -> Transcript:
        """Return this transcript as one of `cell`, whose file may expect other values than when it was recorded."""
        return self.model_copy(update={"scenario": self.scenario.model_copy(update={"cell": cell})})

    def observations(
        self, parsed: Mapping[str, StepFacts] | None = None, base: Observations | None = None
    ) -> Observations:
        """Return the observations that follow from the transcript.

        `parsed` has the facts of steps that the caller has parsed before, as a cell's records are some 30 MB. `base`
        are the observations of the same cell on the base tree.
        """
        steps = {record.step.name: (parsed or {}).get(record.step.name) or record.facts() for record in self.steps}
        return Observations(
            scenario=self.scenario,
            steps=steps,
            lower=self.lower,
            ignore=self.ignore,
            elf=self.elf,
            compact_tables=self.compact_tables,
            generator_has_pool=self.generator_has_pool,
            tree_version=self.tree_version,
            differences=self.differences,
            databases=self.databases,
            base=base,
        )


def stacked(below: list[list[Any]], above: list[list[Any]]) -> list[list[Any]]:
    """Return the records of a build that continued from a kept build: `below`'s processes, then all records of `above`.

    Of `below` only the processes of its first traced command are taken: StepFacts.processes has no others. `above`'s
    processes are numbered after them.

    Raises:
        ValueError: a process's record is not as the agent writes it.

    """
    earlier = _processes_of_first_command(below)
    try:
        shift = 1 + max((record[1] for record in earlier), default=-1)
        return earlier + [_shifted(record, shift) for record in above]
    except (TypeError, KeyError, IndexError, ValueError) as problem:
        raise ValueError(f"a process's record is not as the agent writes it: {problem!r}") from problem


def _processes_of_first_command(records: list[list[Any]]) -> list[list[Any]]:
    until_command = itertools.takewhile(lambda record: record[0] != "command", records)
    return [record for record in until_command if record[0] == "process"]


def _shifted(record: list[Any], by: int) -> list[Any]:
    """Return a record with a process's numbers raised; those that are no process's stay as they are."""
    if record[0] != "process":
        return record
    kind, index, facts = record
    parent = facts["parent"]
    return [kind, index + by, {**facts, "parent": None if parent is None else parent + by}]


_TROUBLE = re.compile(
    r"\b\w*error\b|\*\*\*|undefined reference|No such file|not found|No space left|Cannot|Killed", re.I
)
EVIDENCE_CHARS = 4_000  # of a line, which may have no end
EVIDENCE_LINES = 5  # the first errors, and as many last lines: of a parallel make the first error is rarely the last


def trouble(log: str) -> tuple[str, ...]:
    """Return the lines of a log that most likely say why a step failed, in its order: first errors, last lines."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if _TROUBLE.search(line)]
    last = range(len(lines))[-EVIDENCE_LINES:]
    chosen = sorted({*errors[:EVIDENCE_LINES], *last})
    return tuple(dict.fromkeys(lines[number][:EVIDENCE_CHARS] for number in chosen))


LEVELS = 16
"""The most levels of a record: a process's words have four, and a transcript of 200 levels cannot be read again."""


def records(output: bytes) -> tuple[list[list[Any]], str]:
    """Return the agent's records and an error, or an empty one; the lines after one that is no record are left out."""
    found: list[list[Any]] = []
    for number, line in enumerate(output.splitlines(), 1):
        try:
            record = _parsed(line)
        except (ValueError, RecursionError):
            return found, f"line {number} of the step's facts is no JSON"
        if not _is_record(record):
            return found, f"line {number} of the step's facts is no record"
        found.append(record)
    return found, ""


def _parsed(line: bytes) -> Any:
    # Few lines have a surrogate, and `encodable` walks through every value in Python.
    value = _DECODER.decode(line.decode("utf-8"))
    has_surrogate = b"\\ud" in line.lower()
    return encodable(value) if has_surrogate else value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    """Return the number that a text of JSON is; ValueError for one that no float has, as 1e999."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:10]} is out of range")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
"""The decoder of the agent's lines: made once, as json.loads would make one for each of a build's 20,000 lines."""


def _is_record(value: Any) -> bool:
    """Return whether a value is a list that begins with a word, the record's kind, and has no more than LEVELS."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], str) and _is_shallow(value, LEVELS)


def _is_shallow(value: Any, levels: int) -> bool:
    """Return whether the lists and maps in a list or map are in each other no more than `levels` times."""
    values = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in values if isinstance(one, list | dict))
