"""A process that holds a cell's transcript: it parses what a tree left, and judges it, within limits."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from matrix.runs import confinement, transcript_child
from matrix.runs import transcript_requests as requests
from matrix.runs.confinement import Bounds, LimitExceededError
from matrix.untrusted import encodable
from matrix.verdicts.judgement import JudgementPart, Limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matrix.model.base import Frozen
    from matrix.model.cell import Cell
    from matrix.model.known_failure import KnownFailure
    from matrix.runs.transcript_requests import Took
    from matrix.scenario.recorder import Taken
    from matrix.scenario.transcript import Transcript

BOUNDS = Bounds(memory_bytes=3 << 30, cpu_s=300, output_bytes=512 << 20)
"""Ten times the memory and thirty times the CPU time that the largest cell of perf takes, and two such at once still
leave room on a machine with 8 GB. The largest answer is a transcript, compressed, of up to CELL_FACTS_BYTES."""

ANSWER_BYTES = 4 << 20
"""The most that is read of an answer to a question; the longest has the words of a command line."""

JUDGEMENT_BYTES = 64 << 20
"""The most that is read of a judgement; perf's largest has 140 KB."""


class TranscriptProcess:
    """The process of one cell; it is ended by `close`, and by a limit that the cell's facts exceed.

    Each method raises LimitExceededError where they do, and ChildDiedError after an internal error.
    """

    def __init__(self) -> None:
        self._child = confinement.Child(transcript_child.__name__, BOUNDS)

    def close(self) -> None:
        """End the process."""
        self._child.close()

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, so that there is no transcript any more."""
        return self._child.has_ended

    def begin(self, transcript: Transcript, index: Mapping[str, tuple[int, str]], below: Path | None = None) -> None:
        """Begin a transcript of a tree with this index of files; the build continues from that of `below`, if given."""
        path = str(below.resolve()) if below else ""
        # A tree may have names, and targets of links, that are not UTF-8: as in the agent's records.
        named = transcript.model_copy(update={"ignore": encodable(transcript.ignore)})
        names = {encodable(path): (mode, encodable(content)) for path, (mode, content) in index.items()}
        self._asked(requests.Begin(transcript=named, index=names, below=path))

    def load(self, path: Path, cell: Cell) -> None:
        """Take a stored transcript for that of `cell`.

        Raises:
            UsageError: the file is no transcript of ours.

        """
        self._asked(requests.Load(path=str(path.resolve()), cell=cell))

    def take(self, taken: Taken, output: bytes, log: Path, touched: Sequence[str] = ()) -> Took:
        """Record a step with the agent's output and the path of its log; `touched` are files of the tree to compare."""
        request = requests.Take(taken=taken, log=str(log.resolve()), touched=tuple(touched))
        answer = self._asked(request, output, f"reading the facts of {taken.step.name}")
        return requests.Took.model_validate_json(answer)

    def fail(self, step: str, error: str, log: Path) -> None:
        """Let the step that was recorded last fail by an error that was found in its log."""
        self._asked(requests.Fail(step=step, error=error, log=str(log.resolve())))

    def note(self, **facts: Any) -> None:
        """Record facts that are no step's: the fields of `Note`."""
        self._asked(requests.Note(**facts))

    def present(self, step: str, paths: Iterable[str]) -> list[str]:
        """Return those of `paths`, inside the cell, that were there after a step."""
        return list(self._answered(requests.Present(step=step, paths=tuple(paths))))

    def generator_argv(self, generator: str) -> tuple[str, ...]:
        """Return the words by which the build ran a generator; none where it did not."""
        return tuple(self._answered(requests.GeneratorArgv(generator=generator)))

    def missed_work(self, sources: Sequence[str], output: str) -> str:
        """Return the work that the continued build missed, or nothing."""
        return str(self._answered(requests.MissedWork(sources=tuple(sources), output=output)))

    def first_difference(self) -> str:
        """Return the first artefact that differs between the builds, or nothing."""
        return str(self._answered(requests.FirstDifference()))

    def blocks(self) -> Iterator[bytes]:
        """Yield the transcript so far as its file has it, compressed."""
        with _naming("writing the transcript"):
            yield from self._child.ask(requests.packed(requests.Export()))

    def judgement(
        self, known: Sequence[KnownFailure], base: Path | None = None
    ) -> tuple[list[JudgementPart], Limit | None]:
        """Return the parts of the judgement on the cell, and the limit that ended it, if one did.

        `base` is the transcript of the same cell on the base tree.
        """
        request = requests.Judge(base=str(base.resolve()) if base else "", known=tuple(known))
        parts: list[JudgementPart] = []
        left = JUDGEMENT_BYTES
        try:
            for line in self._child.ask(requests.packed(request)):
                left -= len(line)
                if left < 0:
                    return parts, _result_size(JUDGEMENT_BYTES)
                parts.append(JudgementPart.model_validate_json(line))
        except LimitExceededError as error:
            return parts, error.limit
        return parts, None

    def _answered(self, request: Frozen) -> Any:
        return json.loads(self._asked(request))

    def _asked(self, request: Frozen, content: bytes = b"", work: str = "looking up facts of the build") -> bytes:
        answer = bytearray()
        with _naming(work):
            for block in self._child.ask(requests.packed(request, content)):
                answer += block
                if len(answer) > ANSWER_BYTES:
                    raise LimitExceededError(_result_size(ANSWER_BYTES))
        return bytes(answer)


@contextlib.contextmanager
def _naming(work: str) -> Iterator[None]:
    """Give a limit that is exceeded the name of the work in which it was."""
    try:
        yield
    except LimitExceededError as error:
        raise LimitExceededError(error.limit.model_copy(update={"work": work})) from error


def _result_size(most_bytes: int) -> Limit:
    return Limit(name="result-size", value=f"a result of {most_bytes >> 10} KiB")
