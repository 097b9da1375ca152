"""Programs that serve the API of a container engine: one module each, found by listing this folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from matrix import registry
from matrix.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Site:
    """The files of a private engine: its socket, its data, and a folder for what does not outlive it."""

    socket: Path
    data: Path
    runtime: Path

    @property
    def address(self) -> str:
        """The address of its socket, a word of the daemon's command line by which its process is known."""
        return f"unix://{self.socket}"


@runtime_checkable
class Daemon(Protocol):
    """A program that serves an engine's API; a module of this folder has one as DAEMON, under the engine's name."""

    program: str
    packages: tuple[str, ...]
    """Debian's packages that hold the program."""
    needs_root: bool

    def command(self, site: Site) -> list[str]:
        """Write the program's own configuration; return the words after env(1), variables first, that start it."""

    def ends(self, site: Site) -> list[list[str]]:
        """Return the commands, as words after env(1), that end all that would outlive the program."""


def by_name() -> dict[str, Daemon]:
    """Return the daemons by their names, sorted."""
    return registry.load(__name__, "DAEMON", Daemon)  # type: ignore[type-abstract] # its modules are asked, not it


def named(name: str) -> Daemon:
    """Return the daemon of a name.

    Raises:
        UsageError: there is none.

    """
    daemons = by_name()
    if name not in daemons:
        raise UsageError(f"no engine is called {name!r}", f"There are: {', '.join(daemons)}.")
    return daemons[name]


def chosen() -> Daemon:
    """Return the first daemon that is installed and that this user may start, or else the one to be installed.

    Raises:
        InfrastructureError: none that is installed may be started by this user.

    """
    is_root = os.geteuid() == 0
    possible = [daemon for daemon in by_name().values() if is_root or not daemon.needs_root]
    for daemon in possible:
        if shutil.which(daemon.program):
            return daemon
    if is_root:
        return possible[0]
    raise InfrastructureError(
        "no container engine can be started: dockerd needs root, and podman is not installed",
        "Run as root, install podman, or set DOCKER_HOST.",
    )
