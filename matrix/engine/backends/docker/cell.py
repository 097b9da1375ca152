"""A cell as containers and volumes: a copy-on-write view of its tree, limits, no network."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound
from docker.types import LogConfig, Mount
from docker.utils.socket import STDERR
from requests.exceptions import RequestException

from matrix.engine.api import AGENT, AGENT_UID, UID, CellSpec, Resource
from matrix.engine.backends.docker import streams
from matrix.engine.backends.docker.api import failing_as, of_the_api
from matrix.engine.backends.docker.volumes import Volumes
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matrix.engine.backends.docker.engine import DockerEngine

FILL_S = 120
"""The seconds that the copy of a kept build may take, from memory to memory."""

READ_S = 300
"""The seconds that the reading of one file may take."""

SETTLE_S = 2
"""The seconds in which the engine notices the end of a container; it took milliseconds on a machine under load."""

AGAIN = "Run it again: --resume RUN."

OUTPUT_BYTES = 600 << 20
"""The most that the agent writes in one go: a file that is read, or a step's facts; this process holds it in memory."""

CAPABILITIES = ["SETGID", "SETUID", "SETPCAP", "KILL", "SYS_PTRACE"]
"""The agent's capabilities: to be another user than the commands, to take theirs away, to end and to trace them."""

# The keeper runs `mkdir`, `cp` and `sleep`.
KEEPER_LIMITS: dict[str, Any] = {"mem_limit": 1 << 30, "pids_limit": 64, "security_opt": ["no-new-privileges"]}


class DockerContainer:
    """A cell that runs in Docker."""

    def __init__(self, engine: DockerEngine, container: Any, volumes: list[str]) -> None:
        self.engine = engine
        self.container = container
        self.volumes = volumes
        self.overdue = False  # whether we killed it at a deadline
        self.id: str = container.id
        self.state: tuple[str, str] = (volumes[1], volumes[2])

    def agent(self, words: Sequence[str], on_log: Callable[[bytes], None], deadline_s: float) -> tuple[int, bytes]:
        """Run the agent (see Container.agent)."""
        api = self.engine.client.api
        # The API cannot kill a program that exec started, so the deadline kills its container.
        timer = threading.Timer(deadline_s, self._kill)
        self.overdue = False
        with failing_as("run a step"), _refusing_removal():
            with of_the_api():
                execution = api.exec_create(self.id, [*AGENT, *words])["Id"]
            timer.start()
            try:
                facts = bytearray()
                with streams.stream(api, execution, deadline_s) as frames:
                    for kind, block in frames:
                        if kind == STDERR:
                            on_log(block)
                        else:
                            facts += block
                        if len(facts) > OUTPUT_BYTES:
                            self._kill()
                            break
                with of_the_api():
                    found = streams.exit_status(api, execution)
            finally:
                timer.cancel()
            # The engine knows no status where the container ended first.
            status = streams.KILLED if found is None else found
            self._check_alive(status)
        return status, bytes(facts)

    def _check_alive(self, status: int) -> None:
        """Refuse an agent, or a container, that somebody else ended; one that hit its own limits failed by them.

        Raises:
            InfrastructureError: it was ended by neither its limit on memory nor our deadline.

        """
        state = self._state_after_kill() if status == streams.KILLED else self._state()
        if self.overdue or state["OOMKilled"]:
            return
        if status == streams.KILLED or not state["Running"]:  # no command of the cell may signal the agent
            raise InfrastructureError(
                f"a cell's container, or the agent in it, was ended from outside (status {state['ExitCode']})", AGAIN
            )

    def _state_after_kill(self) -> dict[str, Any]:
        """Return the state of the container in which the agent was killed, once the engine knows why.

        An engine can tell of a lack of memory only when the container has ended, so one that the agent was killed in
        alone is ended, too: without the agent its step has failed.
        """
        state = self._settled()
        if state["Running"]:
            with contextlib.suppress(DockerException, RequestException):  # it may have ended meanwhile
                self.container.kill()
            state = self._settled()
        return state

    def _settled(self) -> dict[str, Any]:
        """Return the container's state when it has ended, or after SETTLE_S: events reach the engine in any order."""
        deadline = time.monotonic() + SETTLE_S
        while (state := self._state())["Running"] and time.monotonic() < deadline:
            time.sleep(0.05)
        return state

    def _state(self) -> dict[str, Any]:
        with of_the_api():
            state = self.engine.client.api.inspect_container(self.id)["State"]
            return {fact: state[fact] for fact in ("Running", "OOMKilled", "ExitCode")}

    def is_out_of_memory(self) -> bool:
        """Return whether the kernel ended a program for the limit on memory (see Container.is_out_of_memory)."""
        with failing_as("inspect a container"):
            return bool(self._state()["OOMKilled"])

    def _kill(self) -> None:
        self.overdue = True
        with contextlib.suppress(DockerException, RequestException):
            self.container.kill()

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """Read a file (see Container.read)."""
        words = ["read", str(UID), path, str(limit_bytes)]
        status, content = self.agent(words, lambda _: None, READ_S)
        return content if status == 0 else None

    def interactive(self, env: Mapping[str, str], cwd: str) -> int:
        """Give the terminal to a shell (see Container.interactive).

        A command does it, docker's or podman's, as it sets the terminal to raw mode and passes changes of its size on.
        """
        options = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
        argv = [
            *_command_line(self.engine.url),
            "exec",
            "-it" if sys.stdin.isatty() else "-i",
            "--user",
            f"{UID}:{UID}",
            *options,
            "--workdir",
            cwd,
            self.id,
            "bash",
        ]
        try:
            return subprocess.run(argv, check=False).returncode
        except OSError as error:
            raise InfrastructureError(f"{argv[0]} could not be run: {error}", "Install docker, or podman.") from error

    def remove(self) -> None:
        """Remove the container, then its volumes."""
        # The container first, then the overlay before its layers: a volume that is in use cannot be removed.
        self.engine.remove(Resource("container", self.id, "", ""))
        for volume in self.volumes:
            self.engine.remove(Resource("volume", volume, "", ""))


