"""The agent, which runs inside a cell: it does one step and writes the facts as JSON lines.

Standard library only, Python 3.6 syntax: this file is mounted into containers of any age.

`python3 agent.py SPEC` takes a JSON object (see `Step` below for its keys) and writes to standard output
one JSON array a line, its first item naming the record: `process`, `command`, `file`, `listing`,
`mention`, `end`. The commands' own output goes to standard error.

Imported by Python as `sitecustomize` (its folder is on PYTHONPATH then), it forces the multiprocessing
start method that PERF_MATRIX_START_METHOD names.
"""

import ctypes
import hashlib
import json
import os
import re
import signal
import stat
import sys
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple  # noqa: F401 - Set is named in comments

SEIZE, CONT, GETEVENTMSG, LISTEN = 0x4206, 7, 0x4201, 0x4208
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP = 1, 2, 3, 4, 6, 128
# PTRACE_O_TRACE{FORK,VFORK,CLONE,EXEC,EXIT} and PTRACE_O_EXITKILL, from linux/ptrace.h.
OPTIONS = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x100000
WALL = 0x40000000
STOP_SIGNALS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
PR_SET_DUMPABLE = 4
GRACE_S = 2.0
CAPTURE_BYTES = 1 << 20
ARGV_BYTES = 1 << 15

Spec = Dict[str, Any]


def emit(*record: Any) -> None:
    """Write one record."""
    sys.stdout.write(json.dumps(record) + "\n")


def read_bytes(path: str) -> bytes:
    """Return the file's content, or nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def of_kernel(path: str, limit: int = 4096) -> bytes:
    """Return what one read of a kernel's file gives, or nothing; what is traced waits for it, so no more is done."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def link(path: str) -> str:
    """Return what a symbolic link points to, or nothing where it cannot be read."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


class TracedProcess:
    """The facts of one process, from its fork to its exit."""

    def __init__(self, start: float) -> None:
        self.parent = None  # type: Optional[int]
        self.start = start
        self.end = None  # type: Optional[float]
        self.argvs = []  # type: List[List[str]]
        self.stdouts = []  # type: List[str]
        self.cwd = ""
        self.cpu_ns = 0
        self.rss_kib = 0
        self.status = None  # type: Optional[int]
        self.threads = 1


class Tracer:
    """Follows a process and all its descendants with ptrace stops at fork, exec and exit only."""

    def __init__(self) -> None:
        self.processes = []  # type: List[TracedProcess]
        self.live = {}  # type: Dict[int, int]
        self.thread_of = {}  # type: Dict[int, int]
        self.ended = {}  # type: Dict[int, int]
        self.announced = set()  # type: Set[int]
        self.ended_threads = set()  # type: Set[int]
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def ptrace(self, request: int, pid: int, data: int = 0) -> bool:
        """Return whether the request succeeded; a process killed meanwhile is no error."""
        return bool(self.libc.ptrace(request, pid, None, data) != -1)

    def seize(self, pid: int) -> bool:
        """Begin to follow `pid`; false where the kernel or the engine forbids ptrace."""
        if not self.ptrace(SEIZE, pid, OPTIONS):
            return False
        self.known(pid)
        return True

    def known(self, pid: int) -> int:
        """Return the index of the process with this pid, made now if it is new."""
        if pid not in self.live:
            self.live[pid] = len(self.processes)
            self.processes.append(TracedProcess(time.time()))
        return self.live[pid]

    def message(self, pid: int) -> int:
        """Return the event's message: a new pid, or an exit status."""
        value = ctypes.c_ulong()
        if not self.ptrace(GETEVENTMSG, pid, ctypes.addressof(value)):
            return 0
        return value.value

    def handle(self, pid: int, status: int) -> None:
        """Take note of one stop or end, and let the process go on."""
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            self.gone(pid, status)
            return
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == EVENT_STOP and number in STOP_SIGNALS:
            self.ptrace(LISTEN, pid)
            return
        self.note(pid, event)
        is_signal = event not in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP)
        self.ptrace(CONT, pid, number if is_signal else 0)

    def note(self, pid: int, event: int) -> None:
        """Take note of what a process stopped for."""
        if event in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE):
            self.born(pid, self.message(pid), event)
        elif event == EVENT_EXEC:
            self.executed(pid)
        elif event == EVENT_EXIT:
            self.exiting(pid)
        elif event == EVENT_STOP and not self.is_thread(pid):
            self.known(pid)

    def is_thread(self, pid: int) -> bool:
        """Return whether `pid` is a thread of another process, and count it there the first time."""
        if pid in self.ended_threads:
            self.ended_threads.discard(pid)
            return True
        if pid in self.live or pid in self.thread_of:
            return pid in self.thread_of
        match = re.search(rb"^Tgid:\s*(\d+)", of_kernel("/proc/%d/status" % pid), re.M)
        leader = int(match.group(1)) if match else pid
        if leader == pid:
            return False
        self.thread_of[pid] = leader
        self.processes[self.known(leader)].threads += 1
        return True

    def born(self, pid: int, child: int, event: int) -> None:
        """Note a child or a thread of `pid`; the child's first stop, even its end, may have come before this."""
        if event == EVENT_CLONE and child and self.is_thread(child):
            if child in self.thread_of:
                self.announced.add(child)
        elif child:
            parent = self.known(self.thread_of.get(pid, pid))
            index = self.ended.pop(child) if child in self.ended else self.known(child)
            self.processes[index].parent = parent

    def executed(self, pid: int) -> None:
        """Note a new program; an exec by a thread makes that thread the leader."""
        self.thread_of.pop(pid, None)
        process = self.processes[self.known(pid)]
        raw = of_kernel("/proc/%d/cmdline" % pid, ARGV_BYTES)
        text = raw.decode("utf-8", "surrogateescape")
        argv = (text[:-1] if text.endswith("\0") else text).split("\0")
        process.argvs.append(argv)
        process.stdouts.append(link("/proc/%d/fd/1" % pid))
        process.cwd = link("/proc/%d/cwd" % pid)

    def exiting(self, pid: int) -> None:
        """Add up the CPU time of a thread or process while /proc still shows it."""
        leader = self.thread_of.get(pid, pid)
        process = self.processes[self.known(leader)]
        fields = of_kernel("/proc/%d/schedstat" % pid).split()
        if fields:
            process.cpu_ns += int(fields[0])
        if leader == pid:
            match = re.search(rb"^VmHWM:\s*(\d+)", of_kernel("/proc/%d/status" % pid), re.M)
            if match:
                process.rss_kib = int(match.group(1))

    def gone(self, pid: int, status: int) -> None:
        """Note an end."""
        if self.thread_of.pop(pid, None) is not None:
            if pid not in self.announced:
                self.ended_threads.add(pid)
            self.announced.discard(pid)
        elif pid in self.live:
            index = self.live.pop(pid)
            process = self.processes[index]
            if process.parent is None:
                self.ended[pid] = index
            process.end = time.time()
            process.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


