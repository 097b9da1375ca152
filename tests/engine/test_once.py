"""What several workers ask for at once is made once: an image, a tree."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix.checks import registry
from matrix.engine.api import Resource
from tests.engine.bench import FAKE, PATIENCE_S, ROOT, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

IMAGE = "pbm-test-once"
RECIPE = (
    "summary: as its base\nbase: {pull: debian:trixie, bootstrap: {suite: trixie}}\n"
    "install: 'true'\npackages: []\ntoolchains: {gcc: {}}\n"
)
PREPARE = """
import sys
from pathlib import Path
from matrix.config import load, tree_words
from matrix.engine import backends, images
from matrix.runs import ownership
from matrix.trees import volumes
loaded = load.load([Path(sys.argv[1])])
engine = backends.connect(session=ownership.label())
print("image", images.prepare(loaded.images[sys.argv[2]], engine, print).digest)
print("tree", volumes.prepare(tree_words.tree(loaded, sys.argv[3]), engine, print).volumes[0])
"""


@pytest.fixture
def fresh(bench: Bench, engine: Engine) -> Iterator[Bench]:
    """Return a bench with an image and a tree that the engine has not, which are removed in the end."""
    (bench.configs / "containers").mkdir()
    (bench.configs / "containers" / f"{IMAGE}.yaml").write_text(RECIPE)
    bench.tree("once", ("tools/perf/once", "", str(bench.folder)))
    before = set(engine.resources())
    yield bench
    for item in set(engine.resources()) - before:
        mine = item.name.startswith(f"perf-build-matrix/{IMAGE}:") or item.name in volumes
        if mine:
            engine.remove(item)


volumes: set[str] = set()


def test_two_processes_that_need_the_same_image_and_tree_get_them_once(fresh: Bench, engine: Engine) -> None:
    archive = fresh.folder / "tree.tar"
    with tarfile.open(archive, "w") as file:
        file.add(fresh.folder / "trees" / "once", "once")
    argv = [sys.executable, "-c", PREPARE, str(fresh.configs), IMAGE, f"tar:{archive}"]
    both = [
        subprocess.Popen(argv, cwd=ROOT, env=fresh.environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE_S)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    lines = [line for lines in said for line in lines]
    volumes.update(line.removeprefix("tree ") for line in lines if line.startswith("tree "))
    assert len([line for line in lines if line.startswith(f"building image {IMAGE}")]) == 1
    assert len([line for line in lines if line.startswith("reading ")]) == 1
    assert len({line for line in lines if line.startswith(("image ", "tree "))}) == 2
    held = engine.resources()
    assert len([item for item in held if item.name.startswith(f"perf-build-matrix/{IMAGE}:")]) == 1
    assert Resource("volume", next(iter(volumes)), "tree", next(r.run for r in held if r.name in volumes)) in held


def test_every_worker_collects_the_same_items_in_the_same_order(bench: Bench) -> None:
    words = ["-m", "pytest", "tests/cells", "--collect-only", "-q", "-p", "no:cacheprovider"]
    argv = [sys.executable, *words, "--configs", str(FAKE), "--profile", "fake", "--tree", f"dir:{FAKE / 'tree'}"]
    outs = {
        subprocess.run(
            argv, cwd=ROOT, env=bench.environment(PYTHONHASHSEED=seed), capture_output=True, text=True, check=True
        ).stdout.partition("\n\n")[0]
        for seed in ("1", "2")
    }
    [out] = outs
    items = out.splitlines()
    assert len(items) == 3 * len(registry())
    cells = list(dict.fromkeys(item.rpartition(":")[0] for item in items))
    assert items == [f"{cell}:{check}]" for cell in cells for check in registry()]
    # No build is expected to be shorter than another, so their names decide; spawn continues from the build before it.
    assert [cell.rpartition("/")[2].partition("@")[0] for cell in cells] == ["fake", "fake-spawn", "fake-out"]
