"""The process that children are forked from: what they share, what they do not, and what ends with what."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.errors import InfrastructureError
from matrix.runs import fork_server, parsing_requests
from matrix.runs.confinement import Bounds, Child

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUNDS = Bounds(memory_bytes=256 << 20, cpu_s=60, output_bytes=4 << 10)
PATIENCE_S = 60
HOLDS = """
import os
from matrix.runs import parsing_requests
from matrix.runs.confinement import Bounds, Child
child = Child(parsing_requests.TASK, Bounds(256 << 20, 60, 4096))
print(child._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def parent_of(pid: int) -> int:
    """Return a process's parent: proc(5) has its number after the name and the state."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_there(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while is_there(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def children() -> Iterator[list[Child]]:
    made = [Child(parsing_requests.TASK, BOUNDS) for _ in range(2)]
    yield made
    for child in made:
        child.close()


def ask(child: Child) -> bytes:
    return b"".join(child.ask(parsing_requests.ELF + b"/out/perf\nno ELF file"))


def test_children_are_forked_from_one_process_and_answer_as_others_do(children: list[Child]) -> None:
    first, second = children
    assert parent_of(first._process.pid) == parent_of(second._process.pid) != os.getpid()
    assert ask(first) == ask(second)
    assert b"/out/perf" in ask(first)


def test_a_child_has_nothing_of_another_one_open(children: list[Child]) -> None:
    for child in children:
        ask(child)  # it has closed what is not its own
        opened = [str(path.readlink()) for path in Path(f"/proc/{child._process.pid}/fd").iterdir()]
        assert len(opened) == 4
        assert sum(target.startswith("socket:") for target in opened) == 1  # its own connection
        assert opened.count("/dev/null") == 2


def test_the_status_of_a_child_is_told_once_it_has_ended(children: list[Child]) -> None:
    process = children[0]._process
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert (process.wait(), process.poll()) == (-signal.SIGKILL, -signal.SIGKILL)
    process.kill()
    assert not is_there(process.pid)
    assert ask(children[1])


def test_where_the_process_was_killed_its_children_are_and_another_one_is_started(children: list[Child]) -> None:
    killed = parent_of(children[0]._process.pid)
    os.kill(killed, signal.SIGKILL)
    for child in children:
        wait_until_gone(child._process.pid)
        with pytest.raises(InfrastructureError, match="was killed, as the kernel does where memory is short"):
            ask(child)
    with contextlib.closing(Child(parsing_requests.TASK, BOUNDS)) as child:
        assert parent_of(child._process.pid) != killed
        assert ask(child)


def test_another_path_of_modules_has_another_process_and_ends_no_child(
    children: list[Child], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parent_of(children[0]._process.pid)
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.closing(Child(parsing_requests.TASK, BOUNDS)) as child:
        assert parent_of(child._process.pid) != before
        assert all(map(ask, (child, *children)))
    for one in children:
        one.close()
    with contextlib.closing(Child(parsing_requests.TASK, BOUNDS)) as child:
        assert ask(child)
        assert not is_there(before)


def test_a_process_that_never_comes_up_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "_START", "raise SystemExit(3)")
    servers = fork_server._Servers()
    with pytest.raises(InfrastructureError, match=r"ends by itself\n  Is there memory enough\?"):
        servers.fork(fork_server.Forking(("task", "1", "1", "1"), 0, 2))
    servers.close()


def test_nothing_outlives_the_process_that_asked_for_it() -> None:
    path = os.pathsep.join(folder for folder in sys.path if folder)
    done = subprocess.run([sys.executable, "-c", HOLDS], env={**os.environ, "PYTHONPATH": path},
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until_gone(int(done.stdout))