class Watch(threading.Thread):
    """Ends the command when its time is up, and keeps the least free space seen."""

    def __init__(self, session: int, timeout_s: float, roots: List[str]) -> None:
        threading.Thread.__init__(self, daemon=True)
        self.session = session
        self.deadline = time.monotonic() + timeout_s
        self.roots = roots
        self.over = threading.Event()
        self.timed_out = False
        self.free_bytes = None  # type: Optional[int]

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
            free = facts.f_bavail * facts.f_frsize
            self.free_bytes = free if self.free_bytes is None else min(free, self.free_bytes)


class Pump(threading.Thread):
    """Copies a command's output to standard error up to a limit, and keeps its beginning where asked."""

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
    """Kill all that runs beside this process in its container; outside of one, only the command's session.

    A process that an engine put into a container has no parent there.
    """
    try:
        if os.getppid() == 0:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass


def dumpable(yes: int) -> None:
    """Let others of this user look into this process, or not; a child that has yet to exec is as its parent was.

    While a command runs it must not be able to: the facts are written from here. To be traced, the child must.
    """
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, yes, 0, 0, 0)


def prefer_as_victim() -> None:
    """Let the kernel kill this process before its container's others when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass


def start(command: Spec, output: int) -> Tuple[int, int]:
    """Fork a child that waits for a byte before it becomes the command; return its pid and the gate."""
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
        prefer_as_victim()
        os.umask(command["umask"])
        os.chdir(command["cwd"])
        os.read(gate, 1)
        os.execvpe(command["argv"][0], command["argv"], command["env"])  # noqa: S606 - a shell would be one process more
    except Exception as error:  # noqa: BLE001 - a child that does not become the command must end
        os.write(2, os.fsencode("%s: %s\n" % (command["argv"][0], error)))
    os._exit(127)


def follow(pid: int, tracer: Optional[Tracer]) -> Tuple[int, Any, float]:
    """Wait for the command and, traced, for what it left behind; return its wait status, rusage and end."""
    if tracer is None:
        _, status, usage = os.wait4(pid, 0)
        return status, usage, time.monotonic()
    result = None  # type: Optional[Tuple[int, Any, float]]
    deadline = None  # type: Optional[float]
    while result is None or tracer.live:
        change = next_change(deadline)
        if change is None:
            break
        got, status, usage = change
        tracer.handle(got, status)
        if got == pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
            result = status, usage, time.monotonic()
            deadline = result[2] + GRACE_S
    if result is None:
        raise ChildProcessError("the command vanished")
    return result


def next_change(deadline: Optional[float]) -> Optional[Tuple[int, int, Any]]:
    """Wait for a process to stop or end; return nothing where none is left, or none did until the deadline."""
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


def reap(tracer: Optional[Tracer]) -> None:
    """Wait for all that was killed; what is traced stops once more at its exit."""
    while True:
        try:
            pid, status, _ = os.wait4(-1, WALL)
        except ChildProcessError:
            return
        if tracer is not None:
            tracer.handle(pid, status)


def run(command: Spec, roots: List[str]) -> int:
    """Run one command, write its records, and return its exit status (negative: the signal)."""
    reading, writing = os.pipe()
    began = time.time()
    dumpable(1)
    pid, release = start(command, writing)
    os.close(writing)
    tracer = Tracer() if command["trace"] else None
    if tracer is not None and not tracer.seize(pid):
        tracer = None
    dumpable(0)
    pump = Pump(reading, command["log_bytes"], capture=command["capture"])
    watch = Watch(pid, command["timeout_s"], roots)
    pump.start()
    watch.start()
    clock = time.monotonic()
    os.write(release, b"g")
    os.close(release)
    status, usage, ended = follow(pid, tracer)
    watch.over.set()
    watch.join()
    watch.look()
    remaining = left_running(tracer)
    kill_all(pid)
    reap(tracer)
    pump.join(GRACE_S)
    exit_status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    for index, process in enumerate(tracer.processes if tracer else []):
        emit("process", index, vars(process))
    facts = {
        "label": command["label"],
        "argv": command["argv"],
        "exit_status": exit_status,
        "began": began,
        "wall_s": round(ended - clock, 4),
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "rss_bytes": usage.ru_maxrss * 1024,
        "traced": tracer is not None,
        "timed_out": watch.timed_out,
        "free_bytes": watch.free_bytes,
        "left_running": remaining,
        "log_dropped_bytes": pump.dropped,
        "output": pump.kept[:CAPTURE_BYTES].decode("utf-8", "replace") if command["capture"] else None,
    }
    emit("command", facts)
    return exit_status


def sha256(path: str) -> str:
    """Return the content's digest in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def file_facts(path: str) -> Dict[str, Any]:
    """Return type, mode, size, mtime, inode and content of one directory entry."""
    entry = os.lstat(path)
    facts = {
        "mode": stat.S_IMODE(entry.st_mode),
        "size": entry.st_size,
        "mtime_ns": entry.st_mtime_ns,
        "ino": entry.st_ino,
        "content": "",
    }  # type: Dict[str, Any]
    if stat.S_ISDIR(entry.st_mode):
        facts["type"] = "directory"
    elif stat.S_ISREG(entry.st_mode):
        facts["type"] = "file"
        try:
            facts["content"] = sha256(path)
        except OSError:
            facts["content"] = "unreadable"
    elif stat.S_ISLNK(entry.st_mode):
        facts["type"] = "symlink"
        facts["content"] = os.readlink(path)
    elif stat.S_ISCHR(entry.st_mode) and entry.st_rdev == 0:
        facts["type"] = "whiteout"
    else:
        facts["type"] = "special"
    return facts


