"""Programs of the host: their output, their time, and what is told of them."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from matrix.trees import programs


def run(text: str, *, time_s: float = 60, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return programs.run(["sh", "-c", text], most_bytes=1000, time_s=time_s, stdin=stdin)


def test_the_status_and_both_streams_are_returned() -> None:
    done = run("cat; echo two >&2; exit 3", stdin=b"one")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"one", b"two\n")


def test_an_input_that_is_not_read_stops_nobody() -> None:
    assert run("exit 0", stdin=bytes(1 << 20)).returncode == 0


def test_a_variable_is_given() -> None:
    argv = [sys.executable, "-c", "import os; print(os.environ['A'])"]
    assert programs.run(argv, most_bytes=10, time_s=60, env={"A": "b"}).stdout == b"b\n"


def test_a_program_without_an_end_of_its_output_is_killed() -> None:
    began = time.monotonic()
    with pytest.raises(programs.TooMuchOutputError):
        run("exec yes")
    assert time.monotonic() - began < 30


def test_an_output_of_the_greatest_length_is_none_too_many() -> None:
    assert len(run("printf %1000s").stdout) == 1000


def test_the_end_of_a_long_standard_error_is_kept() -> None:
    done = run("head -c 200000 /dev/zero >&2; printf end >&2")
    assert len(done.stderr) == programs.ERROR_BYTES
    assert done.stderr.endswith(b"\0end")


@pytest.mark.parametrize("text", ["sleep 100", "exec >&- 2>&-; exec sleep 100"])
def test_a_program_that_does_not_end_is_killed(text: str) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(f"exec {text}" if text.startswith("sleep") else text, time_s=0.1)
