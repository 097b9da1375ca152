"""Measures cells against a plain shell loop of `docker run … make` that does the same steps in the same images.

`python benchmarks/shell_loop.py --select GLOB --tree TREE` does each round in turn: the loop, `run --fresh`, and once
more `run`, which reuses. Images and trees are there before the first round. The loop traces nothing, keeps no facts and
judges nothing. It copies the tree into each container, and makes one cell after the other, with as many jobs. With
`--tuxmake PROGRAM` each round has the builds by https://tuxmake.org, too, beside the steps `build` of `run --fresh`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from matrix.config import load, selection
from matrix.config.selection import Selection
from matrix.engine import images, private_engine
from matrix.engine.api import BTF
from matrix.runs import ownership
from matrix.scenario import plan
from matrix.trees import volumes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.model.cell import Cell
    from matrix.scenario.plan import Step

HERE = Path(__file__).resolve().parents[1]
JOBS = 2


def step_lines(step: Step) -> Iterator[str]:
    """Yield the lines of a shell script that do one step of a cell as one would by hand."""
    yield from (f"touch {shlex.quote(path)}" for path in step.touch)
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in step.environment.items())
    for command in step.commands:
        yield f"env -i {variables} {shlex.join(command.argv)} > /tmp/log 2>&1 || exit 1"


def script(cell: Cell, place: str) -> str:
    """Return the shell script of the steps of a cell in one of its two containers."""
    steps = [step for step in plan.scenario(cell, JOBS).steps if step.place == place]
    lines = ["set -e", "mkdir -p /tmp/home /tmp/elsewhere /out", "cp -a /lower/tree /src", "set +e"]
    return "\n".join([*lines, *(line for step in steps for line in step_lines(step))])


def loop_s(cells: list[Cell], tags: dict[str, str], volume: str) -> float:
    """Return the seconds that the loop takes for the cells; a step that fails ends it."""
    began = time.monotonic()
    for cell in cells:
        for place in ("first", "second"):
            mounts = ["-v", f"{volume}:/lower:ro", "-v", f"{Path(BTF).parent}:{Path(BTF).parent}:ro"]
            words = ["docker", "run", "--rm", "--network", "none", *mounts, tags[cell.image.name], "sh", "-c"]
            if subprocess.run([*words, script(cell, place)], check=False).returncode:
                sys.exit(f"the loop failed in {cell.id}, {place} container")
    return time.monotonic() - began


def tuxmake_s(program: str, cells: list[Cell], tags: dict[str, str], tree: Path) -> float:
    """Return the seconds that tuxmake takes to build perf of a tree for each cell; a build that fails ends it.

    tuxmake builds with O=, and installs what it built into a tar file besides.
    """
    began = time.monotonic()
    for cell in cells:
        variables = [f"{name}={value}" for name, value in cell.make.items()]
        with tempfile.TemporaryDirectory() as output:
            words = [program, "-q", "-r", "docker", "-i", tags[cell.image.name], "-j", str(JOBS), "-C", str(tree)]
            if subprocess.run([*words, "-o", output, "perf", *variables], check=False).returncode:
                sys.exit(f"tuxmake failed in {cell.id}")
    return time.monotonic() - began


def unpack(volume: str, tag: str, folder: Path) -> Path:
    """Copy the tree in a volume to a folder, and return its place there."""
    words = ["docker", "run", "--rm", "--network", "none", "-v", f"{volume}:/lower:ro", "-v", f"{folder}:/copy"]
    subprocess.run([*words, tag, "cp", "-a", "/lower/tree", "/copy/tree"], check=True)
    return folder / "tree"


class Took(NamedTuple):
    """A run: its seconds, those of its steps `build`, and whether every result was reused."""

    whole_s: float
    builds_s: float
    is_reused: bool


def run(words: list[str], environment: dict[str, str]) -> Took:
    """Return how long `perf-matrix run` takes."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "matrix", "run", "--json", *words]
    done = subprocess.run(
        argv, cwd=HERE, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    took_s = time.monotonic() - began
    if done.returncode not in (0, 1):
        sys.exit(f"{shlex.join(argv)} ended with status {done.returncode}")
    cells = json.loads(done.stdout)["cells"]
    builds = [step for cell in cells for step in cell["steps"] if step["name"] == "build"]
    return Took(took_s, sum(step["wall_s"] for step in builds), all(cell["reused"] for cell in cells))


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the seconds of each round, and the medians of the ratios."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--select", default="debian-trixie-min/gcc/minimal")
    parser.add_argument("--tree", default="7.3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tuxmake", metavar="PROGRAM", help="the path of tuxmake, as pip installs it")
    options = parser.parse_args()
    config = load.load()
    cells = list(selection.selected(config, Selection((), (options.tree,), (options.select,))).cells)
    engine = private_engine.ensure(None, ownership.label(), say)
    tags = {cell.image.name: images.prepare(cell.image, engine, say).tag for cell in cells}
    [volume] = volumes.prepare(cells[0].tree, engine, say).volumes
    words = ["--tree", options.tree, "--select", options.select, "-j", str(JOBS)]
    ratios: dict[str, list[float]] = {"run --fresh": [], "run": [], "steps build": []}
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryDirectory() as copy:
        environment = {**os.environ, "PERF_MATRIX_STATE": state}
        tree = unpack(volume, tags[cells[0].image.name], Path(copy)) if options.tuxmake else None
        for number in range(1, options.rounds + 1):
            loop = loop_s(cells, tags, volume)
            built = run([*words, "--fresh"], environment)
            again = run(words, environment)
            how = "reused" if again.is_reused else "not all reused: one key in 20 is built twice, and a FAIL"
            times = f"loop {loop:.1f} s, run --fresh {built.whole_s:.1f} s, run {again.whole_s:.2f} s ({how})"
            say(f"round {number}: {times}")
            ratios["run --fresh"].append(built.whole_s / loop)
            ratios["run"] += [again.whole_s / loop] if again.is_reused else []
            if tree:
                builds_s = tuxmake_s(options.tuxmake, cells, tags, tree)
                say(f"round {number}: tuxmake {builds_s:.1f} s, steps build {built.builds_s:.1f} s")
                ratios["steps build"].append(built.builds_s / builds_s)
    for name, found in ratios.items():
        if found:
            beside = "tuxmake" if name == "steps build" else "the loop"
            say(f"{name}: {statistics.median(found):.3f} of {beside} ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
