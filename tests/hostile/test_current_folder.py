"""A run that is started in a hostile tree runs nothing of it on the host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.config import load
from matrix.runs import launch, store
from tests.unit.conftest import cell

MODULES = ("pytest", "xdist", "execnet", "docker", "json", "sitecustomize", "matrix", "conftest")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder whose modules have the names of those that a run imports."""
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text("import os\nos.write(1, b'hostile')\nos._exit(0)\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path / "state"))
    return folder


def test_the_runs_pytest_imports_no_module_of_the_current_folder(hostile: Path) -> None:
    run = store.begin([cell()], ["7.3"], [], 1)
    words = launch._pytest_words(1)
    version = [*words[: words.index("-p")], "-p", "matrix.runs.plugin", "-c", os.devnull, "--version"]
    environment = launch._environment(run, None)
    done = subprocess.run(version, env=environment, capture_output=True, text=True, check=False)
    assert hostile.is_dir()
    assert "hostile" not in done.stdout
    assert "pytest" in done.stdout + done.stderr
    assert done.returncode == 0


def test_a_checkout_that_is_not_installed_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    package = str(Path(launch.__file__).resolve().parents[2])
    monkeypatch.setattr(sys, "path", [package, *sys.path])
    monkeypatch.setenv("PYTHONPATH", "/some")
    assert launch._import_path()["PYTHONPATH"] == f"{package}{os.pathsep}/some"
    monkeypatch.setattr(sys, "path", ["/usr/bin", *sys.path])
    assert launch._import_path()["PYTHONPATH"] == "/some"


def test_the_runs_pytest_loads_no_conftest_from_above_the_folder_of_the_cell_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = tmp_path / "above" / "cells"
    cells.mkdir(parents=True)
    (cells.parent / "conftest.py").write_text("raise SystemExit('taken from above')\n")
    (cells / "test_cells.py").write_text("def test_nothing():\n    pass\n")
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(load, "cell_tests", lambda: cells)
    run = store.begin([cell()], ["7.3"], [], 1)
    words = [word for word in launch._pytest_words(1) if word not in ("-n", "1", "--dist", "loadgroup")]
    begun_by = {**launch._environment(run, None), launch.COMMAND_PID_VARIABLE: str(os.getpid())}
    done = subprocess.run([*words, "--collect-only"], env=begun_by, capture_output=True, text=True, check=False)
    assert "test_cells.py::test_nothing" in done.stdout, done.stdout + done.stderr
