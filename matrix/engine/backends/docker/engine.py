"""The Docker engine: images, volumes, scripts in containers of their own, and the resources that carry our label."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import shutil
import tarfile
import time
from typing import TYPE_CHECKING, Any, BinaryIO

import requests
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import Mount

from matrix.engine import limits
from matrix.engine.api import LABEL, RUN_LABEL, SCRIPT_MEMORY_BYTES, SCRIPT_PIDS, UID, CellSpec, Resource
from matrix.engine.backends.docker import cell, description, exchange, streams
from matrix.engine.backends.docker.api import failing_as, of_the_api
from matrix.engine.backends.docker.streams import Reader
from matrix.errors import InfrastructureError
from matrix.files import tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.backends.docker.cell import DockerContainer

REPOSITORY = "perf-build-matrix"
"""The folder that all names of our images are in."""

EMPTY = f"{REPOSITORY}/empty:1"
"""The image of the containers through which volumes are filled: nothing in them runs, so it holds one empty file."""

COMPLETE = "complete"
"""The file that is written last into a volume, and shows that all of it is there."""

REMOVE_TRIES, REMOVE_PAUSE_S = 20, 0.25
"""Together 5 s: the time that an engine under load takes to let go of a volume whose container is gone."""

FETCHED_BYTES = 4 << 30
"""The largest file that is copied out of a script's container, as the largest that is downloaded."""

UNTAGGED = "<none>:<none>"
"""The tag that Docker lists for an image without one."""

BLOCK_BYTES = 1 << 20
SANDBOX: dict[str, Any] = {
    "user": f"{UID}:{UID}", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "read_only": True,
    "mem_limit": SCRIPT_MEMORY_BYTES, "pids_limit": SCRIPT_PIDS, "tmpfs": {"/tmp": "size=1g,mode=1777"},  # noqa: S108 - the container's
}  # fmt: skip
"""The confinement of a script without network, which may look at files that come from a build."""


