"""A cell as containers and volumes: a copy-on-write view of its tree, limits, no network."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException
from docker.types import LogConfig, Mount, Ulimit
from docker.utils.socket import STDERR
from requests.exceptions import RequestException

from matrix.engine.api import AGENT, UID, CellSpec, Resource
from matrix.engine.backends.docker.api import failing_as, stream
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matrix.engine.backends.docker.engine import DockerEngine

FILL_S = 120
OVERLAY = "metacopy=off,redirect_dir=off,index=off"  # so that the upper layer is the whole truth


class DockerContainer:
    """A cell that runs in Docker."""

    def __init__(self, engine: DockerEngine, container: Any, volumes: list[str]) -> None:
        self.engine = engine
        self.container = container
        self.volumes = volumes
        self.overdue = False
        self.id: str = container.id
        self.state: tuple[str, str] = (volumes[1], volumes[2])

    def run(self, argv: Sequence[str], on_log: Callable[[bytes], None], deadline_s: float) -> tuple[int, bytes]:
        """Run a program (see Container.run)."""
        api = self.engine.client.api
        timer = threading.Timer(deadline_s, self._kill)
        self.overdue = False
        with failing_as("run a step"):
            execution = api.exec_create(self.id, list(argv))["Id"]
            timer.start()
            try:
                facts = bytearray()
                with stream(api, execution) as frames:
                    for kind, block in frames:
                        if kind == STDERR:
                            on_log(block)
                        else:
                            facts += block
                status = api.exec_inspect(execution)["ExitCode"]
            finally:
                timer.cancel()
            self._check_alive()
        return (137 if status is None else status), bytes(facts)

    def _check_alive(self) -> None:
        """Tell a container that was ended from outside from one that hit its own limits: only that is its fault."""
        state = self.engine.client.api.inspect_container(self.id)["State"]
        if not (state["Running"] or state["OOMKilled"] or self.overdue):
            raise InfrastructureError(
                f"a cell's container was ended from outside (status {state['ExitCode']})",
                "Run it again: --resume RUN.",
            )

    def _kill(self) -> None:
        self.overdue = True
        with contextlib.suppress(DockerException, RequestException):
            self.container.kill()

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        """Read a file (see Container.read)."""
        status, content = self.run(["head", "-c", str(limit_bytes), "--", path], lambda _: None, 300)
        return content if status == 0 else None

    def interactive(self, env: Mapping[str, str], cwd: str) -> int:
        """Give the terminal to a shell (see Container.interactive), through the docker command line."""
        options = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
        argv = [
            "docker",
            "--host",
            self.engine.url,
            "exec",
            "-it" if sys.stdin.isatty() else "-i",
            *options,
            "--workdir",
            cwd,
            self.id,
            "bash",
        ]
        try:
            return subprocess.run(argv, check=False).returncode
        except OSError as error:
            raise InfrastructureError(f"the docker command could not be run: {error}", "Install docker.") from error

    def remove(self) -> None:
        """Remove the container, then its volumes."""
        self.engine.remove(Resource("container", self.id, "", ""))
        for volume in self.volumes:
            self.engine.remove(Resource("volume", volume, "", ""))


def start(engine: DockerEngine, spec: CellSpec) -> DockerContainer:
    """Start a cell: volumes in memory for the upper layer and for `O=`, and an overlay of the upper layer and the tree.

    Where `spec.state` names the volumes of another cell, both begin as copies of those.
    """
    name = f"pbm-{uuid.uuid4().hex[:12]}"
    layer, out, source = f"{name}-layer", f"{name}-out", f"{name}-src"
    labels = engine.labels("cell")
    with failing_as("start a cell"), contextlib.ExitStack() as undo:
        size = f"size={spec.limits.disk_bytes},uid={UID},gid={UID},mode=0755"
        for volume in (layer, out):
            _volume(engine, volume, labels, {"type": "tmpfs", "device": "tmpfs", "o": size}, undo)
        keeper = _keeper(engine, spec, layer, out, undo)
        upper = _mountpoint(engine, layer)
        lower = ":".join(f"{_mountpoint(engine, volume)}/tree" for volume in spec.tree_volumes)
        options = f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work,{OVERLAY}"
        _volume(engine, source, labels, {"type": "overlay", "device": "overlay", "o": options}, undo)
        mounts = {"/src": (source, False), "/out": (out, False), "/layer": (layer, True)}
        container = _create(engine, spec, name, mounts)
        undo.callback(engine.remove, Resource("container", container.id, "", ""))
        container.start()
        engine.remove(Resource("container", keeper.id, "", ""))
        undo.pop_all()
    return DockerContainer(engine, container, [source, layer, out])


def _mountpoint(engine: DockerEngine, volume: str) -> str:
    point = str(engine.client.volumes.get(volume).attrs["Mountpoint"])
    if set(point) & set(":,\\"):
        raise InfrastructureError(f"the engine keeps volumes at {point}", "Overlay mounts take no `:`, `,`, `\\`.")
    return point


def _volume(
    engine: DockerEngine, name: str, labels: dict[str, str], options: dict[str, str], undo: contextlib.ExitStack
) -> None:
    engine.client.volumes.create(name, driver="local", driver_opts=options, labels=labels)
    undo.callback(engine.remove, Resource("volume", name, "", ""))


def _keeper(engine: DockerEngine, spec: CellSpec, layer: str, out: str, undo: contextlib.ExitStack) -> Any:
    """Start a container that fills the volumes and keeps them mounted until the cell has started."""
    mounts = [Mount("/layer", layer, no_copy=True), Mount("/out", out, no_copy=True)]
    script = "mkdir /layer/upper /layer/work"
    if spec.state:
        mounts += [
            Mount(f"/state/{place}", volume, read_only=True, no_copy=True)
            for place, volume in zip(("layer", "out"), spec.state, strict=True)
        ]
        script += " && cp -a /state/layer/upper/. /layer/upper/ && cp -a /state/out/. /out/"
    keeper = engine.client.containers.create(
        spec.image, ["sh", "-c", f"{script} && touch /layer/ready && exec sleep 600"],
        user=f"{UID}:{UID}", network_mode="none", cap_drop=["ALL"], labels=engine.labels("cell"), init=True,
        mounts=mounts,
    )  # fmt: skip
    undo.callback(engine.remove, Resource("container", keeper.id, "", ""))
    keeper.start()
    deadline = time.monotonic() + FILL_S
    while time.monotonic() < deadline:
        try:
            if keeper.exec_run(["test", "-e", "/layer/ready"]).exit_code == 0:
                return keeper
        except APIError:  # it has ended
            break
        time.sleep(0.05)
    raise InfrastructureError("a cell's layer could not be made", keeper.logs().decode(errors="replace"))


def _create(engine: DockerEngine, spec: CellSpec, name: str, mounts: dict[str, tuple[str, bool]]) -> Any:
    tmpfs = f"exec,nosuid,nodev,size={spec.limits.disk_bytes},mode=1777"
    return engine.client.containers.create(
        spec.image,
        [*AGENT, "hold"],
        name=name,
        hostname=spec.hostname,
        labels=engine.labels("cell"),
        user=f"{UID}:{UID}",
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        mem_limit=spec.limits.memory_bytes,
        memswap_limit=spec.limits.memory_bytes,
        pids_limit=spec.limits.pids,
        cpuset_cpus=spec.cpus or None,
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
        log_config=LogConfig(type="none"),
        tmpfs={"/tmp": tmpfs},  # noqa: S108 - the cell's
        mounts=[
            *(Mount(path, volume, read_only=read_only, no_copy=True) for path, (volume, read_only) in mounts.items()),
            Mount("/agent", spec.agent_volume, read_only=True, no_copy=True),
        ],
    )
