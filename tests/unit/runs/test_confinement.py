"""A task in a child process: what it writes, the limits that end it, and the other ways in which it ends."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import pytest

from matrix.errors import InfrastructureError, UsageError
from matrix.runs import confinement
from matrix.runs.confinement import Bounds, Child, ChildDiedError, Outcome

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Bounds(memory_bytes=256 << 20, cpu_s=1, output_bytes=4 << 10)


def outcome(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: bytes = b"") -> Outcome:
    """Return the outcome of a task with this body."""
    (tmp_path / "confined_task.py").write_text(f"def main(request):\n    {body}\n    yield b''\n")
    monkeypatch.syspath_prepend(tmp_path)
    return confinement.run("confined_task", request, SMALL)


def test_a_task_is_given_its_request_and_what_it_yields_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = outcome("yield request; yield request", tmp_path, monkeypatch, b"\0word")
    assert done == Outcome(b"\0word\0word")


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        ("yield b'a'; x = bytearray(1 << 30)", "memory", "256 MiB of memory"),
        (
            "yield b'a'; import os; os.write(2, b'memory allocation of 9 bytes failed'); os.abort()",
            "memory",
            "256 MiB of memory",
        ),
        (
            "yield b'a'; raise type('PanicException', (BaseException,), {})('PyObject pointer is null')",
            "memory",
            "256 MiB of memory",
        ),
        ("yield b'a'; any(iter(int, 1))", "cpu-time", "1 s of CPU time"),
        ("yield b'a'; yield bytes(8192)", "result-size", "a result of 4 KiB"),
        ("yield b'a'; f = lambda: f(); f()", "nesting", f"{sys.getrecursionlimit()} nested calls"),
    ],
)
def test_a_limit_ends_a_task_and_what_it_wrote_before_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, name: str, value: str
) -> None:
    monkeypatch.setattr(confinement, "WALL_FACTOR", 300)  # the machine may be busy
    done = outcome(body, tmp_path, monkeypatch)
    assert done.exceeded is not None
    assert (done.exceeded.name, done.exceeded.value) == (name, value)
    assert done.output.startswith(b"a")
    assert len(done.output) <= SMALL.output_bytes


def test_a_wrong_request_is_refused_in_the_tasks_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from matrix.errors import UsageError as Wrong; raise Wrong('there is no x', 'Make one.')"
    with pytest.raises(UsageError, match=r"there is no x\n  Make one\."):
        outcome(body, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("raise KeyError('x')", "confined_task failed: KeyError: 'x'"),
        ("open('/nowhere')", "confined_task failed: FileNotFoundError: .*"),
        ("import sys; sys.exit('no')", "confined_task failed: SystemExit: no"),
        ("import os; os.kill(os.getpid(), 15)", "confined_task was killed by signal 15"),
        ("import os; os.abort()", "confined_task was killed by signal 6"),
    ],
)
def test_a_task_that_dies_otherwise_is_an_error_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, how: str
) -> None:
    with pytest.raises(ChildDiedError, match=how) as died:
        outcome(body, tmp_path, monkeypatch)
    [note] = died.value.__notes__
    assert "signal" in how or note.startswith("Traceback")


def test_a_task_that_sleeps_for_ever_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "WALL_FACTOR", 0.05)
    with pytest.raises(InfrastructureError, match="did not answer within"):
        outcome("import time; time.sleep(100)", tmp_path, monkeypatch)


def test_a_task_imports_nothing_from_the_folder_that_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("json", "resource", "pydantic", "confined_other"):
        (hostile / f"{name}.py").write_text("raise SystemExit('taken from the folder')\n")
    monkeypatch.chdir(hostile)
    monkeypatch.setenv("PYTHONPATH", str(hostile))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    body = "import importlib.util as u, os; yield os.getcwd().encode() + str(u.find_spec('confined_other')).encode()"
    assert outcome(body, tmp_path, monkeypatch).output == b"/None"


def test_a_child_ignores_an_interrupt_and_is_what_the_kernel_kills_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "import os; os.kill(os.getpid(), 2); yield open('/proc/self/oom_score_adj','rb').read()"
    assert outcome(body, tmp_path, monkeypatch).output == b"500\n"


def test_a_child_whose_answer_was_broken_off_answers_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "confined_task.py").write_text("def main(request):\n    yield request\n    yield request\n")
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.closing(Child("confined_task", SMALL)) as child:
        assert list(child.ask(b"1")) == [b"1", b"1"]
        assert not child.has_ended
        assert next(child.ask(b"2")) == b"2"
        assert child.has_ended
        with pytest.raises(ChildDiedError, match="before its last answer was read to the end"):
            child.ask(b"3")
    assert child.has_ended


def test_a_child_that_the_kernel_killed_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InfrastructureError, match=r"was killed, as the kernel does where memory is short\n.*--resume RUN"
    ):
        outcome("import os; os.kill(os.getpid(), 9)", tmp_path, monkeypatch)


def test_a_child_that_ends_within_a_block_ends_by_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The length of a message of 64 bytes, as multiprocessing.connection writes it, and less than that.
    body = "import os, struct, signal; os.write(CONNECTION, struct.pack('!i', 64) + b'cut'); os.kill(0, signal.SIGXCPU)"
    body = body.replace("CONNECTION", "int(__import__('sys').argv[2])").replace("os.kill(0,", "os.kill(os.getpid(),")
    done = outcome(body, tmp_path, monkeypatch)
    assert done.exceeded is not None
    assert done.exceeded.name == "cpu-time"


def test_a_child_that_reads_no_request_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "confined_task.py").write_text("import time\ntime.sleep(100)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(confinement, "WALL_FACTOR", 0.5)
    with pytest.raises(InfrastructureError, match="did not answer within"):
        confinement.run("confined_task", bytes(16 << 20), SMALL)


def test_a_long_refusal_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from matrix.errors import UsageError as Wrong; raise Wrong('x' * 200_000, 'Make one.')"
    with pytest.raises(UsageError, match=r"^x{4000}\n  Make one\.$"):
        outcome(body, tmp_path, monkeypatch)


def test_a_child_that_closes_its_connection_and_lives_on_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "END_S", 0.2)
    body = "import os, sys, time; os.close(int(sys.argv[2])); time.sleep(100)"
    with pytest.raises(InfrastructureError, match="was killed"):
        outcome(body, tmp_path, monkeypatch)
