from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.unit.agent.running import ARGV

if TYPE_CHECKING:
    from pathlib import Path


def test_the_beginning_of_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 1000)
    done = subprocess.run([*ARGV, "read", "", str(tmp_path / "file"), "70000"], capture_output=True, check=True)
    assert done.stdout == (tmp_path / "file").read_bytes()[:70000]
    done = subprocess.run([*ARGV, "read", "", str(tmp_path / "file"), "700000"], capture_output=True, check=True)
    assert done.stdout == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("name", ["fifo", "folder", "none"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    done = subprocess.run([*ARGV, "read", "", str(tmp_path / name), "10"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert str(tmp_path / name).encode() in done.stderr