class DockerEngine:
    """An engine that speaks the Docker Engine API."""

    def __init__(self, client: Any, url: str, session: str) -> None:
        self.client = client
        self.url = url
        self.session = session

    def labels(self, purpose: str) -> dict[str, str]:
        """Return the labels of a container or volume of this session; `purpose` says what the resource is for."""
        return {LABEL: purpose, RUN_LABEL: self.session}

    def describe(self) -> dict[str, str]:
        """Describe the engine (see Engine.describe), by GET /info and GET /version of the Docker Engine API."""
        with failing_as("describe itself"), of_the_api():
            described = description.of(self.client.info(), self.client.version(), self.url)
        # A user's engine may have no limits on memory and processes to set; root's has.
        lacking = limits.unenforced(self) if self.is_rootless else ()
        return {**described, "limits_not_enforced": ", ".join(lacking)} if lacking else described

    @functools.cached_property
    def is_rootless(self) -> bool:
        """Whether the engine is a user's, by its own word: it mounts volumes in a user namespace then."""
        with failing_as("describe itself"), of_the_api():
            info = self.client.info()
            # Docker's word for it is one of these options, Podman's a fact of its own.
            return bool(info.get("Rootless")) or "name=rootless" in (info.get("SecurityOptions") or ())

    def image(self, tag: str) -> str | None:
        """Return an image's digest (see Engine.image)."""
        with failing_as(f"look up image {tag}"), of_the_api():
            try:
                image = self.client.images.get(tag)
            except ImageNotFound:
                return None
        return str(image.id)

    def pull(self, reference: str, tag: str) -> str | None:
        """Pull an image (see Engine.pull)."""
        with failing_as(f"pull {reference}"), of_the_api():
            try:
                image = self.client.images.pull(reference)
            except APIError:  # whether it is not there or no registry answers: the base is bootstrapped then
                return None
            repository, _, version = tag.partition(":")
            image.tag(repository, version)
        digests = image.attrs.get("RepoDigests") or [image.id]  # a mirror may give none
        return str(digests[0])

    def pull_by_digest(self, reference: str) -> str:
        """Pull an image by its digest (see Engine.pull_by_digest)."""
        with failing_as(f"pull {reference}"), of_the_api():
            return exchange.pull(self.client, reference)

    def push(self, tag: str, target: str) -> str:
        """Push an image (see Engine.push)."""
        with failing_as(f"push {target}"), of_the_api():
            return exchange.push(self.client, tag, target)

    def import_image(self, archive: Path, tag: str) -> None:
        """Import an image (see Engine.import_image)."""
        with failing_as(f"import {tag}"), of_the_api(), archive.open("rb") as file:
            self._import(file, tag)

    def _import(self, archive: BinaryIO, tag: str) -> None:
        """Import an image and tag it by its id: Podman 4.3 would make `NAME:latest` of `NAME:TAG`."""
        answer = self.client.api.import_image_from_data(archive, changes=[f"LABEL {LABEL}=base"])
        repository, _, version = tag.partition(":")
        self.client.api.tag(json.loads(answer)["status"], repository, version)

    def build(self, dockerfile: str, tag: str, on_log: Callable[[str], None]) -> None:
        """Build an image (see Engine.build); the build's own output goes to `on_log`."""
        context = io.BytesIO(tar_of({"Dockerfile": dockerfile.encode()}))
        last: list[str] = []
        with failing_as(f"build {tag}"), of_the_api():
            # The host's network: apt-get works there wherever it works on this machine, as with a proxy at localhost.
            # rm and forcerm remove the containers of its steps, which carry no label by which they could be swept.
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
        """Run a script in a container that is removed afterwards (see Engine.script)."""
        with (
            failing_as("run a script"),
            of_the_api(),
            self._scripted(image, text, network=network, volume=volume) as container,
        ):
            status = int(container.wait()["StatusCode"])
            # Warnings of a script that succeeded would be taken for its answer.
            return status, streams.log(self.client.api, container.id, stderr=status != 0)

    def fetch(self, image: str, text: str, path: str, target: Path) -> None:
        """Copy a file out of a script's container (see Engine.fetch)."""
        with (
            failing_as(f"fetch {path}"),
            of_the_api(),
            self._scripted(image, text, network=True, volume="") as container,
        ):
            if container.wait()["StatusCode"]:
                said = streams.log_end(self.client.api, container.id)
                raise InfrastructureError(f"the script that makes {path} failed", f"Is the network up? {said}")
            stream, _ = container.get_archive(path)
            _copy_file(Reader(stream), target)

    @contextlib.contextmanager
    def _scripted(self, image: str, text: str, *, network: bool, volume: str) -> Iterator[Any]:
        container = self.client.containers.create(
            image, ["sh", "-ec", text], network_mode="host" if network else "none", labels=self.labels("script"),
            mounts=[Mount("/volume", volume, read_only=True, no_copy=True)] if volume else [],
            **({} if network else SANDBOX),
        )  # fmt: skip
        try:
            container.start()
            yield container
        finally:
            self.remove(Resource("container", container.id, "", ""))

    def provide(self, volume: str, purpose: str, archive: Callable[[], Iterator[bytes]]) -> None:
        """Fill a volume (see Engine.provide); the file COMPLETE, written last, shows that the volume is whole."""
        with failing_as(f"fill volume {volume}"):
            if self.image(EMPTY) is None:
                self._make_empty_image()
            with of_the_api():
                self.client.volumes.create(volume, labels=self.labels(purpose))
                # The API writes into a volume through a container alone; it need not be started.
                holder = self.client.containers.create(
                    EMPTY, ["none"], labels=self.labels("script"), network_mode="none",
                    mounts=[Mount("/volume", volume, no_copy=True)],
                )  # fmt: skip
            try:
                with contextlib.suppress(NotFound), of_the_api():
                    holder.get_archive(f"/volume/{COMPLETE}")
                    return
                holder.put_archive("/volume", archive())
                holder.put_archive("/volume", tar_of({COMPLETE: b""}))
            finally:
                self.remove(Resource("container", holder.id, "", ""))

    def _make_empty_image(self) -> None:
        with of_the_api():
            self._import(io.BytesIO(tar_of({"empty": b""})), EMPTY)

    def cell(self, spec: CellSpec) -> DockerContainer:
        """Start a cell (see Engine.cell)."""
        return cell.start(self, spec)

    def resources(self) -> list[Resource]:
        """List the resources (see Engine.resources)."""
        wanted = {"label": LABEL}
        with failing_as("list what is ours"), of_the_api():
            containers = self.client.api.containers(all=True, filters=wanted)
            volumes = self.client.api.volumes(filters=wanted)["Volumes"] or []  # null where there is none
            images = self.client.api.images(filters=wanted)
            return [
                *(_resource("container", item["Id"], item) for item in containers),
                *(_resource("volume", item["Name"], item) for item in volumes),
                *(_resource("image", name, item) for item in images for name in _image_names(item)),
            ]

    def remove(self, resource: Resource) -> None:
        """Remove a resource (see Engine.remove), after waiting for others that use or remove it."""
        with failing_as(f"remove {resource.kind} {resource.name}"), of_the_api():
            for attempt in range(1, REMOVE_TRIES + 1):
                if self._is_removed(resource, is_last_try=attempt == REMOVE_TRIES):
                    return
                time.sleep(REMOVE_PAUSE_S)

    def _is_removed(self, resource: Resource, *, is_last_try: bool) -> bool:
        """Try to remove a resource; return whether it is gone.

        The engine answers 409 while a volume is in use or the removal of a container is going on, by the daemon itself
        or by another process, as two sweeps that meet. That passes, so it is tried again.
        """
        try:
            self._remove(resource)
        except NotFound:
            return True
        except APIError as error:
            if is_last_try or error.status_code != requests.codes.conflict:
                raise
            return False
        return True

    def _remove(self, resource: Resource) -> None:
        api = self.client.api
        if resource.kind == "container":
            # force kills it first; v takes the anonymous volumes that its image may declare, which have no label.
            api.remove_container(resource.name, force=True, v=True)
        elif resource.kind == "volume":
            api.remove_volume(resource.name)
        else:
            api.remove_image(resource.name)


