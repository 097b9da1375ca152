"""The answer of `perf-matrix bisect`, with a bisection that has ended in place of an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from matrix import cli
from matrix.model.cell_id import CellId
from matrix.runs.store import Run
from matrix.series import bisect

if TYPE_CHECKING:
    import pytest


def test_the_answer_names_the_place_and_not_the_commit_that_passes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    place = CellId("debian-trixie/gcc/static@base").place
    found = bisect.FirstBadCommit(Run(Path("/runs/r1")), place, "0123456789abcdef", "A. Author", "Break it")
    monkeypatch.setattr(bisect, "first_bad_commit", lambda *_: found)
    words = ("bisect", "--good", "v1", "--bad", "v2", "--select", place, "--check", "clean")
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(cli.app, words)
    answer = (
        '0123456789ab ("Break it", A. Author) is the first at which clean newly fails in debian-trixie/gcc/static\n'
    )
    assert shown.output == f"{answer}run: /runs/r1\n"
