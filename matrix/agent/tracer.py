"""The tracer: follows a command and all its descendants with ptrace(2). Standard library only, Python 3.6 syntax."""

import ctypes
import os
import re
import signal
from typing import Dict, List, Optional, Set, Tuple

from matrix.agent import clock, kernel_files

# Requests and events of ptrace(2), from linux/ptrace.h: Python has no module for them.
SEIZE, CONT, GETEVENTMSG, LISTEN = 0x4206, 7, 0x4201, 0x4208
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP = 1, 2, 3, 4, 6, 128
# PTRACE_O_TRACE{FORK,VFORK,CLONE,EXEC,EXIT} and PTRACE_O_EXITKILL: traced processes end with the agent.
OPTIONS = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x100000
# The signals that stop a process; a stop by any other signal is the delivery of that signal.
STOP_SIGNALS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
# The most of a command line that a record holds.
ARGV_BYTES = 1 << 15


class TracedProcess:
    """The facts of one process, from its fork to its exit; its attributes are the keys of a `process` record.

    `argvs` and `stdouts` have an item for each exec; times are seconds since the epoch.
    """

    def __init__(self, start: float) -> None:
        self.parent: Optional[int] = None
        self.start = start
        self.end: Optional[float] = None
        self.argvs: List[List[str]] = []
        self.programs: List[str] = []
        self.stdouts: List[str] = []
        self.cwd = ""
        self.cpu_ns = 0
        self.rss_kib = 0
        self.status: Optional[int] = None
        self.threads = 1


class Programs:
    """The programs that words stand for: the first word of a command line may name any, whatever was run.

    A name counts where it lies on the file system of the top folder, the image's, which the tree cannot write to.

    Args:
        search: the folders of programs, as in PATH.

    """

    def __init__(self, search: str) -> None:
        self.folders = search.split(os.pathsep)
        self.device = device("/")
        self.found: Dict[Tuple[str, str, str], str] = {}

    def other_than(self, word: str, cwd: str, program: str) -> str:
        """Return the path of a program that was run, or nothing where the first word of its words leads to it."""
        if os.path.basename(word) == os.path.basename(program):
            return ""
        key = word, cwd if "/" in word else "", program
        if key not in self.found:
            self.found[key] = "" if self._leads_to(word, cwd, program) else program
        return self.found[key]

    def _leads_to(self, word: str, cwd: str, program: str) -> bool:
        """Return whether a word is a path of the program, or its name in a folder, the image's links followed."""
        folders = [cwd] if "/" in word else self.folders
        return any(self._is_name(os.path.join(folder, word), program) for folder in folders)

    def _is_name(self, path: str, program: str) -> bool:
        """Return whether a path of the image leads to the program."""
        is_of_image = device(os.path.dirname(path)) == self.device
        return is_of_image and os.path.realpath(path) == program


def device(folder: str) -> Optional[int]:
    """Return the number of the file system that a folder is on, or None where there is no such folder."""
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


