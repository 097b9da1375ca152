"""Every command in the README is one that the program takes; those that need no engine are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.config import load, selection
from matrix.model.cell_id import CellId
from matrix.model.result import Verdict
from matrix.runs.store import Run, RunSettings
from matrix.trees import git
from tests.unit.results import done

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
CELL = "debian-trixie-min/gcc/minimal@7.3"
HOME = re.compile(r"(~|\$HOME)/linux")
NO_ENGINE = 3


def as_perf_matrix(command: str) -> list[str] | None:
    """Return the words after perf-matrix that a README line comes to; `tox -e matrix -- ARGS` is `run ARGS`."""
    words = shlex.split(command)
    if words[0] == "perf-matrix":
        return words[1:]
    if words[:3] == [".venv/bin/tox", "-e", "matrix"]:
        return ["run", *words[4:]]
    return None


def run_name(words: list[str]) -> str:
    return next((word for word in words if re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", word)), "20261101T000000Z-0000")


def perf_matrix(words: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "matrix", *words],
        cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def recorded(run: Run) -> None:
    """Leave a run with one result, and one that it lacks."""
    run.save_settings(
        RunSettings(
            run=run.name,
            started="",
            tool_version="0",
            trees=("7.3",),
            cells=(CellId(CELL), CellId("i/t/other@7.3")),
            jobs=2,
        )
    )
    loaded = load.load()
    [cell] = selection.select(selection.every(loaded, [loaded.trees["7.3"]]), [CELL])
    run.save(done(of=cell, run=run.name, verdict=Verdict.PASS, checks=()))


def repository(folder: Path) -> Path:
    """Return a repository with what the README names: v7.1, my-branch, and v7.mbx beside them."""
    linux = folder / "linux"
    linux.mkdir()
    git.run(linux, "init", "-q", "-b", "my-branch")
    for text in ("one", "two"):
        (linux / "file").write_text(f"{text}\n")
        git.run(linux, "add", ".")
        git.run(linux, "commit", "-q", "-m", text)
    git.run(linux, "tag", "v7.1", "HEAD~1")
    (linux / "v7.mbx").write_bytes(git.run(linux, "format-patch", "--stdout", "-1"))
    return linux


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No engine, and folders of its own."""
    variables = {f"PERF_MATRIX_{name.upper()}": str(tmp_path / name) for name in ("cache", "state", "runtime")}
    return {**os.environ, **variables, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}


def test_the_readme_has_commands() -> None:
    assert len([command for command in COMMANDS if as_perf_matrix(command)]) >= 10


@pytest.mark.parametrize("command", [command for command in COMMANDS if as_perf_matrix(command) is not None])
def test_perf_matrix_takes_it(command: str, environment: dict[str, str]) -> None:
    linux = repository(Path(environment["PERF_MATRIX_STATE"]).parent)
    words = [HOME.sub(str(linux), word) for word in as_perf_matrix(command) or []]
    recorded(Run(Path(environment["PERF_MATRIX_STATE"]) / "runs" / run_name(words)))
    if words[:2] == ["repro", "--from"]:
        assert perf_matrix(["bundle", run_name(words), CELL, "-o", words[2]], environment, linux).returncode == 0
    ended = perf_matrix(words, environment, linux)
    needs_engine = words[0] not in ("list", "runs", "plan", "bundle") and "--list" not in words
    assert ended.returncode == (NO_ENGINE if needs_engine else 0), ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_tox_environments_are_there() -> None:
    listed = subprocess.run([sys.executable, "-m", "tox", "list"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"lint", "types", "tests", "matrix"} <= set(re.findall(r"^(\w+) +->", listed.stdout, re.M))


def test_cells_can_be_collected_by_hand(environment: dict[str, str]) -> None:
    [command] = [command for command in COMMANDS if command.startswith("pytest ")]
    words = [word for word in shlex.split(command)[1:] if word not in ("-n", "2")]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--collect-only", "-q"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "test_cell[debian-trixie/gcc/static@7.3:no-op]" in ended.stdout
