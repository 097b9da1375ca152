"""`perf-matrix shell`, at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
from typing import TYPE_CHECKING

import pytest

from tests.engine.bench import FAKE, PLACE, Bench
from tests.engine.requirements import needs

if TYPE_CHECKING:
    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine


def talk(argv: list[str], environment: dict[str, str], lines: list[str]) -> tuple[int, str]:
    """Run a command at a terminal of its own, type each line once a prompt is there; return its status and output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, environment)  # noqa: S606 - the command under test
    said, waiting = b"", list(lines)
    with contextlib.suppress(OSError):  # a terminal whose other side has closed is an error to read
        while block := os.read(terminal, 4096):
            said += block
            if waiting and said.endswith((b"$ ", b"# ")):
                os.write(terminal, f"{waiting.pop(0)}\n".encode())
                said += b"\n"
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode(errors="replace")


def test_a_shell_is_in_the_cell_as_it_was_after_a_step(bench: Bench, engine: Engine) -> None:
    needs(engine, "docker")
    tree = ["--configs", str(FAKE), "--tree", f"dir:{FAKE / 'tree'}"]
    argv = [sys.executable, "-m", "matrix", "shell", f"{PLACE}/fake", "--after", "build", *tree]
    lines = ["./perf version --build-options", "echo uid=$(id -u) host=$(hostname) tz=$TZ", "exit 7"]
    status, said = talk(argv, bench.environment(TERM="dumb"), lines)
    assert "build: done" in said
    assert "HAVE_AIO_SUPPORT" in said
    assert "uid=61000 host=matrix tz=UTC" in said
    assert status == 7, said
    assert bench.left(engine) == []


def test_a_step_that_the_cell_has_not_is_a_mistake(bench: Bench) -> None:
    tree = ["--configs", str(FAKE), "--tree", f"dir:{FAKE / 'tree'}"]
    done = bench.command("shell", f"{PLACE}/fake", "--after", "biuld", *tree)
    assert done.status == 2
    assert "no step 'biuld'; did you mean 'build'?" in done.err
