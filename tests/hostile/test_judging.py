"""Transcripts that are made to take the memory, the time or the disk of the machine that judges them."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import Verdict
from matrix.runs import confinement, judgement, store, transcript_process
from matrix.runs.confinement import Bounds
from matrix.scenario import plan
from matrix.scenario.transcript import Transcript
from tests.unit.conftest import cell, file, process, result, step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CELL = cell()
STEPS = [planned.name for planned in plan.scenario(CELL).steps]


def transcript(*built: list[Any]) -> dict[str, Any]:
    """Return the transcript of a cell whose build left these records, and whose other steps left none."""
    steps = [step(name, *(built if name == "build" else ()), of=CELL) for name in STEPS]
    kept = Transcript(scenario=plan.scenario(CELL), ignore={}, generator_has_pool=True, steps=steps)
    return kept.model_dump(mode="json")


def many_files() -> bytes:
    return json.dumps(transcript(*(file(f"/src/tools/perf/{number}") for number in range(10_000)))).encode()


def long_command_line() -> bytes:
    return json.dumps(transcript(process(0, "cc", *["-x" * 30] * 150_000))).encode()


def zeros() -> bytes:
    return bytes(64 << 20)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "files without end": (many_files, "limit-exceeded:memory"),
    "a command line of 9 MB": (long_command_line, "limit-exceeded:memory"),
    "64 MiB of zeros in 64 KB": (zeros, "limit-exceeded:memory"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_transcript_past_a_limit_is_a_finding_against_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path))
    monkeypatch.setattr(confinement, "LOOK_S", 0.5)
    monkeypatch.setattr(transcript_process, "BOUNDS", Bounds(memory_bytes=56 << 20, cpu_s=60, output_bytes=1 << 20))
    make, key = HOSTILE[name]
    run = store.begin([CELL], ["7.3"], [], 1)
    path = run.transcript_path(CELL.id)
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(make(), 1))
    found = judgement.judged(result(CELL.id), run, CELL, ())
    assert found.verdict == Verdict.FAIL
    assert [finding.key for check in found.checks for finding in check.findings] == [key]
