"""Runs of other versions beside ours in the state folder: each is named with its reason, and the others are read."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import Verdict
from matrix.runs import cleaning, run_rows, store
from tests.unit.conftest import cell, result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOREIGN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer version": (
        lambda settings: settings.update(schema_version=3, tool_version="9.0", hints={"a": [1]}),
        "was written by perf-build-matrix 9.0 in version 3 of run.json",
    ),
    "version 1": (lambda settings: settings.pop("schema_version"), "in version 1 of run.json"),
    "an unknown key": (lambda settings: settings.update(future=1), "holds no run: future: Extra inputs"),
    "an unknown kind": (lambda settings: settings.update(kind={"kind": "voyage"}), "holds no run: kind: "),
    "a version that is no number": (lambda settings: settings.update(schema_version=[3]), "in version [3] of run.json"),
}


@pytest.fixture
def ours(places: Path) -> store.Run:
    assert places
    run = store.begin([cell()], ["7.3"], [], 2)
    run.save(result(cell().id, Verdict.PASS))
    return run


def beside(ours: store.Run, edit: Callable[[dict[str, Any]], object]) -> store.Run:
    foreign = store.Run(ours.folder.with_name("29991231T235959Z-beef"))
    shutil.copytree(ours.folder, foreign.folder)
    settings = json.loads((foreign.folder / "run.json").read_text())
    edit(settings)
    (foreign.folder / "run.json").write_text(json.dumps(settings))
    return foreign


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_run_is_named_with_its_reason_and_ours_is_read(ours: store.Run, name: str) -> None:
    edit, problem = FOREIGN[name]
    foreign = beside(ours, edit)
    theirs, own = [run_rows.row(run) for run in store.runs()]
    assert theirs.run == foreign.name
    assert problem in theirs.problem
    assert (own.run, own.verdicts, own.problem) == (ours.name, {Verdict.PASS: 1}, "")
    assert store.find(ours.name) == ours
    cleaning.refuse_beside_work()


def test_a_result_with_an_unknown_key_is_named(ours: store.Run) -> None:
    path = ours.cell(cell().id) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "future": [1]}))
    assert "result.json is no result: future: Extra inputs" in run_rows.row(ours).problem


def test_a_folder_with_other_files_is_no_run_of_ours(ours: store.Run) -> None:
    other = ours.folder.with_name("29991231T235959Z-cafe")
    other.mkdir()
    (other / "settings.toml").write_text("version = 9\n")
    assert store.runs() == [ours]
