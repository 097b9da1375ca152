"""Makes the transcript of a cell from the agent's output, step by step. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from matrix.model.base import Frozen, first_problem
from matrix.scenario import perf
from matrix.scenario.listings import children, gone
from matrix.scenario.plan import Step
from matrix.scenario.transcript import StepRecord, Transcript, records, stacked, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix.scenario.step_facts import StepFacts


class StepEnd(NamedTuple):
    """The end of a step that was run: why it failed, or nothing, and whether the agent's last record came.

    `cpu_s` is the CPU time of its commands, in seconds.
    """

    step: Step
    failure: str
    ended: bool = True
    cpu_s: float = 0.0


class Taken(Frozen):
    """A step whose commands have ended: the name of its log in the run's folder, and the problems outside of the cell.

    `error` is the reason why the step has no facts. Where the agent's output breaks off, `limit` is the limit that
    ended the agent, or nothing, and `early` the sentence to say without one.
    """

    step: Step
    log: str
    error: str = ""
    limit: str = ""
    early: str = "the step's facts end early"


class Recorder:
    """The transcript of a cell as far as its steps have been run.

    `index` maps the tree's files to mode and digest. `below` is the record of the kept build that the cell's build
    continues from, if it does.
    """

    def __init__(
        self, begun: Transcript, index: Mapping[str, tuple[int, str]], below: StepRecord | None = None
    ) -> None:
        self.transcript = begun
        self.facts: dict[str, StepFacts] = {}
        self.below = below
        self._index = index
        self._children = children(index)

    def note(self, **facts: Any) -> None:
        """Record facts that are no step's: fields of the transcript."""
        self.transcript = self.transcript.model_copy(update=facts)

    def take(self, taken: Taken, output: bytes, log_end: str) -> StepFacts:
        """Record a step, and return its facts; `output` is the agent's, `log_end` the end of the step's log."""
        found, error = self._records(taken, output)
        missing: tuple[str, ...] = ()
        try:
            missing = tuple(gone(found, self._children))
        except ValueError as problem:
            error = error or _malformed(taken.step, problem)
        record = StepRecord(step=taken.step, log=taken.log, error=error, records=found, missing=missing)
        facts = record.facts()  # once: a build has 20,000 records
        if facts.failure:
            evidence = trouble(log_end)
            record, facts = record.model_copy(update={"evidence": evidence}), replace(facts, evidence=evidence)
        self.facts[taken.step.name] = facts
        self.note(steps=[*self.transcript.steps, record], lower={**self.transcript.lower, **self._lower(facts)})
        return facts

    def fail(self, step: str, error: str, log_end: str) -> None:
        """Let the step that was recorded last fail by an error that was found in its log; its records are kept."""
        evidence = trouble(log_end)
        *earlier, last = self.transcript.steps
        self.note(steps=[*earlier, last.model_copy(update={"error": error, "evidence": evidence})])
        self.facts[step] = replace(self.facts[step], error=error, evidence=evidence)

    def stale(self, step: str, touched: Sequence[str]) -> list[str]:
        """Return those of the touched files, paths in the tree, whose content after a step is not the tree's."""
        files = self.facts[step].files
        return [path for path in touched if not self._is_as_in_tree(path, files)]

    def present(self, step: str, paths: Sequence[str]) -> list[str]:
        """Return those of `paths`, inside the cell, that were there after a step."""
        return [path for path in paths if path in self.facts[step].files]

    def _is_as_in_tree(self, path: str, files: Mapping[str, Any]) -> bool:
        file = files.get(perf.in_cell(path))
        return file is not None and file.content == self._index[path][1]

    def _records(self, taken: Taken, output: bytes) -> tuple[list[list[Any]], str]:
        """Return the records of a step and what is wrong with them, or nothing."""
        if taken.error:
            return [], taken.error
        found, error = records(output)
        # The agent's last record is `end`: without it, facts are lacking, and lacking facts look like a clean build.
        is_whole = bool(found) and found[-1][0] == "end"
        if error or not is_whole:
            error = taken.limit or error or taken.early
        if self.below and taken.step.name == "build" and not error:
            try:
                found = stacked(self.below.records, found)
            except ValueError as problem:
                error = str(problem)
        return found, error

    def _lower(self, facts: StepFacts) -> dict[str, tuple[int, str]]:
        """Map the paths that a step wrote to, as far as the tree has them, to mode and digest there."""
        entries = {path: self._tree_entry(path.removeprefix("/src/")) for path in facts.files}
        return {path: entry for path, entry in entries.items() if entry is not None}

    def _tree_entry(self, path: str) -> tuple[int, str] | None:
        """Return mode and digest of a path in the tree, or None where the tree does not have it."""
        folder = (0o755, "") if path in self._children else None
        return self._index.get(path, folder)


def _malformed(step: Step, problem: ValueError) -> str:
    return f"a listing of step {step.name} is not as the agent writes it: {first_problem(problem)}"