class Tracer:
    """The tracer of a process and all its descendants, by ptrace stops at fork, exec and exit only.

    `live` maps the pids of live processes to their indexes in `processes`, `thread_of` the ids of threads to the pids
    of their processes. Events of parent and child come in any order: `ended` has the processes and `ended_threads` the
    threads that ended before the event of their creation was seen, `announced` the threads of which it was seen.
    """

    def __init__(self, search: str) -> None:
        self.processes: List[TracedProcess] = []
        self.programs = Programs(search)
        self.live: Dict[int, int] = {}
        self.thread_of: Dict[int, int] = {}
        self.ended: Dict[int, int] = {}
        self.announced: Set[int] = set()
        self.ended_threads: Set[int] = set()
        self.libc = ctypes.CDLL(None, use_errno=True)
        # Declared types, as ctypes passes undeclared ones as int, which cuts pointers short on 64 bits.
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def ptrace(self, request: int, pid: int, data: int = 0) -> bool:
        """Return whether the request succeeded; a process killed meanwhile is no error."""
        return bool(self.libc.ptrace(request, pid, None, data) != -1)

    def seize(self, pid: int) -> bool:
        """Begin to follow `pid`; return False where the kernel or the engine forbids ptrace."""
        if not self.ptrace(SEIZE, pid, OPTIONS):
            return False
        self.known(pid)
        return True

    def known(self, pid: int) -> int:
        """Return the index of the process with this pid, made now if it is new."""
        if pid not in self.live:
            self.live[pid] = len(self.processes)
            self.processes.append(TracedProcess(clock.now()))
        return self.live[pid]

    def message(self, pid: int) -> int:
        """Return the message of the event of `pid`: a new pid, or an exit status (PTRACE_GETEVENTMSG of ptrace(2))."""
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
        # A group-stop: LISTEN leaves the process stopped until SIGCONT, where CONT would wake it (ptrace(2)).
        if event == EVENT_STOP and number in STOP_SIGNALS:
            self.ptrace(LISTEN, pid)
            return
        self.note(pid, event)
        # A signal is delivered by CONT with its number; an event's SIGTRAP is none of the process's.
        is_signal = event not in (EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP)
        self.ptrace(CONT, pid, number if is_signal else 0)

    def note(self, pid: int, event: int) -> None:
        """Take note of the event for which a process stopped."""
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
        match = re.search(rb"^Tgid:\s*(\d+)", kernel_files.read("/proc/%d/status" % pid), re.M)
        leader = int(match.group(1)) if match else pid
        if leader == pid:
            return False
        self.thread_of[pid] = leader
        self.processes[self.known(leader)].threads += 1
        return True

    def born(self, pid: int, child: int, event: int) -> None:
        """Note a child or a thread of `pid`; the child's first stop, or even its end, may have come before."""
        if event == EVENT_CLONE and child and self.is_thread(child):
            if child in self.thread_of:
                self.announced.add(child)
        elif child:
            parent = self.known(self.thread_of.get(pid, pid))
            index = self.ended.pop(child) if child in self.ended else self.known(child)
            self.processes[index].parent = parent

    def executed(self, pid: int) -> None:
        """Note a new program; a thread that execs gets its leader's id ("execve(2) under ptrace" of ptrace(2))."""
        self.thread_of.pop(pid, None)
        self._forget_thread(self.message(pid))
        process = self.processes[self.known(pid)]
        raw = kernel_files.read("/proc/%d/cmdline" % pid, ARGV_BYTES)
        text = raw.decode("utf-8", "surrogateescape")
        # Each argument ends in NUL (proc(5)); one that ARGV_BYTES cut off has none.
        argv = (text[:-1] if text.endswith("\0") else text).split("\0")
        process.argvs.append(argv)
        process.stdouts.append(kernel_files.link("/proc/%d/fd/1" % pid))
        process.cwd = kernel_files.link("/proc/%d/cwd" % pid)
        process.programs.append(self.programs.other_than(argv[0], process.cwd, kernel_files.link("/proc/%d/exe" % pid)))

    def _forget_thread(self, thread: int) -> None:
        """Forget a thread whose id has ended without a word, so that a process which gets it next is none."""
        self.thread_of.pop(thread, None)
        self.announced.discard(thread)

    def exiting(self, pid: int) -> None:
        """Add up the CPU time of a thread or process while /proc still shows it."""
        leader = self.thread_of.get(pid, pid)
        process = self.processes[self.known(leader)]
        # The first field is the time on a CPU, in ns: https://docs.kernel.org/scheduler/sched-stats.html
        fields = kernel_files.read("/proc/%d/schedstat" % pid).split()
        if fields:
            process.cpu_ns += int(fields[0])
        if leader == pid:
            match = re.search(rb"^VmHWM:\s*(\d+)", kernel_files.read("/proc/%d/status" % pid), re.M)
            if match:
                process.rss_kib = int(match.group(1))

    def gone(self, pid: int, status: int) -> None:
        """Note the end of a thread or process; a signal's number is negative in its status."""
        if self.thread_of.pop(pid, None) is not None:
            if pid not in self.announced:
                self.ended_threads.add(pid)
            self.announced.discard(pid)
        elif pid in self.live:
            index = self.live.pop(pid)
            process = self.processes[index]
            if process.parent is None:
                self.ended[pid] = index
            process.end = clock.now()
            process.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
