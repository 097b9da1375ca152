from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from matrix.agent.tracer import Tracer
from tests.unit.agent.running import command, run


def sh(script: str) -> tuple[str, str, str]:
    return "sh", "-c", script


def test_a_fork_an_exec_and_their_ends_are_told() -> None:
    said = run(command(*sh("sleep 0.01; cat /dev/null; (exit 5); true"), cwd="/usr"))
    top, *children = said.processes
    assert top["argvs"] == [["sh", "-c", "sleep 0.01; cat /dev/null; (exit 5); true"]]
    assert (top["parent"], top["cwd"], top["status"]) == (None, "/usr", 0)
    assert [child["argvs"] for child in children] == [[["sleep", "0.01"]], [["cat", "/dev/null"]], []]
    assert [child["status"] for child in children] == [0, 0, 5]
    for child in children:
        assert child["parent"] == 0
        assert top["start"] <= child["start"] <= child["end"] <= top["end"]


def test_each_program_that_one_process_runs_is_told() -> None:
    [only] = run(command(*sh("exec env A=1 true"))).processes
    assert [argv[0] for argv in only["argvs"]] == ["sh", "env", "true"]


def test_words_are_told_as_they_are() -> None:
    [only] = run(command("true", "a b", "", "ä", "x\ny", "caf\udce9")).processes
    assert only["argvs"] == [["true", "a b", "", "ä", "x\ny", "caf\udce9"]]


def test_words_that_are_empty_at_the_end_are_told_too() -> None:
    [only] = run(command("true", "a", "", "")).processes
    assert only["argvs"] == [["true", "a", "", ""]]


STOPPING = """
import os, signal
child = os.fork()
if not child:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(6)
print(os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]))
os.kill(child, signal.SIGCONT)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
"""


def test_a_stopped_child_stays_stopped_until_it_is_continued() -> None:
    said = run(command(sys.executable, "-c", STOPPING, timeout_s=20))
    assert said.commands[0]["output"].split() == ["True", "6"]


@pytest.mark.parametrize("count", [50, 300])
def test_threads_are_counted_and_are_no_processes(count: int) -> None:
    script = f"import threading as t\nfor _ in range({count}):\n    t.Thread(target=int).start()\n"
    said = run(command(sys.executable, "-c", script))
    [only] = said.processes
    assert (only["threads"], only["status"]) == (count + 1, 0)
    assert said.commands[0]["left_running"] == []


THREADS_OF_THREADS = r"""
#include <pthread.h>
static void *leaf(void *unused) { return unused; }
static void *branch(void *unused) {
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        if (!pthread_create(&thread, 0, leaf, 0)) pthread_detach(thread);
    }
    return unused;
}
int main(void) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, branch, 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    return 0;
}
"""


def test_hundreds_of_very_short_threads_started_by_threads_are_no_processes(tmp_path: Path) -> None:
    (tmp_path / "threads.c").write_text(THREADS_OF_THREADS)
    subprocess.run(["gcc", "-pthread", "threads.c", "-o", "threads"], cwd=tmp_path, check=True)
    said = run(command(str(tmp_path / "threads")))
    assert said.commands[0]["left_running"] == []
    assert [one["threads"] for one in said.processes] == [1 + 8 + 8 * 50]


def test_a_program_run_by_a_thread_is_the_processs_own() -> None:
    script = "import os, threading as t\nx = t.Thread(target=os.execvp, args=('true', ['true']))\nx.start()\nx.join()\n"
    [only] = run(command(sys.executable, "-c", script)).processes
    assert only["argvs"][-1] == ["true"]
    assert only["status"] == 0
    assert only["end"] is not None


def test_hundreds_of_very_short_forks_all_get_an_end_and_a_parent() -> None:
    said = run(command("bash", "-c", "for i in $(seq 300); do (:) & done; wait"))
    top, *children = said.processes
    assert len(children) == 301
    assert top["parent"] is None
    assert all(one["end"] is not None and one["status"] == 0 for one in said.processes)
    assert {child["parent"] for child in children} == {0}
    assert said.commands[0]["left_running"] == []


def test_forks_of_forks_have_their_own_parents() -> None:
    said = run(command("bash", "-c", "for i in $(seq 40); do ( (:) & (:) & wait ) & done; wait"))
    parents = [one["parent"] for one in said.processes]
    assert parents.count(0) == 41
    assert sorted(parents.count(index) for index in set(parents) - {0, None}) == [2] * 40


def test_cpu_time_and_memory_of_a_process_are_told() -> None:
    [only] = run(command(sys.executable, "-c", "x = bytearray(64 << 20); sum(range(10**6))")).processes
    assert only["cpu_ns"] > 0
    assert only["rss_kib"] > 64 << 10


def test_a_program_under_another_name_is_told() -> None:
    script = "exec -a make cat /dev/null; exit 1"
    said = run(command("bash", "-c", f"sh -c true; cat /dev/null; ({script})"))
    told = {
        argv[0]: program for one in said.processes for argv, program in zip(one["argvs"], one["programs"], strict=True)
    }
    assert set(told) == {"bash", "sh", "cat", "make"}
    assert Path(told.pop("make")).name == "cat"
    assert set(told.values()) == {""}


def test_a_program_that_a_symbolic_link_leads_to_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "cc").symlink_to("/usr/bin/env")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = run(command("sh", "-c", "cc -i true; ./cc true; script", cwd=str(tmp_path), env=env))
    assert [argv[0] for one in said.processes for argv in one["argvs"]] == [
        "sh",
        "cc",
        "true",
        "./cc",
        "true",
        "/bin/sh",
    ]
    assert {program for one in said.processes for program in one["programs"]} == {""}


def test_a_program_that_a_link_of_another_file_system_leads_to_is_told() -> None:
    """A cell's tree is on another file system than its image, and may hold links by any name."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == Path("/").stat().st_dev:
            pytest.skip("there is but one file system")
        (Path(folder) / "innocent").symlink_to("/usr/bin/env")
        env = {"PATH": f"{folder}:{os.environ['PATH']}"}
        said = run(command("sh", "-c", "./innocent -i true; innocent -i true", cwd=folder, env=env))
    programs = {argv[0]: one["programs"] for one in said.processes for argv in one["argvs"][:1]}
    assert programs == {"sh": [""], "./innocent": ["/usr/bin/env", ""], "innocent": ["/usr/bin/env", ""]}


def test_a_thread_that_becomes_a_program_leaves_its_id_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Tracer("")
    thread = 1 << 22
    tracer.thread_of = {thread: os.getpid()}
    monkeypatch.setattr(tracer, "message", lambda _pid: thread)
    tracer.executed(os.getpid())
    assert tracer.thread_of == {}
