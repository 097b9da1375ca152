"""Starts the commands of a trial: forks a Python that has imported their modules, for each Python that they start, too.

Most of a run's time on the fake tree is the start of five Pythons. A forked one has the parent, session, files, signal
handlers, environment and arguments that a new one has, and modules that were imported before: `Starter(fresh=True)`
has new ones instead. It adopts what outlives a command, so that all of a trial's processes are below it.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import types
import warnings
from pathlib import Path
from typing import Any

from tests.faults.inject import injection

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "pytest", "_pytest.faulthandler", "_pytest.helpconfig", "_pytest.junitxml", "_pytest.pastebin", "_pytest.setuponly",
    "_pytest.setupplan", "_pytest.skipping", "_pytest.threadexception", "_pytest.tracemalloc", "_pytest.unittest",
    "_pytest.unraisableexception", "_pytest.warnings", "xdist.plugin", "xdist.workermanage", "xdist.dsession",
    "xdist.remote", "xdist.looponfail", "docker", "execnet", "_hypothesis_pytestplugin", "hypothesis.strategies",
    "hypothesis.statistics", "hypothesis.core", "platformdirs.pytest_plugin", "typer._click.decorators", "readline",
    "encodings.unicode_escape", "rich._emoji_codes", "rich.live", "rich.progress", "rich.table", "pathspec.gitignore",
)  # fmt: skip
"""The modules that a run imports, beside all of the matrix; one that is not installed here is imported by none."""


class Starter:
    """A process that starts commands, one at a time, and its pipes."""

    def __init__(self, *, fresh: bool = False) -> None:
        words = [sys.executable, "-m", "tests.faults.starter", *(["fresh"] if fresh else [])]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, start_new_session=True
        )
        assert self._reply() == "ready"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _reply(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def start(self, words: list[str], environment: dict[str, str], output: Path) -> int:
        """Start a Python with these words; return its process id."""
        request = {"words": words, "env": environment, "output": str(output)}
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self._reply())

    def status(self) -> int:
        """Return the exit status of the command, which has been waited for; negative for a signal."""
        return int(self._reply())

    def descendants(self) -> list[int]:
        """Return the processes that are below this one, those that have ended left out."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                    if state not in "ZX":
                        parents[int(entry.name)] = int(parent)
        found: set[int] = set()
        below = {self.process.pid}
        while below:
            below = {pid for pid, parent in parents.items() if parent in below} - found
            found |= below
        return sorted(found)


def main() -> None:
    """Take requests from standard input until its end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    if sys.argv[1:] != ["fresh"]:
        _import_all()
        subprocess.Popen._execute_child = _forking(subprocess.Popen._execute_child)  # type: ignore[attr-defined] # typeshed has it not
    _say("ready")
    while True:
        request = _next_request()
        if request is None:
            return
        with Path(request["output"]).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *request["words"]],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        _say(process.pid)
        _say(_waited(process.pid))


def _next_request() -> Any:
    while not select.select([sys.stdin], [], [], 0.2)[0]:
        _reap()
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _waited(wanted: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == wanted:
            return os.waitstatus_to_exitcode(status)


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _import_all() -> None:
    package = importlib.import_module("matrix")
    found = [module.name for module in pkgutil.walk_packages(package.__path__, "matrix.")]
    # No run on one machine imports the room of many; with its Dask imported before it, pytest finds no plugins.
    names = [name for name in found if "__main__" not in name and not name.startswith("matrix.machines")]
    for name in (*MODULES, *names):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    injection.install()
    injection.times.shorten()
    _keep_documents()


def _keep_documents() -> None:
    """Keep what the program's own YAML files say, which takes each process half a second to read."""

    load, strict_yaml = (importlib.import_module(f"matrix.config.{name}") for name in ("load", "strict_yaml"))
    real = strict_yaml.read
    kept: dict[Path, Any] = {}

    def read(path: Path) -> Any:
        if not path.resolve().is_relative_to(ROOT):
            return real(path)
        if path not in kept:
            kept[path] = real(path)
        return copy.deepcopy(kept[path])

    vars(strict_yaml)["read"] = read
    load.load([ROOT / "tests" / "data" / "fake"])