def _copy_file(stream: Reader, target: Path) -> None:
    """Write the one file that a tar archive holds.

    Raises:
        InfrastructureError: the file has more than FETCHED_BYTES, or the archive is damaged.

    """
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _check_size(member)
                source = archive.extractfile(member) if member.isreg() else None
                if source is not None:
                    with target.open("wb") as file:
                        shutil.copyfileobj(source, file, BLOCK_BYTES)
    except (tarfile.TarError, EOFError, ValueError) as error:  # a PAX header may have any text for a number
        raise InfrastructureError(f"the engine gives no archive of a file: {error}", "Try again.") from error


def _check_size(member: tarfile.TarInfo) -> None:
    if member.size > FETCHED_BYTES:
        raise InfrastructureError(
            f"a fetched file has more than {FETCHED_BYTES >> 30} GiB", "Debian's packages of kernels have 200 MB."
        )


def _resource(kind: str, name: str, item: Any) -> Resource:
    labels = item.get("Labels") or {}
    return Resource(kind, name, labels.get(LABEL, ""), labels.get(RUN_LABEL, ""), item.get("Size"))


def _image_names(item: dict[str, Any]) -> list[str]:
    """Return the names that we gave an image, which is gone when its last name is: its tags, and those in registries.

    Without any name its id is returned: its import was ended before its tag was given. Podman has a name with a digest
    for each tag, too, which goes with the tag. A tag that the user gave it is not ours to remove.
    """
    tags = [tag for tag in item.get("RepoTags") or () if tag != UNTAGGED]
    tagged = {tag.rpartition(":")[0] for tag in tags}
    pulled = [name for name in item.get("RepoDigests") or () if name.partition("@")[0] not in {*tagged, "<none>"}]
    names = list(dict.fromkeys([*tags, *pulled]))
    return list(filter(_is_ours, names)) if names else [item["Id"]]


def _is_ours(name: str) -> bool:
    """Return whether a name of an image is below our folder, in this engine or in a registry."""
    return f"/{REPOSITORY}/" in f"/{name}"
