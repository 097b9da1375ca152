from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from matrix.agent import command as agent_command
from matrix.agent.tracer import Tracer
from tests.unit.agent.running import command, run


def sh(script: str) -> tuple[str, str, str]:
    return "sh", "-c", script


def test_a_command_is_told_with_its_words_status_and_times() -> None:
    said = run(command(*sh("exit 3"), label="mine"))
    [facts] = said.commands
    assert (facts["label"], facts["argv"], facts["exit_status"]) == ("mine", ["sh", "-c", "exit 3"], 3)
    assert facts["traced"]
    assert not facts["timed_out"]
    assert facts["wall_s"] >= 0
    assert facts["rss_bytes"] > 0
    assert facts["left_running"] == []
    assert said.records[-1][0] == "end"
    assert said.status == 0


def test_a_command_without_tracing_has_no_processes() -> None:
    said = run(command("true", trace=False))
    assert said.processes == []
    assert said.commands[0]["traced"] is False


def test_a_signal_is_told_as_a_negative_status() -> None:
    said = run(command(*sh("kill -9 $$")))
    assert said.commands[0]["exit_status"] == -signal.SIGKILL
    assert said.processes[0]["status"] == -signal.SIGKILL


def test_a_signal_that_a_command_handles_reaches_it() -> None:
    said = run(command(*sh("trap 'echo caught' USR1; kill -USR1 $$; exit 4")))
    assert (said.commands[0]["output"], said.commands[0]["exit_status"]) == ("caught\n", 4)


@pytest.mark.parametrize("trace", [True, False])
def test_a_program_that_is_not_there_is_status_127_with_its_name(*, trace: bool) -> None:
    [facts] = run(command("/no/such/program", trace=trace)).commands
    assert facts["exit_status"] == 127
    assert facts["output"].startswith("/no/such/program: ")


def test_a_program_whose_name_is_no_utf_8_is_status_127_too() -> None:
    said = run(command("/no/such/caf\udce9", trace=False))
    assert [facts["exit_status"] for facts in said.commands] == [127]
    assert "Traceback" not in said.commands[0]["output"]


def test_output_is_kept_and_passed_on_byte_for_byte(tmp_path: Path) -> None:
    data = bytes(range(256)) * 3
    (tmp_path / "data").write_bytes(data)
    said = run(command("cat", str(tmp_path / "data")), command(*sh("echo out; echo err >&2")))
    assert said.log == data + b"out\nerr\n"
    assert said.commands[0]["output"] == data.decode("utf-8", "replace")
    assert said.commands[1]["output"] == "out\nerr\n"


def test_output_is_not_kept_where_it_is_not_asked_for() -> None:
    said = run(command("echo", "x", capture=False))
    assert (said.commands[0]["output"], said.log) == (None, b"x\n")


def test_a_log_ends_at_its_limit_and_says_how_much_was_dropped() -> None:
    said = run(command(*sh("head -c 300000 /dev/zero"), log_bytes=1000))
    assert len(said.log) == 1000
    assert said.commands[0]["log_dropped_bytes"] == 299_000
    assert len(said.commands[0]["output"]) == 300_000


def test_what_is_kept_of_the_output_has_an_end() -> None:
    said = run(command(*sh("head -c 3000000 /dev/zero")))
    assert len(said.commands[0]["output"]) == 1 << 20


def test_a_command_has_the_environment_folder_mask_and_input_that_it_is_given(tmp_path: Path) -> None:
    script = "pwd; umask; echo $A; env | wc -l; cat"
    said = run(command(*sh(script), cwd=str(tmp_path), umask=0o027, env={"PATH": os.environ["PATH"], "A": "b"}))
    folder, mask, value, count = said.commands[0]["output"].split()
    assert (folder, mask, value) == (str(tmp_path), "0027", "b")
    assert int(count) <= 4


@pytest.mark.parametrize("trace", [True, False])
def test_a_command_past_its_time_is_ended_with_all_that_it_started(*, trace: bool) -> None:
    said = run(command(*sh("sleep 1000 & sleep 1000"), timeout_s=0.1, trace=trace))
    [facts] = said.commands
    assert facts["timed_out"]
    assert facts["exit_status"] == -signal.SIGKILL
    assert all(one["end"] is not None for one in said.processes)


def has_ended(pid: str) -> bool:
    """Return whether a process has gone, or but waits for a parent to take note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except FileNotFoundError:
        return True


def test_a_process_that_outlives_the_command_is_told_and_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    said = run(command(*sh(f"sleep 1000 & echo $! > {pid}")))
    assert said.commands[0]["left_running"] == [["sleep", "1000"]]
    assert said.commands[0]["exit_status"] == 0
    assert has_ended(pid.read_text().strip())


def test_a_process_that_ends_soon_after_the_command_is_not_told_as_left() -> None:
    assert run(command(*sh("sleep 0.2 &"))).commands[0]["left_running"] == []


def test_a_process_that_gets_the_commands_id_later_has_no_say_in_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    pid, tracer = 1 << 22, Tracer("")
    tracer.known(1)
    changes = iter([(pid, 2 << 8, "usage"), (pid, 0, "other"), None])
    monkeypatch.setattr(agent_command, "next_change", lambda _deadline: next(changes))
    status, usage, _ = agent_command.follow(pid, tracer)
    assert (status, usage) == (2 << 8, "usage")
