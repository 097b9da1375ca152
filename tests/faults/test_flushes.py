"""The order of calls by which a loss of power takes no file of a run, and those orders by which it could."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.flushes import Journal

if TYPE_CHECKING:
    from pathlib import Path

ORDER = ("make cell", "flush run", "write part", "flush part", "rename part result.json", "flush cell")


def journal(folder: Path, calls: list[str]) -> tuple[Journal, Path]:
    """Return the journal of calls on a run with a file `cell/result.json`."""
    run = folder / "state" / "run"
    places = {"run": run, "cell": run / "cell", "part": run / "cell/part", "result.json": run / "cell/result.json"}
    lines = []
    for call in calls:
        name, *words = call.split()
        paths = [str(places[word]) for word in words]
        kind = "make folder" if name == "make" else name
        lines.append(json.dumps([1, kind, paths[0], paths[1] if len(paths) > 1 else ""]) + "\n")
    (folder / "journal").write_text("".join(lines))
    (run / "cell").mkdir(parents=True)
    (run / "cell/result.json").touch()
    return Journal(folder / "journal"), run


def test_a_file_is_safe_that_is_flushed_renamed_and_flushed_by_its_name(tmp_path: Path) -> None:
    made, run = journal(tmp_path, list(ORDER))
    assert list(made.at_the_end(run)) == []
    (run / "cell/logs").mkdir()
    for name in ("lock", "pytest.log", "cell/logs/build.log"):
        (run / name).touch()
    assert list(made.at_the_end(run)) == []
    (run / "cell/other.json").touch()
    assert list(made.at_the_end(run)) == ["run/cell/other.json was written in place"]


@pytest.mark.parametrize(
    ("lacking", "wrong"),
    [
        ("flush run", "the name cell in run was not flushed"),
        ("flush part", "run/cell/result.json was replaced by a file that was not flushed"),
        ("flush cell", "the name result.json in run/cell was not flushed"),
    ],
)
def test_a_flush_that_is_lacking_is_named(lacking: str, wrong: str, tmp_path: Path) -> None:
    made, run = journal(tmp_path, [call for call in ORDER if call != lacking])
    assert list(made.at_the_end(run)) == [wrong]


def test_a_flush_before_the_last_write_is_none(tmp_path: Path) -> None:
    made, _ = journal(tmp_path, [*ORDER[:4], "write part", *ORDER[4:]])
    assert list(made.wrong()) == ["run/cell/result.json was replaced by a file that was not flushed"]
