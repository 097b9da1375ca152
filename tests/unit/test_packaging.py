from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_an_installed_wheel_carries_what_it_needs(unpacked: Path) -> None:
    data = unpacked / "matrix" / "data"
    assert (data / "configs" / "builds" / "default.yaml").is_file()
    assert (data / "containers" / "debian-trixie.yaml").is_file()
    assert (data / "cells" / "test_cells.py").is_file()
    assert (unpacked / "matrix" / "trees" / "gitconfig").is_file()


def test_an_installed_wheel_works_outside_a_checkout(unpacked: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "matrix", "list", "--profile", "smoke"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "debian-trixie-min/gcc/minimal@7.3\n"
    where = subprocess.run(
        [sys.executable, "-c", "import matrix; print(matrix.__file__)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(unpacked))
