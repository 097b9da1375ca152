"""The process of a cell's transcript: what it answers, and the limits that end it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from matrix.errors import InfrastructureError, UsageError
from matrix.model.result import Verdict
from matrix.runs import transcript_process, transcripts
from matrix.runs.confinement import Bounds, ChildDiedError, LimitExceededError
from matrix.runs.transcript_process import TranscriptProcess
from matrix.scenario import plan
from matrix.scenario.elf_facts import ElfFacts
from matrix.scenario.recorder import Taken
from matrix.scenario.transcript import Transcript
from matrix.verdicts import judgement
from tests.unit.conftest import PERF, cell, command, end, file, process, records, result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.runs.transcript_requests import Took
    from tests.unit.conftest import Record

CELL = cell()
STEPS = {one.name: one for one in plan.scenario(CELL).steps}
SOURCE = "tools/perf/builtin.c"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "build.log"
    path.write_text("a.c:1: error: it broke\n")
    return path


@pytest.fixture
def cell_process() -> Iterator[TranscriptProcess]:
    with contextlib.closing(TranscriptProcess()) as made:
        begin(made)
        yield made


def begin(made: TranscriptProcess, below: Path | None = None) -> None:
    made.begin(
        Transcript(scenario=plan.scenario(CELL), ignore={}, generator_has_pool=True), {SOURCE: (0o644, "1")}, below
    )


def take(
    made: TranscriptProcess, log: Path, *given: Record, name: str = "build", touched: tuple[str, ...] = ()
) -> Took:
    output = "".join(f"{json.dumps(record)}\n" for record in given).encode()
    return made.take(Taken(step=STEPS[name], log=f"logs/{name}.log"), output, log, touched)


def test_steps_are_recorded_and_questions_on_them_answered(cell_process: TranscriptProcess, log: Path) -> None:
    generator = ["python3", "pmu-events/jevents.py", "x86", "pmu-events.c"]
    built = take(
        cell_process, log, *records([process(0, *generator), file(f"{PERF}/perf"), file(f"{PERF}/a.o", "one")])
    )
    assert (built.failure, built.stale) == ("", ())
    assert cell_process.present("build", [f"{PERF}/perf", f"{PERF}/none"]) == [f"{PERF}/perf"]
    assert cell_process.generator_argv("jevents.py") == tuple(generator)
    assert cell_process.generator_argv("other.py") == ()
    take(cell_process, log, *records([file(f"{PERF}/perf"), file(f"{PERF}/a.o", "two")]), name="build-again")
    assert cell_process.first_difference() == f"{PERF}/a.o"


def test_a_step_that_fails_says_why(cell_process: TranscriptProcess, log: Path) -> None:
    assert take(cell_process, log, command(exit_status=2), end()).failure == "exit status 2 of make"


def test_a_touched_file_that_is_not_the_trees_is_stale(cell_process: TranscriptProcess, log: Path) -> None:
    took = take(cell_process, log, *records([file(f"{PERF}/builtin.c", "other")]), touched=(SOURCE,))
    assert took.stale == (SOURCE,)


def test_the_transcript_is_stored_as_it_was_noted(cell_process: TranscriptProcess, log: Path, tmp_path: Path) -> None:
    take(cell_process, log, command(exit_status=2), end())
    elf = {"/out/perf": ElfFacts(path="/out/perf", kind="ET_DYN")}
    cell_process.note(elf=elf)
    cell_process.note(differences=("a", "b"), compact_tables=("t",))
    transcripts.write(tmp_path / "stored", cell_process.blocks())
    stored = transcripts.read(tmp_path / "stored")
    assert (stored.elf, stored.differences, stored.compact_tables) == (elf, ("a", "b"), ("t",))
    [kept] = stored.steps
    assert kept.evidence == ("a.c:1: error: it broke",)


def test_a_build_that_continues_is_compared_with_the_kept_build(log: Path, tmp_path: Path) -> None:
    compiler = process(0, "cc1", "-quiet", "builtin.c", "-o", "x.s")
    with contextlib.closing(TranscriptProcess()) as first:
        begin(first)
        take(first, log, *records([compiler, file(f"{PERF}/builtin.o")]))
        transcripts.write(tmp_path / "below", first.blocks())
        with pytest.raises(ChildDiedError, match="no kept build"):
            first.missed_work([f"/src/{SOURCE}"], PERF)
    with contextlib.closing(TranscriptProcess()) as second:
        begin(second, tmp_path / "below")
        take(second, log, *records([file(f"{PERF}/builtin.o")]))
        assert second.missed_work([f"/src/{SOURCE}"], PERF) == f"/src/{SOURCE} was not compiled"


def test_the_cell_is_judged_by_what_was_recorded(cell_process: TranscriptProcess, log: Path) -> None:
    take(cell_process, log, command(exit_status=2), end())
    parts, exceeded = cell_process.judgement(())
    assert exceeded is None
    build = judgement.judged(result(CELL.id), parts).check("build")
    assert build is not None
    assert (build.verdict, build.findings[0].actual) == (Verdict.FAIL, "exit status 2 of make")


def test_a_base_that_is_no_transcript_is_named(cell_process: TranscriptProcess, log: Path) -> None:
    take(cell_process, log, command(), end())
    with pytest.raises(UsageError, match=r"build\.log is no transcript"):
        cell_process.judgement((), log)


def test_a_step_past_a_limit_ends_the_process_and_names_the_step(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setattr(transcript_process, "BOUNDS", Bounds(memory_bytes=96 << 20, cpu_s=60, output_bytes=1 << 20))
    with contextlib.closing(TranscriptProcess()) as made:
        begin(made)
        assert not made.has_ended
        with pytest.raises(LimitExceededError, match=r"within 96 MiB of memory, the limit on memory") as exceeded:
            take(made, log, *(file(f"{PERF}/{number}") for number in range(60_000)))
        assert exceeded.value.limit.work == "reading the facts of build"
        assert made.has_ended
        with pytest.raises(LimitExceededError):
            made.first_difference()


def test_no_more_than_a_limit_of_a_judgement_is_read(
    monkeypatch: pytest.MonkeyPatch, cell_process: TranscriptProcess, log: Path
) -> None:
    take(cell_process, log, command(exit_status=2), end())
    whole, _ = cell_process.judgement(())
    monkeypatch.setattr(transcript_process, "JUDGEMENT_BYTES", 2 << 10)
    parts, exceeded = cell_process.judgement(())
    assert 0 < len(parts) < len(whole)
    assert exceeded is not None
    assert (exceeded.name, exceeded.value) == ("result-size", "a result of 2 KiB")


def test_a_tree_may_have_names_and_links_that_are_not_utf_8(log: Path) -> None:
    name, target = b"tools/perf/\xe9.c".decode(errors="surrogateescape"), b"\xff".decode(errors="surrogateescape")
    begun = Transcript(scenario=plan.scenario(CELL), ignore={name: target}, generator_has_pool=True)
    with contextlib.closing(TranscriptProcess()) as made:
        made.begin(begun, {name: (0o777, target)})
        assert take(made, log, command(), ["listing", "tools/perf", []], end()).failure == ""


def test_a_lost_transcript_of_a_kept_build_is_the_infrastructures_fault(tmp_path: Path) -> None:
    with (
        contextlib.closing(TranscriptProcess()) as made,
        pytest.raises(InfrastructureError, match="the kept build has no transcript"),
    ):
        begin(made, tmp_path / "lost")


def test_an_answer_has_no_more_than_its_limit(
    monkeypatch: pytest.MonkeyPatch, cell_process: TranscriptProcess, log: Path
) -> None:
    paths = [f"{PERF}/{number}" for number in range(300)]
    take(cell_process, log, *records([file(path) for path in paths]))
    monkeypatch.setattr(transcript_process, "ANSWER_BYTES", 1 << 10)
    with pytest.raises(LimitExceededError, match="a result of 1 KiB"):
        cell_process.present("build", paths)


def test_the_words_of_a_failure_are_cut(cell_process: TranscriptProcess, log: Path) -> None:
    took = take(cell_process, log, command("make", "m" * 9_000, exit_status=2), end())
    assert len(took.failure) == 4_000


def test_a_step_fails_by_what_its_log_has(cell_process: TranscriptProcess, log: Path, tmp_path: Path) -> None:
    take(cell_process, log, command(), end())
    cell_process.fail("build", "it has no rules", log)
    transcripts.write(tmp_path / "stored", cell_process.blocks())
    [kept] = transcripts.read(tmp_path / "stored").steps
    assert (kept.error, kept.evidence) == ("it has no rules", ("a.c:1: error: it broke",))
