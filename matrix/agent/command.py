"""One command of a step: its process, its time, its output. Standard library only, Python 3.6 syntax."""

import os
import re
import resource
import signal
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from matrix.agent import clock, kernel_files, privileges, system_calls
from matrix.agent.records import Output
from matrix.agent.tracer import Tracer

WALL = 0x40000000  # __WALL of linux/wait.h: wait for threads, too
# The time that processes which outlive their command get to end by themselves.
GRACE_S = 2.0
# The most of a command's output that a record holds.
CAPTURE_BYTES = 1 << 20

Spec = Dict[str, Any]


class Watch(threading.Thread):
    """The thread that ends a command when its time is up, and keeps the least free space (bytes) that it saw."""

    def __init__(self, session: int, timeout_s: float, roots: List[str]) -> None:
        threading.Thread.__init__(self, daemon=True)
        self.session = session
        self.deadline = time.monotonic() + timeout_s
        self.roots = roots
        self.over = threading.Event()
        self.timed_out = False
        self.free_bytes: Optional[int] = None

    def run(self) -> None:
        """Look four times a second."""
        while not self.over.wait(0.25):
            self.look()
            if time.monotonic() > self.deadline:
                self.timed_out = True
                kill_all(self.session)
                return

    def look(self) -> None:
        """Take note of the free space."""
        for root in self.roots:
            try:
                facts = os.statvfs(root)
            except OSError:
                continue
            free = facts.f_bavail * facts.f_frsize  # without the blocks that only root may use (statvfs(3))
            self.free_bytes = free if self.free_bytes is None else min(free, self.free_bytes)


class Pump(threading.Thread):
    """The thread that copies a command's output to standard error, up to `limit` bytes, and with `capture` keeps it.

    Output beyond the limit is read and dropped, as a command would stop at a full pipe.
    """

    def __init__(self, source: int, limit: int, *, capture: bool) -> None:
        threading.Thread.__init__(self, daemon=True)
        self.source = source
        self.left = limit
        self.dropped = 0
        self.capture = capture
        self.kept = b""

    def run(self) -> None:
        """Copy until the last writer has closed."""
        while True:
            block = os.read(self.source, 1 << 16)
            if not block:
                return
            if self.capture and len(self.kept) < CAPTURE_BYTES:
                self.kept += block
            passed = block[: self.left]
            self.left -= len(passed)
            self.dropped += len(block) - len(passed)
            while passed:
                passed = passed[os.write(2, passed) :]


def kill_all(session: int) -> None:
    """Kill all other processes of this container; outside of one, only the command's session."""
    try:
        # The parent of a process that an engine starts in a container is outside of its pid namespace, and so 0.
        if os.getppid() == 0:
            os.kill(-1, signal.SIGKILL)  # all but the first process and this one (kill(2))
        else:
            os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass


def prefer_as_victim() -> None:
    """Let the kernel kill this process, and not the agent, when the container's memory runs out (proc(5))."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:  # the agent may then be killed, which fails the step as well
        pass


def _become(users: Optional[Dict[str, int]]) -> None:
    """Become the commands' user; until then this child is the agent's user, whom its files in /proc belong to."""
    if users:
        privileges.use_files_as(users["agent"])
        privileges.dumpable(1)
    # A core file of a test that crashes would be a file that the build made.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prefer_as_victim()
    if users:
        privileges.become_command(users["commands"])


def start(command: Spec, users: Optional[Dict[str, int]], output: int) -> Tuple[int, int]:
    """Fork a child that waits for a byte before it becomes the command; return its pid and the pipe for that byte.

    The child waits so that it can be seized before it does anything.
    """
    gate, release = os.pipe()
    pid = os.fork()
    if pid:
        os.close(gate)
        return pid, release
    try:
        os.setsid()
        os.close(release)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _become(users)
        os.umask(command["umask"])
        os.chdir(command["cwd"])
        system_calls.confine(command["trace"])
        os.read(gate, 1)
        os.execvpe(command["argv"][0], command["argv"], command["env"])  # noqa: S606 - a shell would be one process more
    except Exception as error:  # noqa: BLE001 - a child that does not become the command must end
        os.write(2, os.fsencode("%s: %s\n" % (command["argv"][0], error)))
    os._exit(127)  # a shell's status for a command that is not found; `_exit` runs nothing of the agent's a second time


def follow(pid: int, tracer: Optional[Tracer]) -> Tuple[int, Any, float]:
    """Wait for the command and, if traced, for the processes that it left behind, at most GRACE_S.

    Return the command's wait status, its resource usage, and the monotonic time of its end.
    """
    if tracer is None:
        _, status, usage = os.wait4(pid, 0)
        return status, usage, time.monotonic()
    result: Optional[Tuple[int, Any, float]] = None
    deadline: Optional[float] = None
    while result is None or tracer.live:
        change = next_change(deadline)
        if change is None:
            break
        got, status, usage = change
        tracer.handle(got, status)
        # Another process may get the command's id once that has ended.
        if result is None and got == pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            result = status, usage, time.monotonic()
            deadline = result[2] + GRACE_S
    if result is None:
        raise ChildProcessError("the command vanished")
    return result


def next_change(deadline: Optional[float]) -> Optional[Tuple[int, int, Any]]:
    """Wait for a process to stop or end; return its pid, status and resource usage.

    None is returned where no process is left, or none stopped or ended before the deadline.
    """
    while True:
        try:
            pid, status, usage = os.wait4(-1, WALL if deadline is None else WALL | os.WNOHANG)
        except ChildProcessError:
            return None
        if pid:
            return pid, status, usage
        if deadline is not None and time.monotonic() > deadline:
            return None
        time.sleep(0.005)


def left_running(tracer: Optional[Tracer]) -> List[List[str]]:
    """Return the command lines of processes that outlived the command."""
    if tracer is None:
        return []
    return [(tracer.processes[index].argvs or [["?"]])[-1] for index in tracer.live.values()]


def untraced() -> List[List[str]]:
    """Return the command lines of processes beside this one that nobody traces, once they had time to end.

    Outside of a container they are none of the command's.
    """
    if os.getppid() != 0:
        return []
    deadline = time.monotonic() + GRACE_S
    found: List[List[str]] = []
    while True:
        # A process that ended between two looks may have a child that the first look was too early for.
        others = _untraced_now()
        if not others:
            return []
        found = [_words(name) for name, status in others if _lives(status)] or found
        if time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def await_killed() -> None:
    """Wait for the end of killed processes that are not this one's children, at most GRACE_S."""
    deadline = time.monotonic() + GRACE_S
    while os.getppid() == 0 and _untraced_now() and time.monotonic() < deadline:
        time.sleep(0.005)


