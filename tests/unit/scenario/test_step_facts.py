from __future__ import annotations

import pytest

from matrix.scenario.step_facts import absolute
from tests.unit.conftest import PERF, Record, command, end, file, process, step


def test_paths_are_as_inside_the_cell() -> None:
    assert absolute("source", "tools/perf/perf") == "/src/tools/perf/perf"
    assert absolute("output", ".") == "/out"
    assert absolute("generated", "fork/./a.c") == "/tmp/generated/fork/a.c"  # noqa: S108 - inside the cell


def test_a_step_has_the_files_processes_and_commands_that_its_records_tell_of() -> None:
    facts = step(
        "build",
        process(0, "make", "all"),
        process(1, parent=0),
        command("make", "make", wall_s=2.5),
        process(0, "cat"),
        command("second", "cat", traced=False),
        file(f"{PERF}/perf", "abc", mode=0o755),
        ["mention", "source", "tools/perf/.a.o.cmd", ["a.c"]],
        ["listing", ".", []],
    ).facts()
    assert [ran.label for ran in facts.commands] == ["make", "second"]
    assert [one.program for one in facts.processes] == ["make", ""]
    assert facts.processes[1].parent == 0
    assert [len(ran.processes) for ran in facts.commands] == [2, 1]
    assert (facts.files[f"{PERF}/perf"].content, facts.files[f"{PERF}/perf"].mode) == ("abc", 0o755)
    assert facts.mentions == {f"{PERF}/.a.o.cmd": ("a.c",)}
    assert facts.traced
    assert facts.failure == ""
    assert facts.cpu_s == 3.0


def test_what_cannot_be_read_fails_the_step_that_left_it() -> None:
    facts = step("build", ["unreadable", "/src/x", "denied"]).facts()
    assert facts.failure == "left what cannot be read: /src/x: denied"


def test_the_last_program_of_a_process_is_the_one_that_it_is_known_by() -> None:
    record = process(0, "/bin/sh", "-c", "exec gcc")
    record[2]["argvs"].append(["/usr/bin/gcc", "-c", "a.c"])
    [one] = step("build", record).facts().processes
    assert (one.argv, one.program) == (("/usr/bin/gcc", "-c", "a.c"), "gcc")


def test_a_program_that_was_given_another_name_is_known_by_its_own() -> None:
    record = process(0, "true", "-c", "a.c", programs=["/usr/bin/x86_64-linux-gnu-gcc-14", ""])
    record[2]["argvs"].append(["cat"])
    [one] = step("build", record).facts().processes
    assert one.argvs == (("/usr/bin/gcc", "-c", "a.c"), ("cat",))


def test_a_process_that_cannot_be_followed_fails_its_step() -> None:
    facts = step("build", command(untraced=[["sleep", "9"], ["x"]])).facts()
    assert facts.failure == "ran what cannot be followed: sleep 9; x"


def test_without_a_traced_command_no_process_is_known() -> None:
    facts = step("build", command(traced=False)).facts()
    assert not facts.traced
    assert facts.processes == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([command("make", "make", exit_status=2)], "exit status 2 of make"),
        ([command(exit_status=-9)], "exit status -9 of make"),
        ([command(timed_out=True, exit_status=-9)], "ended after 1200 s, the limit on a step"),
        ([command(exit_status=2), end(oom_kills=3)], "hit the limit on memory (processes killed: 3)"),
        ([command(exit_status=2), end(fork_failures=1)], "hit the limit on processes (forks refused: 1)"),
        ([command(exit_status=2, free_bytes=0)], "filled the disk space that a cell may use"),
        ([command(free_bytes=None)], ""),
    ],
)
def test_a_failed_step_says_why_the_limits_first(given: list[Record], why: str) -> None:
    assert step("build", *given).facts().failure == why


def test_a_step_whose_records_stop_before_the_end_failed() -> None:
    whole = step("build")
    cut = whole.model_copy(update={"records": whole.records[:-1]})
    assert cut.facts().failure == "the step's facts end early"


@pytest.mark.parametrize(("name", "limit"), [("build", "32 MiB"), ("database", "64 MiB")])
def test_a_command_whose_log_was_cut_fails_the_step_by_that_limit(name: str, limit: str) -> None:
    record = command()
    record[1]["log_dropped_bytes"] = 1
    assert step(name, record).facts().failure == f"printed more than {limit}, the limit on a command's log"


def test_a_step_that_keeps_going_does_not_fail_with_its_commands() -> None:
    assert step("self-test", command(exit_status=1)).facts().failure == ""


def test_what_went_wrong_around_a_step_is_its_failure() -> None:
    assert step("build", command(exit_status=1), error="the container ended").facts().failure == ("the container ended")


def test_a_failed_command_without_words_is_still_a_failure() -> None:
    record = command(exit_status=1)
    record[1]["argv"] = []
    assert step("build", record).facts().failure
