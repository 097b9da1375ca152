"""`perf-matrix engine`: a second private engine, in a network and mount namespace of its own, beside the one in use."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.engine import backends
from tests.engine.requirements import needs, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine
    from tests.engine.bench import Bench, Done

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def _root() -> None:
    needs_root()


class Place:
    """Sockets, caches and programs of a private engine that is not the user's."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.folder = folder
        self.variables = {
            "PERF_MATRIX_RUNTIME": str(self.folder / "run"),
            "PERF_MATRIX_CACHE": str(self.folder / "cache"),
        }

    def engine(self, *words: str, **more: str) -> Done:
        return self.bench.command("engine", *words, **self.variables, **more)

    def programs(self, **scripts: str) -> str:
        """Return a PATH of these scripts alone."""
        folder = self.folder / "bin"
        folder.mkdir(parents=True)
        for name, text in scripts.items():
            path = folder / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(folder)


@pytest.fixture
def place(bench: Bench) -> Iterator[Place]:
    """Return a place whose path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="pbm-") as folder:
        yield Place(bench, Path(folder))


def test_an_engine_that_does_not_run_is_status_3(place: Place) -> None:
    done = place.engine("status")
    assert done.status == 3
    assert done.out.splitlines()[:2] == ["not running", f"socket: {place.folder}/run/engine.sock"]
    assert json.loads(place.engine("status", "--json").out)["running"] is False
    assert place.engine("down").out == "it was not running\n"


def test_without_the_program_and_leave_to_install_it_the_message_says_what_to_do(place: Place) -> None:
    done = place.engine("up", "--no-install", PATH=place.programs())
    assert done.status == 3
    assert "docker.io" in done.err
    assert "Install it: apt-get install docker.io" in done.err


def test_an_engine_that_does_not_start_shows_the_end_of_its_log(place: Place) -> None:
    done = place.engine("up", "--no-install", PATH=place.programs(dockerd="echo no room in here; exit 1"))
    assert done.status == 3
    assert "dockerd did not start" in done.err
    assert "no room in here" in done.err
    assert place.engine("status").status == 3


def test_a_process_that_only_has_the_recorded_number_is_not_taken_for_the_engine(place: Place) -> None:
    (place.folder / "run").mkdir(parents=True)
    (place.folder / "run" / "engine.pid").write_text(f"{os.getpid()}\n")
    assert place.engine("status").status == 3
    assert place.engine("down").out == "it was not running\n"


def test_up_starts_one_down_stops_it_and_the_one_in_use_stays(
    place: Place, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(engine, "unshare", "dockerd")
    monkeypatch.setattr(place.bench, "python", ("unshare", "--net", "--mount", "--", *place.bench.python))
    _goes_up_and_down(place, "docker", "--no-install")
    assert engine.describe()["url"]


def test_podman_goes_up_and_down_too(place: Place, engine: Engine) -> None:
    _goes_up_and_down(place, "podman")
    assert engine.describe()["url"]


def _goes_up_and_down(place: Place, kind: str, *words: str) -> None:
    try:
        up = place.engine("up", "--kind", kind, *words, PYTHONWARNINGS="default::ResourceWarning")
        assert up.status == 0, up.text
        assert "ResourceWarning" not in up.text
        assert f"running: DOCKER_HOST=unix://{place.folder}/run/engine.sock" in up.out
        again = place.engine("up", "--no-install")
        assert "starting" not in again.out
        told = json.loads(place.engine("status", "--json").out)
        assert (told["running"], told["kind"]) == (True, kind)
        other = backends.connect(f"unix://{place.folder}/run/engine.sock")
        assert kind in other.describe()["engine"].lower()
        assert other.resources() == []
    finally:
        down = place.engine("down")
    assert down.out == "stopped\n", down.text
    assert place.engine("status").status == 3


def test_where_the_engine_is_gone_it_is_told_where_was_looked(bench: Bench, tmp_path: Path) -> None:
    dead = f"unix://{tmp_path}/dead.sock"
    done = bench.command("clean", DOCKER_HOST=dead)
    assert done.status == 3
    assert f"no container engine answers (looked at {dead})" in done.err
    assert "DOCKER_HOST names the only engine that is tried" in done.err
