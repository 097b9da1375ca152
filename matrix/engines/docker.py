"""The Docker Engine API, as Docker and Podman serve it. The one module that imports `docker`."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import tarfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Mount, Ulimit
from docker.utils.socket import STDERR, frames_iter
from requests.exceptions import RequestException

from matrix import paths
from matrix.archive import tar_of
from matrix.engines import AGENT, LABEL, RUN_LABEL, UID, CellSpec, Resource
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

EMPTY = "perf-build-matrix/empty:1"
COMPLETE = "complete"
REMOVE_TRIES = 20
SANDBOX: dict[str, Any] = {
    "user": f"{UID}:{UID}", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "read_only": True,
    "mem_limit": 2 << 30, "pids_limit": 256, "tmpfs": {"/tmp": "size=1g,mode=1777"},  # noqa: S108 - the container's
}  # fmt: skip
"""What a script without network runs in: it may look at files that come from a build."""
OVERLAY = "metacopy=off,redirect_dir=off,index=off"  # so that the upper layer is the whole truth


def _hosts() -> Iterator[str]:
    if os.environ.get("DOCKER_HOST"):
        yield os.environ["DOCKER_HOST"]
        return
    with contextlib.suppress(Exception):  # a broken context of the user's is no reason not to look further
        host = docker.ContextAPI.get_current_context().Host
        if host:
            yield host
    user = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    for path in (
        Path("/var/run/docker.sock"),
        paths.engine_socket(),
        user / "docker.sock",
        user / "podman" / "podman.sock",
        Path("/run/podman/podman.sock"),
    ):
        if path.exists():
            yield f"unix://{path}"


def _listens(url: str) -> bool:
    """Return whether something listens on a socket's path; of another kind of address the client will tell."""
    scheme, _, path = url.partition("://")
    if scheme not in ("unix", "http+unix"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def connect(host: str | None, tried: list[str], session: str) -> DockerEngine | None:
    """Return the engine at `host`, or else at the first place that answers; note in `tried` where was looked."""
    for url in dict.fromkeys([host] if host else _hosts()):
        tried.append(url)
        if not _listens(url):
            continue
        with contextlib.suppress(DockerException, RequestException, OSError):
            client = docker.DockerClient(base_url=url, version="auto", timeout=600, tls=_tls(url))
            client.ping()
            return DockerEngine(client, url, session)
    return None


def _tls(url: str) -> Any:
    """Return the TLS settings that DOCKER_TLS_VERIFY and DOCKER_CERT_PATH ask for, for a host that they can mean."""
    return docker.utils.kwargs_from_env().get("tls", False) if url.startswith("tcp://") else False


@contextlib.contextmanager
def _failing_as(what: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        reason = getattr(error, "explanation", None) or str(error)
        hint = "Free some disk space, or run `perf-matrix clean`." if "no space left" in str(reason) else ""
        raise InfrastructureError(f"the engine could not {what}: {reason}", hint) from error


@contextlib.contextmanager
def _stream(api: Any, execution: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """Start a program and give its output as (stream, block); docker's own reader leaves the connection open."""
    connection = api.exec_start(execution, socket=True)
    try:
        yield frames_iter(connection, tty=False)
    finally:
        connection._response.close()  # noqa: SLF001 - where docker keeps what closes the connection


class DockerContainer:
    """A cell that runs in Docker."""

    def __init__(self, engine: DockerEngine, container: Any, volumes: list[str]) -> None:
        self.engine = engine
        self.container = container
        self.volumes = volumes
        self.overdue = False
        self.id: str = container.id

    def run(self, argv: Sequence[str], on_log: Callable[[bytes], None], deadline_s: float) -> tuple[int, bytes]:
        """Run a program (see Container.run)."""
        api = self.engine.client.api
        timer = threading.Timer(deadline_s, self._kill)
        self.overdue = False
        with _failing_as("run a step"):
            execution = api.exec_create(self.id, list(argv))["Id"]
            timer.start()
            try:
                facts = bytearray()
                with _stream(api, execution) as frames:
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
            "-it",
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


class DockerEngine:
    """An engine that speaks the Docker Engine API."""

    def __init__(self, client: Any, url: str, session: str) -> None:
        self.client = client
        self.url = url
        self.session = session

    def _labels(self, purpose: str) -> dict[str, str]:
        return {LABEL: purpose, RUN_LABEL: self.session}

    def describe(self) -> dict[str, str]:
        """Describe the engine."""
        with _failing_as("describe itself"):
            info = self.client.info()
            version = self.client.version()
        return {
            "engine": f"{version.get('Platform', {}).get('Name') or 'docker'} {version['Version']}".strip(),
            "api": version["ApiVersion"],
            "url": self.url,
            "kernel": info["KernelVersion"],
            "architecture": info["Architecture"],
            "storage": info["Driver"],
            "cgroup": str(info.get("CgroupVersion", "1")),
            "cpus": str(info["NCPU"]),
            "memory_bytes": str(info["MemTotal"]),
        }

    def image(self, tag: str) -> str | None:
        """Return an image's digest."""
        with _failing_as(f"look up image {tag}"):
            try:
                image = self.client.images.get(tag)
            except ImageNotFound:
                return None
        return str(image.id)

    def pull(self, reference: str, tag: str) -> str | None:
        """Pull an image."""
        try:
            image = self.client.images.pull(reference)
        except (APIError, RequestException):
            return None
        repository, _, version = tag.partition(":")
        image.tag(repository, version)
        digests = image.attrs.get("RepoDigests") or [image.id]
        return str(digests[0])

    def import_image(self, archive: Path, tag: str) -> None:
        """Import an image."""
        repository, _, version = tag.partition(":")
        with _failing_as(f"import {tag}"):
            changes = [f"LABEL {LABEL}=base"]
            self.client.api.import_image_from_file(str(archive), repository, version, changes=changes)

    def build(self, dockerfile: str, tag: str, on_log: Callable[[str], None]) -> None:
        """Build an image; the build's own output goes to `on_log`."""
        context = io.BytesIO(tar_of({"Dockerfile": dockerfile.encode()}))
        last: list[str] = []
        with _failing_as(f"build {tag}"):
            for message in self.client.api.build(
                fileobj=context, custom_context=True, tag=tag, network_mode="host", rm=True, forcerm=True,
                labels={LABEL: "image"}, decode=True,
            ):  # fmt: skip
                text = message.get("stream", "")
                on_log(text)
                last = [*last[-19:], *text.splitlines()]
                if "error" in message:
                    raise InfrastructureError(f"{tag} could not be built: {message['error']}", "\n  ".join(last))

    def script(self, image: str, text: str, *, network: bool, volume: str = "") -> tuple[int, bytes]:
        """Run a script in a container that is gone afterwards."""
        with _failing_as("run a script"), self._scripted(image, text, network, volume) as container:
            status = container.wait()["StatusCode"]
            return status, container.logs(stdout=True, stderr=status != 0)

    def fetch(self, image: str, text: str, path: str, target: Path) -> None:
        """Copy a file out of a script's container."""
        with _failing_as(f"fetch {path}"), self._scripted(image, text, network=True, volume="") as container:
            if container.wait()["StatusCode"]:
                tail = container.logs()[-2000:].decode(errors="replace")
                raise InfrastructureError(f"{target.name} could not be fetched", f"Is the network up? {tail}")
            stream, _ = container.get_archive(path)
            with tarfile.open(fileobj=_Reader(stream), mode="r|") as archive:
                for member in archive:
                    source = archive.extractfile(member)
                    if source is not None:
                        with target.open("wb") as file:
                            while block := source.read(1 << 20):
                                file.write(block)

    @contextlib.contextmanager
    def _scripted(self, image: str, text: str, network: bool, volume: str) -> Iterator[Any]:  # noqa: FBT001 - private
        container = self.client.containers.create(
            image, ["sh", "-ec", text], network_mode="host" if network else "none", labels=self._labels("script"),
            mounts=[Mount("/volume", volume, read_only=True, no_copy=True)] if volume else [],
            **({} if network else SANDBOX),
        )  # fmt: skip
        try:
            container.start()
            yield container
        finally:
            self.remove(Resource("container", container.id, "", ""))

    def provide(self, volume: str, purpose: str, archive: Callable[[], Iterator[bytes]]) -> None:
        """Fill a volume; a file written last says that it is whole."""
        with _failing_as(f"fill volume {volume}"):
            if self.image(EMPTY) is None:
                self._make_empty_image()
            self.client.volumes.create(volume, labels=self._labels(purpose))
            holder = self.client.containers.create(
                EMPTY, ["none"], labels=self._labels("script"), network_mode="none",
                mounts=[Mount("/volume", volume, no_copy=True)],
            )  # fmt: skip
            try:
                with contextlib.suppress(NotFound):
                    holder.get_archive(f"/volume/{COMPLETE}")
                    return
                holder.put_archive("/volume", archive())
                holder.put_archive("/volume", tar_of({COMPLETE: b""}))
            finally:
                self.remove(Resource("container", holder.id, "", ""))

    def _make_empty_image(self) -> None:
        repository, _, version = EMPTY.partition(":")
        changes = [f"LABEL {LABEL}=base"]
        self.client.api.import_image_from_data(tar_of({"empty": b""}), repository, version, changes=changes)

    def _mountpoint(self, volume: str) -> str:
        point = str(self.client.volumes.get(volume).attrs["Mountpoint"])
        if set(point) & set(":,\\"):
            raise InfrastructureError(f"the engine keeps volumes at {point}", "Overlay mounts take no `:`, `,`, `\\`.")
        return point

    def cell(self, spec: CellSpec) -> DockerContainer:
        """Start a cell (see Engine.cell): a volume in memory for the upper layer, an overlay over it and the tree."""
        name = f"pbm-{uuid.uuid4().hex[:12]}"
        layer, source = f"{name}-layer", f"{name}-src"
        labels = self._labels("cell")
        with _failing_as("start a cell"), contextlib.ExitStack() as undo:
            size = f"size={spec.limits.disk_bytes},uid={UID},gid={UID},mode=0755"
            self._volume(layer, labels, {"type": "tmpfs", "device": "tmpfs", "o": size}, undo)
            keeper = self._keeper(spec.image, layer, labels, undo)
            upper = self._mountpoint(layer)
            lower = f"{self._mountpoint(spec.tree_volume)}/tree"
            options = f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work,{OVERLAY}"
            self._volume(source, labels, {"type": "overlay", "device": "overlay", "o": options}, undo)
            container = self._create(spec, name, labels, layer, source)
            undo.callback(self.remove, Resource("container", container.id, "", ""))
            container.start()
            undo.pop_all()
            self.remove(Resource("container", keeper.id, "", ""))
        return DockerContainer(self, container, [source, layer])

    def _volume(self, name: str, labels: dict[str, str], options: dict[str, str], undo: contextlib.ExitStack) -> None:
        self.client.volumes.create(name, driver="local", driver_opts=options, labels=labels)
        undo.callback(self.remove, Resource("volume", name, "", ""))

    def _keeper(self, image: str, layer: str, labels: dict[str, str], undo: contextlib.ExitStack) -> Any:
        """Start a container that makes the layer's folders and keeps it mounted until the cell has started."""
        keeper = self.client.containers.create(
            image, ["sh", "-c", "mkdir /layer/upper /layer/work && touch /layer/ready && exec sleep 600"],
            user=f"{UID}:{UID}", network_mode="none", cap_drop=["ALL"], labels=labels, init=True,
            mounts=[Mount("/layer", layer, no_copy=True)],
        )  # fmt: skip
        undo.callback(self.remove, Resource("container", keeper.id, "", ""))
        keeper.start()
        for _ in range(200):
            if keeper.exec_run(["test", "-e", "/layer/ready"]).exit_code == 0:
                return keeper
            time.sleep(0.05)
        raise InfrastructureError("a cell's layer could not be made", keeper.logs().decode(errors="replace"))

    def _create(self, spec: CellSpec, name: str, labels: dict[str, str], layer: str, source: str) -> Any:
        tmpfs = f"exec,nosuid,nodev,size={spec.limits.disk_bytes}"
        return self.client.containers.create(
            spec.image,
            [*AGENT, "hold"],
            name=name,
            hostname=spec.hostname,
            labels=labels,
            user=f"{UID}:{UID}",
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            mem_limit=spec.limits.memory_bytes,
            memswap_limit=spec.limits.memory_bytes,
            pids_limit=spec.limits.pids,
            ulimits=[Ulimit(name="core", soft=0, hard=0)],
            log_config=LogConfig(type="none"),
            tmpfs={"/tmp": f"{tmpfs},mode=1777", "/out": f"{tmpfs},uid={UID},gid={UID},mode=0755"},  # noqa: S108 - the cell's
            mounts=[
                Mount("/src", source, no_copy=True),
                Mount("/layer", layer, read_only=True, no_copy=True),
                Mount("/agent", spec.agent_volume, read_only=True, no_copy=True),
            ],
        )

    def resources(self) -> list[Resource]:
        """List containers first, so that removing in order works."""
        wanted = {"label": LABEL}
        with _failing_as("list what is ours"):
            containers = self.client.api.containers(all=True, filters=wanted)
            volumes = self.client.api.volumes(filters=wanted)["Volumes"] or []
            images = self.client.api.images(filters=wanted)
        return [
            *(_resource("container", item["Id"], item) for item in containers),
            *(_resource("volume", item["Name"], item) for item in volumes),
            *(_resource("image", (item.get("RepoTags") or [item["Id"]])[0], item) for item in images),
        ]

    def remove(self, resource: Resource) -> None:
        """Remove a container, volume or image of ours; what is being removed already is waited for."""
        api = self.client.api
        with _failing_as(f"remove {resource.kind} {resource.name}"):
            for attempt in range(REMOVE_TRIES):
                try:
                    if resource.kind == "container":
                        api.remove_container(resource.name, force=True, v=True)
                    elif resource.kind == "volume":
                        api.remove_volume(resource.name)
                    else:
                        api.remove_image(resource.name)
                except NotFound:
                    return
                except APIError as error:
                    if error.status_code != requests.codes.conflict or attempt == REMOVE_TRIES - 1:
                        raise
                    time.sleep(0.25)
                else:
                    return


def _resource(kind: str, name: str, item: Any) -> Resource:
    labels = item.get("Labels") or {}
    return Resource(kind, name, labels.get(LABEL, ""), labels.get(RUN_LABEL, ""))


class _Reader(io.RawIOBase):
    """A readable file over an iterator of blocks, which tarfile can stream from."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self.rest) < size:
            block = next(self.blocks, None)
            if block is None:
                break
            self.rest += block
        size = len(self.rest) if size < 0 else size
        data, self.rest = self.rest[:size], self.rest[size:]
        return data
