"""Answers of engines other than Docker's own, as Podman 4.3.1 gave them."""

from __future__ import annotations

import contextlib
import json
import mmap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError

from matrix.engine.api import Resource
from matrix.engine.backends.docker.engine import DockerEngine
from matrix.engine.backends.docker.volumes import Volumes
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    import io

INFO = {"KernelVersion": "6", "Architecture": "amd64", "Driver": "overlay", "NCPU": 2, "MemTotal": 8 << 30}
PODMAN = {
    "Platform": {"Name": "linux/amd64/debian-12"},
    "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}],
    "Version": "4.3.1",
    "ApiVersion": "1.41",
}
DOCKER = {"Platform": {"Name": ""}, "Components": [{"Name": "Engine"}], "Version": "20.10.24", "ApiVersion": "1.41"}
COMMUNITY = {"Platform": {"Name": "Docker Engine - Community"}, "Version": "27.0", "ApiVersion": "1.46"}


def engine(**client: Any) -> DockerEngine:
    return DockerEngine(SimpleNamespace(**client), "unix:///engine.sock", "session")


@pytest.mark.parametrize(
    ("version", "name"),
    [(PODMAN, "Podman Engine 4.3.1"), (DOCKER, "docker 20.10.24"), (COMMUNITY, "Docker Engine - Community 27.0")],
)
def test_an_engine_is_called_what_it_calls_itself(version: dict[str, Any], name: str) -> None:
    described = engine(info=lambda: INFO, version=lambda: version).describe()
    assert described["engine"] == name
    assert described["architecture"] == "x86_64"


def test_an_imported_image_is_tagged_by_its_id(tmp_path: Any) -> None:
    tagged: list[tuple[str, ...]] = []

    def imported(file: io.BufferedReader, *, changes: list[str]) -> str:
        assert file.read() == b"tar"
        assert changes == ["LABEL io.perf-build-matrix=base"]
        return json.dumps({"status": "sha256:1", "progress": "", "id": "sha256:1"})

    api = SimpleNamespace(import_image_from_data=imported, tag=lambda *words: tagged.append(words))
    (tmp_path / "tar").write_bytes(b"tar")
    engine(api=api).import_image(tmp_path / "tar", "perf-build-matrix/base:2")
    assert tagged == [("sha256:1", "perf-build-matrix/base", "2")]


def test_an_image_without_a_tag_is_removed_by_its_id() -> None:
    images = [
        {"Id": "sha256:1", "RepoTags": ["<none>:<none>"]},
        {"Id": "sha256:2", "RepoTags": None},
        {"Id": "sha256:3", "RepoTags": ["perf-build-matrix/base:2"]},
    ]
    api = SimpleNamespace(
        containers=lambda **_: [], volumes=lambda **_: {"Volumes": None}, images=lambda **_: images
    )  # fmt: skip
    assert [item.name for item in engine(api=api).resources()] == ["sha256:1", "sha256:2", "perf-build-matrix/base:2"]


def _volumes(refused: str) -> tuple[Volumes, list[str]]:
    """Return a maker of volumes whose engine refuses options that hold a word, and the options that it took."""
    made: list[str] = []

    def create(_name: str, *, driver_opts: dict[str, str], **_: Any) -> None:
        if refused in driver_opts["o"]:
            raise APIError("volume options size and inodes not supported")
        made.append(driver_opts["o"])

    return Volumes(engine(volumes=SimpleNamespace(create=create)), contextlib.ExitStack()), made


def test_a_volume_in_memory_has_its_size_in_pages_where_the_engine_refuses_bytes() -> None:
    volumes, made = _volumes("size=")
    volumes.in_memory("out", "0755", 64 << 20)
    assert made[0].split(",")[0] == f"nr_blocks={(64 << 20) // mmap.PAGESIZE}"
    volumes, made = _volumes("nr_blocks")
    volumes.in_memory("out", "0755", 64 << 20)
    assert made[0].split(",")[0] == f"size={64 << 20}"


def test_a_volume_that_is_refused_in_both_forms_is_an_error() -> None:
    volumes, _ = _volumes("nr_inodes")
    with pytest.raises(APIError):
        volumes.in_memory("out", "0755", 64 << 20)


def test_a_path_that_cannot_be_an_option_of_an_overlay_is_refused() -> None:
    got = SimpleNamespace(attrs={"Mountpoint": "/a:b"})
    of = engine(volumes=SimpleNamespace(get=lambda _: got), info=lambda: INFO)
    volumes = Volumes(of, contextlib.ExitStack())
    with pytest.raises(InfrastructureError, match="a path that no overlay can be made of"):
        volumes.overlay("src", ["tree"], "layer")


@pytest.mark.parametrize(
    ("told", "given"),
    [
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, "metacopy=off,userxattr,index=off"),
        ({"SecurityOptions": ["name=seccomp"], "Rootless": True}, "metacopy=off,userxattr,index=off"),
        ({"SecurityOptions": ["name=seccomp"], "Rootless": False}, "metacopy=off,redirect_dir=off,index=off"),
        ({"SecurityOptions": None}, "metacopy=off,redirect_dir=off,index=off"),
    ],
)
def test_an_overlay_in_a_user_namespace_has_the_options_that_the_kernel_takes_there(
    told: dict[str, Any], given: str
) -> None:
    made: list[str] = []
    volumes = SimpleNamespace(
        get=lambda name: SimpleNamespace(attrs={"Mountpoint": f"/volumes/{name}"}),
        create=lambda _, driver_opts, **__: made.append(driver_opts["o"]),
    )
    of = engine(volumes=volumes, info=lambda: {**INFO, **told})
    Volumes(of, contextlib.ExitStack()).overlay("src", ["top", "tree"], "layer")
    folders = "lowerdir=/volumes/top/tree:/volumes/tree/tree,upperdir=/volumes/layer/upper,workdir=/volumes/layer/work"
    assert made == [f"{folders},{given},nosuid,nodev"]


@pytest.mark.parametrize(
    ("rootless", "images", "told"), [(True, ["one"], "memory, processes"), (True, [], None), (False, ["one"], None)]
)
def test_a_users_engine_tells_the_limits_that_it_does_not_enforce(
    monkeypatch: pytest.MonkeyPatch, *, rootless: bool, images: list[str], told: str | None
) -> None:
    listed = [Resource("image", name, "image", "") for name in images]
    monkeypatch.setattr(DockerEngine, "resources", lambda _: listed)
    monkeypatch.setattr(DockerEngine, "script", lambda *_, **__: (0, b"memory max\nprocesses max\n"))
    described = engine(info=lambda: {**INFO, "Rootless": rootless}, version=lambda: PODMAN).describe()
    assert described.get("limits_not_enforced") == told
