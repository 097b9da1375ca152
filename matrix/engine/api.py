"""The protocols of a container engine and of a cell's container, and the values that they take and return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from matrix.errors import InfrastructureError
from matrix.model.cell import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matrix.model.cell import Limits

LABEL = "io.perf-build-matrix"
"""The label of every image, container and volume that we make; its value is the purpose, as `cell` or `tree`."""

RUN_LABEL = "io.perf-build-matrix.run"
"""The session (see runs/ownership.py) that a container or volume belongs to, and is removed with."""

AGENT = ("python3", "-I", "-S", "/agent/agent")
"""The command that starts the agent.

`-I` and `-S` keep Python from importing modules that a build left in its home, its folder or site-packages.
"""

UID = 61000
"""The user and group of a cell's commands, and the owner of every tree.

No distribution gives 60706 to 61183 to anybody (systemd.io/UIDS-GIDS), so that on the host it is nobody's; and a
rootless engine, which maps 65536 users, has it.
"""

AGENT_UID = 61001
"""The user and group of the agent, which the cell's commands can neither signal, trace nor limit."""

SCRIPT_MEMORY_BYTES, SCRIPT_PIDS = 2 << 30, 256
"""The limits of a script's container without network."""

USERS = {"agent": AGENT_UID, "commands": UID}
"""The users of a step, as the agent is told of them."""


class EngineSilentError(InfrastructureError):
    """An engine accepts connections, and does not answer in time."""


@dataclass(frozen=True)
class Resource:
    """A container, volume or image of an engine that carries LABEL.

    `kind` is one of these three words, `name` the engine's name or id for it, `purpose` and `run` are the values of
    LABEL and RUN_LABEL. `size_bytes` is the disk space of an image, or None where only a search of the disk would tell.
    """

    kind: str
    name: str
    purpose: str
    run: str
    size_bytes: int | None = None


@dataclass(frozen=True)
class CellSpec:
    """The needs of a cell's container: image and volumes by name, limits, host name.

    `tree_volumes` are the layers of its tree, the topmost first. `state` is the state of another container that this
    one begins as a copy of; empty for the bare tree. `cpus` are the processors that it is pinned to, as `0-3`; empty
    for any.
    """

    image: str
    tree_volumes: tuple[str, ...]
    agent_volume: str
    hostname: str
    limits: Limits
    state: tuple[str, ...] = ()
    cpus: str = ""


class Container(Protocol):
    """A running cell: the tree at /src, its upper layer at /layer/upper, /out, /tmp and the agent in /agent."""

    id: str
    state: tuple[str, str]
    """The volumes for the `state` of a CellSpec, whose container then begins as a copy of this one.

    This container must not be removed before: its volumes are in memory, and end with it.
    """

    def agent(self, words: Sequence[str], on_log: Callable[[bytes], None], deadline_s: float) -> tuple[int, bytes]:
        """Run the agent; pass on its standard error, return its exit status and standard output.

        Past `deadline_s` seconds, and past OUTPUT_BYTES of standard output, the container is killed, which ends it. So
        does the kernel where all that the container has exceeds its limit on memory (see `is_out_of_memory`).

        Args:
            words: the agent's command line (see matrix/agent/__main__.py).
            on_log: is called with each block of standard error.
            deadline_s: seconds.

        Raises:
            InfrastructureError: the agent or the container was ended by anything else.

        """

    def is_out_of_memory(self) -> bool:
        """Return whether the kernel ended a program of this container for the container's own limit on memory."""

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """Return a file's content, cut at `limit_bytes`, or nothing where it cannot be read."""

    def interactive(self, env: Mapping[str, str], cwd: str) -> int:
        """Give the terminal to a shell in the container; return its exit status."""

    def remove(self) -> None:
        """Kill the container, and remove it and its volumes."""


class Engine(Protocol):
    """A container engine. Every method raises InfrastructureError where the engine fails."""

    def describe(self) -> dict[str, str]:
        """Return name, version, kernel and storage of the engine, for results and `doctor`."""

    def image(self, tag: str) -> str | None:
        """Return an image's digest, or nothing where there is no such image."""

    def pull(self, reference: str, tag: str) -> str | None:
        """Get an image from its registry as `tag`; return its digest, or nothing where none answers."""

    def pull_by_digest(self, reference: str) -> str:
        """Get an image from its registry by HOST/NAME@DIGEST, which is checked; return its digest in this engine.

        Raises:
            InfrastructureError: the registry does not give it, or gives another content.

        """

    def push(self, tag: str, target: str) -> str:
        """Push an image to a registry as `target`, HOST/NAME:TAG; return the digest by which the registry has it.

        Raises:
            InfrastructureError: the registry does not take it.

        """

    def import_image(self, archive: Path, tag: str) -> None:
        """Make an image of a root file system's tar file."""

    def build(self, dockerfile: str, tag: str, on_log: Callable[[str], None]) -> None:
        """Build an image, with the network."""

    def script(self, image: str, text: str, *, network: bool, volume: str = "") -> tuple[int, bytes]:
        """Run a shell script in a container of its own, `volume` at /volume; return status and output."""

    def fetch(self, image: str, text: str, path: str, target: Path) -> None:
        """Run a shell script with the network and copy the file at `path` out of its container."""

    def provide(self, volume: str, purpose: str, archive: Callable[[], Iterator[bytes]]) -> None:
        """Make a volume that holds a tar stream's content, unless it is there already, whole."""

    def cell(self, spec: CellSpec) -> Container:
        """Start a cell's container, without network, unprivileged, on a copy-on-write view of its tree."""

    def resources(self) -> list[Resource]:
        """Return all resources that carry LABEL, containers first: a volume or image in use cannot be removed."""

    def remove(self, resource: Resource) -> None:
        """Remove a resource; a resource that has gone meanwhile is no error."""


BTF = "/sys/kernel/btf/vmlinux"
"""The running kernel's type information, which BPF skeletons are made from."""
