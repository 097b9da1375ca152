from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import daemons, private_engine
from matrix.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(("name", "program", "stops"), [("docker", "dockerd", 0), ("podman", "podman", 1)])
def test_a_daemon_is_stopped_saying_so(
    places: Path, monkeypatch: pytest.MonkeyPatch, name: str, program: str, stops: int
) -> None:
    running = [4711]
    monkeypatch.setattr(private_engine, "_running", lambda: (running[0], name) if running else None)
    monkeypatch.setattr(os, "kill", lambda *_: running.clear())
    ended: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda argv, **_: ended.append(argv))
    said: list[str] = []
    assert private_engine.down(said.append)
    assert not private_engine.down(said.append)
    assert said == [f"stopping {program} (process 4711)"]
    assert [argv[-4:] for argv in ended if "stop" in argv] == [["stop", "--all", "--time", "0"]] * stops
    assert places.is_dir()


def test_the_daemon_gets_nothing_of_a_run_or_of_git_from_who_starts_it(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", str(places / "runtime"))
    given: dict[str, str] = {}

    def spawn(_program: str, _argv: list[str], environment: Mapping[str, str], **_: Any) -> int:
        given.update(environment)
        return 1

    monkeypatch.setattr(os, "posix_spawn", spawn)
    monkeypatch.setattr(private_engine, "_answers_in_time", lambda *_: True)
    monkeypatch.setenv("GIT_DIR", "/repository")
    monkeypatch.setenv("PERF_MATRIX_RUN", "/run")
    monkeypatch.setenv("HTTPS_PROXY", "proxy")
    private_engine._start(private_engine.status(), daemons.named("docker"))
    assert given["HTTPS_PROXY"] == "proxy"
    assert not any(name.startswith(("PERF_MATRIX_", "GIT_")) for name in given)


def test_the_engine_that_runs_is_known_by_its_process(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", str(places / "runtime"))
    (places / "runtime").mkdir(parents=True)
    address = f"unix://{places}/runtime/engine.sock"
    asleep = ["sleep 60; exit", "system", "service", address]
    for program, name in (("podman", "podman"), ("dockerd", "docker"), ("other", None)):
        with subprocess.Popen([program, "-c", *asleep], executable="/bin/sh") as process:
            (places / "runtime" / "engine.pid").write_text(f"{process.pid}\n")
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # the kernel fills it after the exec
                time.sleep(0.01)
            running = private_engine.status()
            process.kill()
        assert running.pid == (process.pid if name else None)
        if name:
            assert running.name == name
            assert running.log.name == f"{program}.log"


def test_one_private_engine_is_not_replaced_by_another(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", str(places / "runtime"))
    monkeypatch.setattr(private_engine, "_running", lambda: (4711, "docker"))
    assert private_engine.up(print).pid == 4711
    assert private_engine.up(print, "docker").pid == 4711
    with pytest.raises(UsageError, match=r"the private engine is docker \(process 4711\)\n  `perf-matrix engine down`"):
        private_engine.up(print, "podman")
    with pytest.raises(UsageError, match=r"no engine is called 'lxc'\n  There are: docker, podman\."):
        private_engine.up(print, "lxc")


@pytest.mark.parametrize(
    ("user", "installed", "name"),
    [
        (0, {"dockerd", "podman"}, "docker"), (0, {"podman"}, "podman"), (0, set[str](), "docker"),
        (1000, {"dockerd", "podman"}, "podman"),
    ],
)  # fmt: skip
def test_the_first_engine_that_this_user_may_start_is_chosen(
    monkeypatch: pytest.MonkeyPatch, user: int, installed: set[str], name: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: program if program in installed else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert daemons.chosen() is daemons.named(name)
    assert private_engine._preferred() == name


def test_a_user_without_podman_is_told_what_to_do(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", str(places / "runtime"))
    monkeypatch.setattr("shutil.which", lambda program: program if program == "dockerd" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InfrastructureError, match="dockerd needs root, and podman is not installed\n  Run as root"):
        private_engine.up(print)
    with pytest.raises(InfrastructureError, match="dockerd must be started as root\n  Run as root, install podman"):
        private_engine.up(print, "docker")