def scan(name: str, root: str, merged: str) -> None:
    """Write a record for all below `root`; for its folders, what the merged view of them holds."""
    for folder, folders, files in os.walk(root, onerror=lambda error: emit("unreadable", root, str(error))):
        folders.sort()
        relative = os.path.relpath(folder, root)
        if merged:
            list_merged(merged, relative)
        for entry in sorted(folders + files):
            scan_entry(name, os.path.normpath(os.path.join(relative, entry)), os.path.join(folder, entry))


def list_merged(merged: str, relative: str) -> None:
    """Write the record of the names in a folder of the merged view."""
    view = os.path.normpath(os.path.join(merged, relative))
    try:
        emit("listing", relative, sorted(os.listdir(view)))
    except OSError as error:
        emit("unreadable", view, str(error))


def scan_entry(name: str, relative: str, path: str) -> None:
    """Write the record of one directory entry."""
    try:
        emit("file", name, relative, file_facts(path))
    except OSError as error:
        emit("unreadable", path, str(error))


def mentions(roots: Dict[str, str], basename: str) -> None:
    """For each `.cmd` file that names a file of this basename, write the words that do."""
    word = re.compile(rb"[^\s\\():=$]*/?" + re.escape(basename.encode()) + rb"(?![\w.])")
    for name, root in sorted(roots.items()):
        for path in command_files(root):
            words = sorted({found.decode("utf-8", "replace") for found in word.findall(read_bytes(path))})
            if words:
                emit("mention", name, os.path.relpath(path, root), words)


