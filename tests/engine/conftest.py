"""A real engine, benches, a live cell and small disks; what this machine lacks for one is a failure in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from matrix.config import load, tree_words
from matrix.engine import agent_volume, images, private_engine
from matrix.engine.api import CellSpec, Resource
from matrix.errors import InfrastructureError
from matrix.runs import ownership
from matrix.trees import volumes
from tests.engine.bench import FAKE, PLACE, Bench
from tests.engine.histories import History, committed, unpacked
from tests.engine.live_cell import LIMITS
from tests.engine.podman import Podman
from tests.engine.registries import Registry
from tests.engine.requirements import lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.api import Container, Engine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each engine of its mark `engines`, or on the one of DOCKER_HOST alone."""
    mark = metafunc.definition.get_closest_marker("engines")
    if mark and "engine" in metafunc.fixturenames and not os.environ.get("DOCKER_HOST"):
        metafunc.parametrize("engine", mark.args, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return a running engine, brought up where that is possible; CI must have one."""
    if _is_podman(request):
        podman: Podman = request.getfixturevalue("podman")
        return podman.connect()
    return _usual()


def _is_podman(request: pytest.FixtureRequest) -> bool:
    return getattr(request, "param", "") == "podman"


def _usual() -> Engine:
    try:
        return private_engine.ensure(None, ownership.label(), print)
    except InfrastructureError as error:
        lacking(str(error))


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Return a private Podman beside the engine in use; its images come from the registry."""
    try:
        made = Podman()
    except InfrastructureError as error:
        lacking(str(error))
    yield made
    made.end()


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder of configuration with the image of the fake tree's cells as it was pushed to a registry."""
    usual, folder = _usual(), tmp_path_factory.mktemp("pushed")
    try:
        registry = Registry(folder / "registry")
    except InfrastructureError as error:
        lacking(str(error))
    bench = Bench(folder / "bench")
    words = ["--configs", str(FAKE), "--tree", f"dir:{FAKE / 'tree'}", "--select", f"{PLACE}/fake"]
    try:
        done = bench.command("images", "push", registry.host, "--to", str(folder / "configs"), *words)
        assert done.status == 0, done.text
        yield folder / "configs"
    finally:
        registry.end()
    reference = done.out.strip()
    if usual.image(reference):
        usual.remove(Resource("image", reference, "", ""))


@pytest.fixture(scope="session")
def recipes(engine: Engine, request: pytest.FixtureRequest) -> tuple[Path, ...]:
    """Return the folders of the images of cells: none where they are made, as by the engine in use."""
    return (request.getfixturevalue("pushed"),) if _is_private_podman(engine) else ()


def _is_private_podman(engine: Engine) -> bool:
    return not os.environ.get("DOCKER_HOST") and "Podman" in engine.describe()["engine"]


def _bench(folder: Path, engine: Engine, recipes: tuple[Path, ...]) -> Bench:
    made = Bench(folder, {"DOCKER_HOST": engine.describe()["url"]} if recipes else {})
    for recipe in recipes:
        shutil.copytree(recipe / "containers", made.configs / "containers")
    return made


@pytest.fixture(scope="session")
def benches(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, recipes: tuple[Path, ...]
) -> Iterator[Callable[[str], Bench]]:
    """Return a maker of benches for the runs that several tests look at."""
    made: list[Bench] = []

    def make(name: str) -> Bench:
        made.append(_bench(tmp_path_factory.mktemp(name), engine, recipes))
        return made[-1]

    yield make
    for one in made:
        _remove_all(one.left(engine), engine)


@pytest.fixture
def bench(tmp_path: Path, engine: Engine, recipes: tuple[Path, ...]) -> Iterator[Bench]:
    """Return a bench; in the end nothing of it may be in the engine."""
    made = _bench(tmp_path, engine, recipes)
    yield made
    left = made.left(engine)
    _remove_all(left, engine)
    assert left == []


@pytest.fixture(scope="module")
def spec(engine: Engine, recipes: tuple[Path, ...]) -> CellSpec:
    loaded = load.load([FAKE, *recipes])
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
        lacking("only root can mount a small disk")
    made: list[Path] = []

    def make(size: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "small", str(folder)]
        if subprocess.run(mount, check=False).returncode:
            lacking("no file system can be mounted here")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True)


def _remove_all(left: list[Resource], engine: Engine) -> None:
    """Leave nothing behind even where a test failed."""
    for item in left:
        engine.remove(item)