def _untraced_now() -> List[Tuple[str, bytes]]:
    """Return the other processes without a tracer: id and content of /proc/PID/status, empty for one that ended."""
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
    statuses = [(name, kernel_files.read("/proc/%s/status" % name)) for name in others]
    return [(name, status) for name, status in statuses if not _is_traced(status)]


def _is_traced(status: bytes) -> bool:
    return bool(re.search(rb"^TracerPid:\s*[1-9]", status, re.M))


def _lives(status: bytes) -> bool:
    return bool(re.search(rb"^State:\s*[^ZX\s]", status, re.M))


def _words(pid: str) -> List[str]:
    text = kernel_files.read("/proc/%s/cmdline" % pid).decode("utf-8", "surrogateescape")
    return text.rstrip("\0").split("\0")


def reap(tracer: Optional[Tracer]) -> None:
    """Wait for all processes that were killed; each traced one stops once more at its exit."""
    while True:
        try:
            pid, status, _ = os.wait4(-1, WALL)
        except ChildProcessError:
            return
        if tracer is not None:
            tracer.handle(pid, status)


def run(command: Spec, spec: Spec, output: Output) -> int:
    """Run one command, write its records, and return its exit status (negative: the signal)."""
    # Start the child, seize it while it waits, and only then let it become the command.
    reading, writing = os.pipe()
    began = clock.now()
    privileges.dumpable(1)
    pid, release = start(command, spec["users"], writing)
    os.close(writing)  # or the pump would never see the end of the pipe
    tracer = Tracer(command["env"].get("PATH", "")) if command["trace"] else None
    if tracer is not None and not tracer.seize(pid):
        tracer = None
    privileges.dumpable(0)
    pump = Pump(reading, command["log_bytes"], capture=command["capture"])
    watch = Watch(pid, command["timeout_s"], sorted(spec["roots"].values()))
    pump.start()
    watch.start()

    # The command runs.
    released = time.monotonic()
    os.write(release, b"g")
    os.close(release)
    status, usage, ended = follow(pid, tracer)

    # End whatever is left of it, and note the facts.
    watch.over.set()
    watch.join()
    watch.look()
    remaining, strangers = left_running(tracer), untraced()
    kill_all(pid)
    reap(tracer)
    await_killed()
    pump.join(GRACE_S)  # not for ever: outside of a container a process may have escaped with the pipe
    exit_status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    for index, process in enumerate(tracer.processes if tracer else []):
        output.emit("process", index, vars(process))
    facts = {
        "label": command["label"],
        "argv": command["argv"],
        "exit_status": exit_status,
        "began": began,
        "wall_s": round(ended - released, 4),
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "rss_bytes": usage.ru_maxrss * 1024,  # Linux has it in KiB (getrusage(2))
        "traced": tracer is not None,
        "timed_out": watch.timed_out,
        "free_bytes": watch.free_bytes,
        "left_running": remaining,
        "untraced": strangers,
        "log_dropped_bytes": pump.dropped,
        "output": pump.kept[:CAPTURE_BYTES].decode("utf-8", "replace") if command["capture"] else None,
    }
    output.emit("command", facts)
    return exit_status