def _command_line(url: str) -> list[str]:
    """Return the beginning of the command line of a program that speaks to an engine; podman does where docker is not.

    The docker command speaks to both kinds of engines, the podman command to Podman alone.
    """
    if shutil.which("docker") is None and shutil.which("podman") is not None:
        return ["podman", "--remote", "--url", url]
    return ["docker", "--host", url]


@contextlib.contextmanager
def _refusing_removal() -> Iterator[None]:
    """Turn the engine's answer that there is no such container, or program in it, into an InfrastructureError."""
    try:
        yield
    except NotFound as error:
        raise InfrastructureError("a cell's container was ended from outside: it is gone", AGAIN) from error


def start(engine: DockerEngine, spec: CellSpec) -> DockerContainer:
    """Start a cell's container on new volumes, and return it.

    The upper layer, the folder of `O=` and /tmp are volumes in memory; where `spec.state` names those of another
    container, the first two begin as copies of them. The source tree is an overlay of the upper layer on the tree's
    volumes.

    Raises:
        InfrastructureError: the engine could not make one of them.

    """
    name = f"pbm-{uuid.uuid4().hex[:12]}"
    layer, out, temporary, source = (f"{name}-{purpose}" for purpose in ("layer", "out", "tmp", "src"))
    with failing_as("start a cell"), of_the_api(), contextlib.ExitStack() as undo:
        volumes = Volumes(engine, undo)
        for volume, mode in ((layer, "0755"), (out, "0755"), (temporary, "1777")):
            volumes.in_memory(volume, mode, spec.limits.disk_bytes)
        keeper = _keeper(engine, spec, layer, out, undo)
        volumes.overlay(source, spec.tree_volumes, layer)
        # The cell sees its upper layer read-only: a write below an overlay's own has undefined results.
        mounts = {
            "/src": (source, False),
            "/out": (out, False),
            "/tmp": (temporary, False),  # noqa: S108 - the cell's
            "/layer": (layer, True),
        }
        container = _create(engine, spec, name, mounts)
        undo.callback(engine.remove, Resource("container", container.id, "", ""))
        container.start()
        engine.remove(Resource("container", keeper.id, "", ""))
        undo.pop_all()
    return DockerContainer(engine, container, [source, layer, out, temporary])