META_PATH = list(sys.meta_path)
SEARCH_PATH = [
    path for path in sys.path if path not in ("", str(Path.cwd()), *os.environ.get("PYTHONPATH", "").split(os.pathsep))
]


def _forking(real: Any) -> Any:
    def execute_child(self: Any, args: Any, executable: Any, *rest: Any) -> None:
        words = [os.fsdecode(word) for word in args] if isinstance(args, list | tuple) else [""]
        if words[0] != sys.executable:
            real(self, args, executable, *rest)
            return
        (
            _,
            _,
            pass_fds,
            cwd,
            env,
            _,
            _,
            _,
            p2cread,
            p2cwrite,
            c2pread,
            c2pwrite,
            errread,
            errwrite,
            *_,
            new_session,
            _,
        ) = rest
        sys.audit("subprocess.Popen", executable or words[0], words, cwd, env)
        pid = os.fork()
        if pid == 0:
            _become(words, (p2cread, c2pwrite, errwrite), pass_fds, cwd, env, new_session=new_session)
        self.pid = pid
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    return execute_child


def _become(
    words: list[str], files: tuple[int, int, int], pass_fds: Any, cwd: Any, env: Any, *, new_session: bool
) -> None:
    """Be a new Python that was started with these words; never return."""
    status = 1
    try:
        if new_session:
            os.setsid()
        _reset(words, files, pass_fds, cwd, env)
        status = _ended(words)
    except BaseException:  # noqa: BLE001 - as a Python that cannot start
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _reset(words: list[str], files: tuple[int, int, int], pass_fds: Any, cwd: Any, env: Any) -> None:
    """Take on what a new process has, in place of what this one inherited."""
    gc.freeze()  # objects of the parent would close files of this process that have their numbers by then
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    above = [os.dup(place if file == -1 else file) for place, file in enumerate(files)]
    for place, file in enumerate(above):
        os.dup2(file, place)
    for name in [entry.name for entry in Path("/proc/self/fd").iterdir()]:
        if int(name) > 2 and int(name) not in pass_fds:
            with contextlib.suppress(OSError):
                os.close(int(name))
    if cwd is not None:
        os.chdir(cwd)
    if env is not None:
        os.environ.clear()
        os.environ.update({os.fsdecode(key): os.fsdecode(value) for key, value in env.items()})
    atexit._clear()
    warnings.resetwarnings()
    tempfile.tempdir = tempfile._name_sequence = None  # type: ignore[attr-defined] # typeshed has it not
    sys.modules["matrix.runs.locks"]._descriptors.clear()
    sys.meta_path[:] = META_PATH
    here = [] if os.environ.get("PYTHONSAFEPATH") or "-I" in words else [str(Path.cwd())]
    sys.path[:] = [*here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *SEARCH_PATH]
    sys.orig_argv = words
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")  # type: ignore[misc] # typeshed says Final
    sys.stdout = sys.__stdout__ = _written(1)  # type: ignore[misc] # as stdin
    sys.stderr = sys.__stderr__ = _written(2)  # type: ignore[misc] # as stdin
    injection.arm()


def _written(number: int) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(buffer, "utf-8", errors="backslashreplace", line_buffering=number == 2)


def _ended(words: list[str]) -> int:
    """Run what the words name, `-m MODULE` or `-c PROGRAM`; return the exit status."""
    status = _run(words)
    threading._shutdown()  # type: ignore[attr-defined] # typeshed has it not
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _run(words: list[str]) -> int:
    place = next(place for place, word in enumerate(words) if word in ("-m", "-c"))
    try:
        if words[place] == "-m":
            sys.argv = words[place + 1 :]
            runpy.run_module(words[place + 1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *words[place + 2 :]]
            main_module = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(words[place + 1], "<string>", "exec"), vars(main_module))  # noqa: S102 - as Python does
    except SystemExit as ended:
        return _status(ended.code)
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
        return 1
    return 0


def _status(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


if __name__ == "__main__":
    main()
