from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from matrix.agent import command as agent_command
from matrix.agent.tracer import Tracer
from tests.unit.agents import AGENT, ARGV, command, run

SPEC = json.dumps(
    {
        "users": None,
        "folders": [],
        "touch": [],
        "roots": {"output": "/etc"},
        "merged": "",
        "keep_going": False,
        "commands": [],
    }
)


def sh(script: str) -> tuple[str, str, str]:
    return "sh", "-c", script


@pytest.mark.parametrize("module", sorted(AGENT.glob("*.py")), ids=lambda path: path.name)
def test_its_syntax_is_that_of_python_3_6(module: Path) -> None:
    ast.parse(module.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("module", sorted(AGENT.glob("*.py")), ids=lambda path: path.name)
def test_it_needs_the_standard_library_and_itself_alone(module: Path) -> None:
    nodes = list(ast.walk(ast.parse(module.read_text())))
    ours = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) if str(node.module)[:6] == "matrix"}
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {name for node in imports for name in _roots(node)} <= {*sys.stdlib_module_names, "matrix"}
    assert all(name.startswith("matrix.agent") for name in ours)


def _roots(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [str(node.module)] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.partition(".")[0] for name in names}


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


def test_a_signal_is_told_as_a_negative_status() -> None:
    said = run(command(*sh("kill -9 $$")))
    assert said.commands[0]["exit_status"] == -signal.SIGKILL
    assert said.processes[0]["status"] == -signal.SIGKILL


def test_a_signal_that_a_command_handles_reaches_it() -> None:
    said = run(command(*sh("trap 'echo caught' USR1; kill -USR1 $$; exit 4")))
    assert (said.commands[0]["output"], said.commands[0]["exit_status"]) == ("caught\n", 4)


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


@pytest.mark.parametrize("trace", [True, False])
def test_a_program_that_is_not_there_is_status_127_with_its_name(*, trace: bool) -> None:
    [facts] = run(command("/no/such/program", trace=trace)).commands
    assert facts["exit_status"] == 127
    assert facts["output"].startswith("/no/such/program: ")


def test_a_program_whose_name_is_no_utf_8_is_status_127_too() -> None:
    said = run(command("/no/such/caf\udce9", trace=False))
    assert [facts["exit_status"] for facts in said.commands] == [127]
    assert "Traceback" not in said.commands[0]["output"]


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


def test_the_first_command_that_fails_ends_the_step() -> None:
    said = run(command("true"), command("false"), command("true"))
    assert [facts["exit_status"] for facts in said.commands] == [0, 1]
    assert said.records[-1][0] == "end"


def test_a_step_that_keeps_going_runs_them_all() -> None:
    said = run(command("false"), command("true"), keep_going=True)
    assert [facts["exit_status"] for facts in said.commands] == [1, 0]


def test_processes_come_before_the_command_that_they_belong_to() -> None:
    said = run(command(*sh("/bin/true; exit 0")), command("true"))
    assert [record[0] for record in said.records] == ["process", "process", "command", "process", "command", "end"]


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork", "serial"])
def test_a_start_method_is_forced_on_every_pool(tmp_path: Path, method: str) -> None:
    (tmp_path / "sitecustomize.py").write_text((AGENT / "start_method.py").read_text())
    script = tmp_path / "pool.py"
    script.write_text(
        "import concurrent.futures as c, multiprocessing as m, os\n"
        "def prepare(value): os.environ['SET'] = value\n"
        "def work(n): return (os.getpid(), os.environ['SET'])\n"
        "if __name__ == '__main__':\n"
        "    with c.ProcessPoolExecutor(initializer=prepare, initargs=('x',), max_workers=2) as pool:\n"
        "        [(pid, value)] = list(pool.map(work, [1]))\n"
        "    print('serial' if pid == os.getpid() else m.get_start_method(), value)\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PERF_MATRIX_START_METHOD": method}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout == f"{method} x\n"


def test_held_it_stays_until_it_is_ended() -> None:
    with subprocess.Popen([*ARGV, "hold"]) as process:
        while b"hold" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            pass
        assert process.poll() is None
        process.terminate()
        assert process.wait() == -signal.SIGTERM


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


def test_a_process_that_gets_the_commands_id_later_has_no_say_in_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    pid, tracer = 1 << 22, Tracer("")
    tracer.known(1)
    changes = iter([(pid, 2 << 8, "usage"), (pid, 0, "other"), None])
    monkeypatch.setattr(agent_command, "next_change", lambda _deadline: next(changes))
    status, usage, _ = agent_command.follow(pid, tracer)
    assert (status, usage) == (2 << 8, "usage")


UNTRACED = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
if libc.syscall(number, 0x00800000 | 17, None, None, None, None) == 0:
    os._exit(0)
print(ctypes.get_errno() == errno.EPERM)
"""


@pytest.mark.parametrize("trace", [True, False])
def test_a_clone_that_would_not_be_traced_is_refused_where_there_is_tracing(*, trace: bool) -> None:
    said = run(command(sys.executable, "-c", UNTRACED, trace=trace))
    assert said.commands[0]["output"] == f"{trace}\n"


def test_facts_beyond_all_bounds_end_the_step(tmp_path: Path) -> None:
    program = (
        f"import matrix.agent.records as r; r.FACTS_BYTES = 2000; from matrix.agent import step; step.main([{SPEC!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"the step's facts exceed 2000 bytes\n")
    assert 0 < len(done.stdout) <= 2000
    assert done.stdout.endswith(b"}]\n")


def test_a_step_may_be_told_in_parts() -> None:
    text = json.dumps({**json.loads(SPEC), "roots": {}})
    done = subprocess.run([*ARGV, "step", text[:7], text[7:]], capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])[0] == "end"


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
