"""A real engine, benches, a live cell and small disks; what this machine lacks for one is a failure in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

from matrix.config import load, tree_words
from matrix.engine import agent_volume, images, private_engine
from matrix.engine.api import CellSpec
from matrix.errors import InfrastructureError
from matrix.runs import ownership
from matrix.trees import volumes
from tests.engine.bench import FAKE, PLACE, Bench
from tests.engine.histories import History, committed, unpacked
from tests.engine.live_cell import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.api import Container, Engine, Resource


def _lacking(reason: str) -> NoReturn:
    """End a test for which this machine lacks something: CI must have it."""
    end = pytest.fail if os.environ.get("CI") else pytest.skip
    end(reason)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return a running engine, brought up where that is possible; CI must have one."""
    try:
        return private_engine.ensure(None, ownership.label(), print)
    except InfrastructureError as error:
        _lacking(str(error))


@pytest.fixture(scope="session")
def benches(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Callable[[str], Bench]]:
    """Return a maker of benches for the runs that several tests look at."""
    made: list[Bench] = []

    def make(name: str) -> Bench:
        made.append(Bench(tmp_path_factory.mktemp(name)))
        return made[-1]

    yield make
    for one in made:
        _remove_all(one.left(engine), engine)


@pytest.fixture
def bench(tmp_path: Path, engine: Engine) -> Iterator[Bench]:
    """Return a bench; in the end nothing of it may be in the engine."""
    made = Bench(tmp_path)
    yield made
    left = made.left(engine)
    _remove_all(left, engine)
    assert left == []


@pytest.fixture(scope="module")
def spec(engine: Engine) -> CellSpec:
    loaded = load.load([FAKE])
    image = images.prepare(loaded.images["debian-trixie-min"], engine, print)
    tree = volumes.prepare(tree_words.tree(loaded, f"dir:{FAKE / 'tree'}"), engine, print)
    return CellSpec(image.tag, tree.volumes, agent_volume.provide(engine), "matrix", LIMITS)


@pytest.fixture(scope="module")
def cell(engine: Engine, spec: CellSpec) -> Iterator[Container]:
    container = engine.cell(spec)
    yield container
    container.remove()


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.real)])
def history(request: pytest.FixtureRequest, benches: Callable[[str], Bench], engine: Engine) -> History:
    bench = benches(f"series-{request.param}")
    folder = bench.folder / "linux"
    if request.param == "fake":
        shutil.copytree(FAKE / "tree", folder)
        return History(bench, folder, committed(folder), f"{PLACE}/fake", ("--configs", str(FAKE)))
    bench.patience_s = 3600
    unpacked(folder, engine)
    return History(bench, folder, committed(folder), f"{PLACE}/minimal", ())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return what makes a disk of so many kilobytes."""
    if os.geteuid() != 0:
        _lacking("only root can mount a small disk")
    made: list[Path] = []

    def make(size: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(folder)]
        if subprocess.run(mount, check=False).returncode:
            _lacking("no file system can be mounted here")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True)


def _remove_all(left: list[Resource], engine: Engine) -> None:
    """Leave nothing behind even where a test failed."""
    for item in left:
        engine.remove(item)