def _keeper(engine: DockerEngine, spec: CellSpec, layer: str, out: str, undo: contextlib.ExitStack) -> Any:
    """Start a container that fills the volumes and keeps them mounted until the cell has started, and return it.

    The local driver unmounts a volume with its last container, and a tmpfs is empty when it is mounted again: Unmount
    in https://github.com/moby/moby/blob/master/daemon/volume/local/local.go.

    Raises:
        InfrastructureError: the volumes were not filled within FILL_S seconds.

    """
    # Without no_copy the engine fills an empty volume with what the image has at the path of the mount.
    mounts = [Mount("/layer", layer, no_copy=True), Mount("/out", out, no_copy=True)]
    script = "mkdir /layer/upper /layer/work"
    if spec.state:
        mounts += [
            Mount(f"/state/{place}", volume, read_only=True, no_copy=True)
            for place, volume in zip(("layer", "out"), spec.state, strict=True)
        ]
        script += " && cp -a /state/layer/upper/. /layer/upper/ && cp -a /state/out/. /out/"
    # The sleep has an end, so that a keeper that is forgotten has one. Signals reach it through an init process.
    keeper = engine.client.containers.create(
        spec.image, ["sh", "-c", f"{script} && touch /layer/ready && exec sleep 600"],
        user=f"{UID}:{UID}", network_mode="none", cap_drop=["ALL"], labels=engine.labels("cell"), init=True,
        mounts=mounts, **KEEPER_LIMITS,
    )  # fmt: skip
    undo.callback(engine.remove, Resource("container", keeper.id, "", ""))
    keeper.start()
    deadline = time.monotonic() + FILL_S
    while time.monotonic() < deadline:
        try:
            if streams.status(engine.client.api, keeper.id, ["test", "-e", "/layer/ready"], FILL_S) == 0:
                return keeper
        except APIError:  # it has ended
            break
        time.sleep(0.05)
    raise InfrastructureError("a cell's volumes could not be filled", streams.log_end(engine.client.api, keeper.id))


def _create(engine: DockerEngine, spec: CellSpec, name: str, mounts: dict[str, tuple[str, bool]]) -> Any:
    return engine.client.containers.create(
        spec.image,
        [*AGENT, "hold", str(AGENT_UID)],
        name=name,
        hostname=spec.hostname,
        labels=engine.labels("cell"),
        user="0:0",
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=CAPABILITIES,
        security_opt=["no-new-privileges"],
        read_only=True,
        mem_limit=spec.limits.memory_bytes,
        # Memory and swap together: the same number allows no swap, which would make a cell slow instead of failing it.
        # https://docs.docker.com/engine/containers/resource_constraints/#prevent-a-container-from-using-swap
        memswap_limit=spec.limits.memory_bytes,
        pids_limit=spec.limits.pids,
        cpuset_cpus=spec.cpus or None,
        # The output of steps comes through exec; the engine keeps no second copy of it.
        log_config=LogConfig(type="none"),
        # Podman gives a container with a read-only root a /var/tmp of its own that can be written to, without a limit.
        tmpfs={"/var/tmp": "ro,nosuid,nodev"},  # noqa: S108 - the cell's
        mounts=[
            *(Mount(path, volume, read_only=read_only, no_copy=True) for path, (volume, read_only) in mounts.items()),
            Mount("/agent", spec.agent_volume, read_only=True, no_copy=True),
        ],
    )
