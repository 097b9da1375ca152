from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from matrix.engine import images
from matrix.runs.named_cell import NamedCell
from matrix.runs.store import Run
from matrix.timing import recording
from matrix.trees import volumes
from tests.unit import conftest as make


class PreparedError(Exception):
    """The tree was prepared, which is all that a test wants to see."""


def test_a_cell_of_a_run_is_recorded_on_the_trees_content_that_the_run_began_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def prepare(*words: Any) -> None:
        seen.append(words[-1])
        raise PreparedError

    monkeypatch.setattr(images, "prepare", lambda *_: None)
    monkeypatch.setattr(volumes, "prepare", prepare)
    for run in (None, Run(tmp_path)):
        with pytest.raises(PreparedError):
            recording.record(NamedCell(make.cell(), run), "build", 2, None, print)  # type: ignore[arg-type] # no engine
    assert seen == [None, tmp_path / "trees"]


def test_the_shell_after_a_failed_step_gets_a_tree_that_was_given_by_its_source_from_the_run_or_the_source() -> None:
    from_source = make.cell(on=make.tree("git-1", source="git:/srv/a tree@v1"))
    asked = recording._shell_command(NamedCell(from_source), "build")
    assert asked == f"perf-matrix shell {from_source.place} --tree {from_source.tree.asked} --after build"
    of_run = recording._shell_command(NamedCell(from_source, Run(Path("r"))), "build")
    assert of_run == f"perf-matrix shell {from_source.id} --after build"
