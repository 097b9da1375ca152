"""A container engine of our own, on a socket and data folder of its own: its daemon started, found and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from matrix import files, paths
from matrix.engine import backends, daemons, host_packages
from matrix.engine.api import EngineSilentError
from matrix.engine.daemons import Site
from matrix.errors import InfrastructureError, UsageError
from matrix.files import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine
    from matrix.engine.daemons import Daemon

START_S = 60
"""The seconds that a daemon may take to answer; the first start on a slow disk makes its data folder."""

STOP_S = 30
"""The seconds that a daemon may take to stop: it gives its containers 15 s to end (dockerd's --shutdown-timeout)."""

POLL_S = 0.1
STDERR = 2
"""The greatest file descriptor that the daemon inherits."""


@dataclass(frozen=True)
class Status:
    """The private engine as it is now: its process, None where it does not run, its daemon's name, and its files."""

    pid: int | None
    name: str
    socket: Path
    data: Path
    log: Path


def status() -> Status:
    """Return whether the private engine runs, and where; one that does not run is the one that would be started."""
    running = _running()
    if running is None:
        return _status(None, _preferred())
    return _status(*running)


def _status(pid: int | None, name: str) -> Status:
    folder = paths.cache() / "engine"
    program = daemons.named(name).program
    # dockerd's is the older one, and has no name of its own.
    data = folder / ("data" if name == "docker" else f"{name}-data")
    return Status(pid, name, paths.engine_socket(), data, folder / f"{program}.log")


def _preferred() -> str:
    """Return the name of the daemon that would be started: the first that can be, or else the first."""
    names = {daemon: name for name, daemon in daemons.by_name().items()}
    try:
        return names[daemons.chosen()]
    except InfrastructureError:
        return next(iter(names.values()))


def _site(now: Status) -> Site:
    return Site(now.socket, now.data, paths.runtime())


def _pid_file() -> Path:
    return paths.runtime() / "engine.pid"


def _running() -> tuple[int, str] | None:
    """Return the process id of the private engine and its daemon's name, or nothing.

    The pid file alone proves nothing: its daemon may have been killed, and its number given to another process.
    """
    try:
        pid = int(files.read(_pid_file()))
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (OSError, ValueError):
        return None
    if f"unix://{paths.engine_socket()}" not in words:
        return None
    program = Path(words[0]).name
    names = (name for name, daemon in daemons.by_name().items() if daemon.program == program)
    return next(((pid, name) for name in names), None)


def ensure(host: str | None, session: str, say: Callable[[str], None]) -> Engine:
    """Return an engine: one that answers, or the private one, started now.

    Raises:
        InfrastructureError: none answers and none could be started.

    """
    try:
        return backends.connect(host, session)
    except EngineSilentError:  # a second engine beside one that hangs would be a surprise
        raise
    except InfrastructureError:
        # An engine that the user named is never replaced by another: its images and volumes are elsewhere.
        if host or os.environ.get("DOCKER_HOST"):
            raise
    up(say)
    return backends.connect(f"unix://{paths.engine_socket()}", session)


def up(say: Callable[[str], None], name: str = "") -> Status:
    """Start the private engine unless it runs; install the program first where that is possible and allowed.

    Args:
        say: is called with each line of progress.
        name: the engine's, as `podman`; empty for the first that is installed and that this user may start.

    Raises:
        UsageError: there is no engine of this name, or the private one is another.
        InfrastructureError: it is not installed, or did not start.

    """
    wanted = daemons.named(name) if name else None
    paths.runtime().mkdir(parents=True, exist_ok=True)
    with FileLock(paths.runtime() / "engine.lock"):
        now = status()
        if now.pid is not None:
            _refuse_another(now, name)
            return now
        daemon = wanted or daemons.chosen()
        if daemon.needs_root and os.geteuid() != 0:
            raise InfrastructureError(
                f"{daemon.program} must be started as root", "Run as root, install podman, or set DOCKER_HOST."
            )
        if not shutil.which(daemon.program):
            host_packages.install(list(daemon.packages), say)
        now = _status(None, name or _preferred())
        say(f"starting {daemon.program} on {now.socket}")
        return _start(now, daemon)


def _refuse_another(now: Status, name: str) -> None:
    if name not in ("", now.name):
        raise UsageError(f"the private engine is {now.name} (process {now.pid})", "`perf-matrix engine down` stops it.")


def _start(now: Status, daemon: Daemon) -> Status:
    # posix_spawn, as the daemon outlives this process: a Popen object would warn of that when it is collected.
    # https://github.com/python/cpython/issues/83071
    now.data.mkdir(parents=True, exist_ok=True)
    now.socket.unlink(missing_ok=True)
    _pid_file().unlink(missing_ok=True)
    # env changes the folder, which posix_spawn cannot: the daemon would keep this one's file system busy.
    argv = ["/usr/bin/env", "--chdir=/", *daemon.command(_site(now))]
    # setsid, as a terminal's Ctrl-C reaches every process of its session, and the daemon is to outlive this run.
    with now.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
        pid = os.posix_spawn(argv[0], argv, _environment(), setsid=True, file_actions=_streams(nothing, log))
    files.write(_pid_file(), f"{pid}\n".encode())
    if not _answers_in_time(pid, f"unix://{now.socket}"):
        _pid_file().unlink(missing_ok=True)
        tail = "\n  ".join(last_lines(now.log, 8))
        raise InfrastructureError(f"{daemon.program} did not start", f"Its log, {now.log}, ends:\n  {tail}")
    return status()


def _environment() -> dict[str, str]:
    """Return the daemon's environment, which lasts longer than the run or the git command that this process is of."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PERF_MATRIX_", "GIT_"))}


def _answers_in_time(pid: int, address: str) -> bool:
    """Wait until the daemon that was started answers; return whether it does. One that does not in time is ended."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if _answers(address):
            return True
        time.sleep(POLL_S)
        # The daemon is our child: without a wait it would stay a zombie, whose pid still looks alive.
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:
            return False
    os.kill(pid, signal.SIGTERM)
    return False


def _answers(address: str) -> bool:
    try:
        backends.connect(address)
    except InfrastructureError:
        return False
    return True


def _streams(nothing: IO[bytes], log: IO[bytes]) -> list[tuple[int, ...]]:
    """Return posix_spawn's file actions: the daemon has the standard three files, and none that this process inherited.

    A file that stays open in the daemon could be the lock of a run or the pipe of whoever waits for this command's end.
    """
    inherited = [int(path.name) for path in Path("/proc/self/fd").iterdir() if int(path.name) > STDERR]
    given = [(os.POSIX_SPAWN_DUP2, file.fileno(), number) for number, file in enumerate((nothing, log, log))]
    return [*given, *((os.POSIX_SPAWN_CLOSE, fd) for fd in inherited if _inheritable(fd))]


def _inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # the one that listed them is closed by now
        return False


def down(say: Callable[[str], None]) -> bool:
    """Stop the private engine, and only that; return whether it ran.

    Raises:
        InfrastructureError: the daemon still runs STOP_S seconds after SIGTERM.

    """
    now = status()
    if now.pid is None:
        return False
    daemon = daemons.named(now.name)
    say(f"stopping {daemon.program} (process {now.pid})")
    for pid in (now.pid, *_of_its_session(now)):
        os.kill(pid, signal.SIGTERM)
    if _ended_in_time(now):
        for words in daemon.ends(_site(now)):
            subprocess.run(["/usr/bin/env", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return True
    raise InfrastructureError(f"{daemon.program} (process {now.pid}) does not stop", f"Its log is {now.log}.")


def _ended_in_time(now: Status) -> bool:
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if status().pid is None and not _of_its_session(now):
            return True
        time.sleep(POLL_S)
    return False


def _of_its_session(now: Status) -> list[int]:
    """Return the further processes of the daemon's own program: a user's Podman serves from a second one."""
    found = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in found if pid != now.pid and _serves(pid, now)]


def _serves(pid: int, now: Status) -> bool:
    """Return whether a process is of the daemon's session and has its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        return os.getsid(pid) == now.pid and f"unix://{now.socket}" in words
    except OSError:
        return False