def command_files(root: str) -> Iterator[str]:
    """Yield the paths of kbuild's `.NAME.cmd` files below a folder."""
    for folder, _, files in os.walk(root):
        for file in sorted(files):
            if file.endswith(".cmd"):
                yield os.path.join(folder, file)


def counter(paths: List[str], key: bytes) -> int:
    """Return a cgroup's counter from the first of `paths` that has it (v2, v1)."""
    for path in paths:
        match = re.search(rb"^" + key + rb" (\d+)", read_bytes(path), re.M)
        if match:
            return int(match.group(1))
    return 0


def limits_hit() -> Dict[str, int]:
    """Return how often the container's limits on memory and processes were hit so far."""
    base = "/sys/fs/cgroup/"
    return {
        "oom_kills": counter([base + "memory.events", base + "memory/memory.oom_control"], b"oom_kill"),
        "fork_failures": counter([base + "pids.events", base + "pids/pids.events"], b"max"),
    }


def main(spec: Spec) -> None:
    """Do one step: touch, note mentions, run the commands until one fails, scan."""
    for folder in spec["folders"]:
        os.makedirs(folder, exist_ok=True)
    for path in spec["touch"]:
        os.utime(path, None)
        mentions(spec["roots"], os.path.basename(path))
    before = limits_hit()
    for command in spec["commands"]:
        status = run(command, sorted(spec["roots"].values()))
        if status and not spec["keep_going"]:
            break
    hit = {key: value - before[key] for key, value in limits_hit().items()}
    for name, root in sorted(spec["roots"].items()):
        scan(name, root, spec["merged"] if name == "source" else "")
    emit("end", hit)
    sys.stdout.flush()


def force_start_method(method: str) -> None:
    """Make every process pool of this interpreter use `method`; `serial` means no pool at all."""
    if method == "serial":
        import concurrent.futures  # noqa: PLC0415 - only where it is asked for

        class SerialPool:
            def __init__(self, initializer: Any = None, initargs: Tuple[Any, ...] = (), **_: Any) -> None:
                if initializer:
                    initializer(*initargs)

            def __enter__(self) -> "SerialPool":
                return self

            def __exit__(self, *_: Any) -> None:
                return None

            map = staticmethod(map)

        concurrent.futures.ProcessPoolExecutor = SerialPool  # type: ignore[misc,assignment]
    else:
        import multiprocessing  # noqa: PLC0415 - only where it is asked for

        multiprocessing.set_start_method(method, force=True)


if __name__ == "sitecustomize" and os.environ.get("PERF_MATRIX_START_METHOD"):
    force_start_method(os.environ["PERF_MATRIX_START_METHOD"])


def hold() -> None:
    """Be a container's first process: stay, and reap what other processes left behind."""
    dumpable(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigwait([signal.SIGCHLD])


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        hold()
    main(json.loads(sys.argv[1]))
