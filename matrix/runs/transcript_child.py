"""The task of the child that holds a cell's transcript: it parses the agent's output, and judges the cell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import files
from matrix.checks import reproducible
from matrix.errors import InfrastructureError, UsageError
from matrix.runs import transcript_requests as requests
from matrix.runs import transcripts
from matrix.scenario.recorder import Recorder
from matrix.trace import command_lines
from matrix.verdicts import judgement, kept_build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.transcript import StepRecord, Transcript

LOG_END_BYTES = 1 << 20
"""The end of a step's log in which the lines with the reason of a failure are looked for."""


FAILURE_CHARS = 4_000
"""The most of a step's failure that an answer has: it may quote the words of a program of the tree."""


class _Cell:
    """The transcript of one cell, and the answers to requests on it."""

    def __init__(self) -> None:
        self.recorder: Recorder

    def answer(self, message: bytes) -> Iterator[bytes]:
        """Yield the answer to a request, in blocks.

        Raises:
            UsageError: a file is no transcript of ours.

        """
        request, content = requests.unpacked(message)
        match request:
            case requests.Begin():
                self.recorder = Recorder(request.transcript, request.index, _below(request.below))
            case requests.Load():
                stored = _stored(request.path).with_cell(request.cell)
                self.recorder = Recorder(stored, {})
            case requests.Take():
                yield self._take(request, content)
            case requests.Judge():
                yield from self._judgement(request)
            case requests.Export():
                yield from transcripts.blocks(self.recorder.transcript)
            case requests.Fail():
                self.recorder.fail(request.step, request.error, _log_end(request.log))
            case requests.Note():
                self.recorder.note(**_given(request))
            case _:
                yield json.dumps(self._of_facts(request)).encode()

    def _take(self, request: requests.Take, output: bytes) -> bytes:
        facts = self.recorder.take(request.taken, output, _log_end(request.log))
        stale = () if facts.failure else self.recorder.stale(facts.step.name, request.touched)
        failure = facts.failure[:FAILURE_CHARS]
        took = requests.Took(failure=failure, ended=facts.ended, cpu_s=facts.cpu_s, stale=tuple(stale))
        return took.model_dump_json().encode()

    def _of_facts(self, request: Any) -> Any:
        """Return what a question on the steps' facts asks for."""
        match request:
            case requests.Present():
                return self.recorder.present(request.step, request.paths)
            case requests.GeneratorArgv():
                return command_lines.generator_argv(self.recorder.facts["build"], request.generator)
            case requests.MissedWork():
                return self._missed_work(request)
            case requests.FirstDifference():
                return reproducible.first_difference(self._observations()) or ""

    def _missed_work(self, request: requests.MissedWork) -> str:
        if self.recorder.below is None:
            raise LookupError("there is no kept build to compare with")
        below, build = self.recorder.below.facts(), self.recorder.facts["build"]
        return kept_build.missed_work(below, build, request.sources, request.output)

    def _judgement(self, request: requests.Judge) -> Iterator[bytes]:
        base = _stored(request.base).observations() if request.base else None
        for part in judgement.parts(self._observations(base), request.known):
            yield f"{part.model_dump_json(exclude_defaults=True)}\n".encode()

    def _observations(self, base: Observations | None = None) -> Observations:
        return self.recorder.transcript.observations(self.recorder.facts, base)


def _log_end(path: str) -> str:
    return files.tail(Path(path), LOG_END_BYTES)


def _stored(path: str) -> Transcript:
    # However large: this process's limit on memory is a finding against the tree, and a refusal would be none.
    return transcripts.read(Path(path), sys.maxsize)


def _below(path: str) -> StepRecord | None:
    """Return the record of a kept build.

    Raises:
        InfrastructureError: its transcript is lost or damaged.

    """
    try:
        return _stored(path).steps[0] if path else None
    except UsageError as error:
        raise InfrastructureError(f"the kept build has no transcript: {error.message}") from error


def _given(note: requests.Note) -> dict[str, Any]:
    """Return the fields of a note that are set, as they are."""
    fields = ("elf", "compact_tables", "differences", "databases")
    return {name: getattr(note, name) for name in fields if getattr(note, name) is not None}


main = _Cell().answer
