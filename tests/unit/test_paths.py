from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix import paths

if TYPE_CHECKING:
    from collections.abc import Iterator


HOLDS = """
import sys
from matrix import paths
with paths.temporary("it") as made:
    print(made, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


def holding() -> tuple[subprocess.Popen[str], str]:
    """Return a process with a temporary folder, and the folder's path."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_a_folder_is_there_for_its_process_and_gone_at_the_end(place: Path) -> None:
    with paths.temporary("index") as made:
        assert made.parent == place
        (made / "file").touch()
        assert paths.abandoned_temporary() == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_process_left_is_found_and_what_others_have_is_not(place: Path, number: signal.Signals) -> None:
    """A series that was ended while patches were applied left a folder in /tmp for ever."""
    killed, left = holding()
    other, _ = holding()
    killed.send_signal(number)
    killed.communicate()
    assert [str(path) for path in paths.abandoned_temporary()] == [left]
    other.communicate()
    assert [str(path) for path in place.iterdir()] == [left]


def test_what_only_looks_like_ours_is_left_alone(place: Path) -> None:
    killed, left = holding()
    killed.kill()
    killed.communicate()
    ended = left.rpartition(".")[2].partition("-")[0]
    (place / f"perf-matrix-file.{ended}-0").touch()
    (place / f"perf-matrix-link.{ended}-0").symlink_to(left)
    for name in ("perf-matrix-it.1-0", "perf-matrix-it.x-0", "perf-matrix-it.-0", f"other.{ended}-0"):
        (place / name).mkdir()
    assert [str(path) for path in paths.abandoned_temporary()] == [left]


def test_a_folder_with_a_lock_is_in_use_whatever_the_number_in_its_name(place: Path) -> None:
    """In another container a process may have a number that no process has here."""
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    made = place / f"perf-matrix-it.{int(ended.stdout)}-0"
    made.mkdir()
    descriptor = os.open(made, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert paths.abandoned_temporary() == []
    os.close(descriptor)
    assert paths.abandoned_temporary() == [made]


def test_a_folder_that_goes_while_it_is_looked_at_is_nobodys(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = place / "perf-matrix-it.4194305-0"  # above the greatest number of a process (proc(5), pid_max)
    monkeypatch.setattr(type(place), "glob", lambda *_: iter([gone]))
    assert paths.abandoned_temporary() == []
    monkeypatch.setattr(paths, "_is_own_folder", lambda _: True)
    assert paths.abandoned_temporary() == []


def test_sockets_lie_where_a_variable_says_or_roots_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", "/named")
    assert paths.runtime() == Path("/named")
    monkeypatch.delenv("PERF_MATRIX_RUNTIME")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert paths.runtime() == Path("/run/perf-build-matrix")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert paths.runtime() == Path("/run/user/1000/perf-build-matrix")
