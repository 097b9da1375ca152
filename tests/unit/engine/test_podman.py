"""The settings and the command line of a private Podman."""

from __future__ import annotations

import resource
import tomllib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from matrix.engine import daemons
from matrix.engine.daemons import Site, podman
from matrix.engine.daemons.podman import PID_MAX

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path) -> tuple[dict[str, dict[str, object]], list[str]]:
    """Return the settings that a private Podman is given, and its command line."""
    site = Site(folder / "engine.sock", folder / "data", folder / "runtime")
    words = daemons.named("podman").command(site)
    return tomllib.loads((folder / "containers.conf").read_text()), words


@pytest.mark.parametrize(("programs", "runtime"), [({"runc", "crun"}, "runc"), ({"crun"}, None)])
def test_runc_is_used_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: set[str], runtime: str | None
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name if name in programs else None)
    written, _ = settings(tmp_path)
    assert written["engine"].get("runtime") == runtime


def test_limits_are_those_of_who_starts_it_the_soft_one_as_the_hard_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = {resource.RLIMIT_NOFILE: 4096, resource.RLIMIT_NPROC: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1, hard[kind]))
    written, _ = settings(tmp_path)
    assert written["containers"]["default_ulimits"] == ["nofile=4096:4096"]
    hard[resource.RLIMIT_NPROC] = 1 << 40
    written, _ = settings(tmp_path)
    most = int(PID_MAX.read_text())
    assert written["containers"]["default_ulimits"] == ["nofile=4096:4096", f"nproc={most}:{most}"]


def test_its_files_are_its_own(tmp_path: Path) -> None:
    _, words = settings(tmp_path)
    assert words[0] == f"CONTAINERS_CONF={tmp_path}/containers.conf"
    assert words[words.index("--root") + 1] == f"{tmp_path}/data"
    assert words[words.index("--runroot") + 1] == f"{tmp_path}/runtime/run"
    assert words[-1] == f"unix://{tmp_path}/engine.sock"


def test_registries_on_this_machine_alone_are_spoken_to_without_tls(tmp_path: Path) -> None:
    settings(tmp_path)
    found = tomllib.loads((tmp_path / "registries.conf").read_text())["registry"]
    assert {entry["location"] for entry in found if entry["insecure"]} == set(podman.LOOPBACK)


def test_its_locks_are_its_own(tmp_path: Path) -> None:
    written, _ = settings(tmp_path)
    assert written["engine"]["lock_type"] == "file"


@pytest.mark.parametrize(("status", "words"), [(0, ["--storage-driver", "overlay"]), (125, [])])
def test_overlay_storage_is_asked_for_where_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: list[str]
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: SimpleNamespace(returncode=status))
    _, given = settings(tmp_path)
    assert given[given.index("system") - len(words) : given.index("system")] == words
    assert ("--storage-driver" in given) == bool(words)


@pytest.mark.parametrize(("user", "last"), [(0, ["umount", "{}/data/overlay"]), (1000, ["system", "migrate"])])
def test_all_that_outlives_it_is_ended_the_containers_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, last: list[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    first, second = podman.DAEMON.ends(Site(tmp_path / "engine.sock", tmp_path / "data", tmp_path / "runtime"))
    assert first[-4:] == ["stop", "--all", "--time", "0"]
    assert second[-2:] == [word.format(tmp_path) for word in last]
