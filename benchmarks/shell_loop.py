"""Measures cells against a plain shell loop of `docker run … make` that does the same steps in the same images.

`python benchmarks/shell_loop.py --select GLOB --tree TREE` does each round in turn: the loop, `run --fresh`, and once
more `run`, which reuses. Images and trees are there before the first round. The loop traces nothing, keeps no facts and
judges nothing. It copies the tree into each container, and makes one cell after the other, with as many jobs.
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
from typing import TYPE_CHECKING

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


def run_s(words: list[str], environment: dict[str, str]) -> tuple[float, bool]:
    """Return the seconds that `perf-matrix run` takes, and whether every result was reused."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "matrix", "run", "--json", *words]
    done = subprocess.run(
        argv, cwd=HERE, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    took_s = time.monotonic() - began
    if done.returncode not in (0, 1):
        sys.exit(f"{shlex.join(argv)} ended with status {done.returncode}")
    return took_s, all(cell["reused"] for cell in json.loads(done.stdout)["cells"])


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
    options = parser.parse_args()
    config = load.load()
    cells = list(selection.selected(config, Selection((), (options.tree,), (options.select,))).cells)
    engine = private_engine.ensure(None, ownership.label(), say)
    tags = {cell.image.name: images.prepare(cell.image, engine, say).tag for cell in cells}
    [volume] = volumes.prepare(cells[0].tree, engine, say).volumes
    words = ["--tree", options.tree, "--select", options.select, "-j", str(JOBS)]
    ratios: dict[str, list[float]] = {"run --fresh": [], "run": []}
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "PERF_MATRIX_STATE": state}
        for number in range(1, options.rounds + 1):
            loop = loop_s(cells, tags, volume)
            built, _ = run_s([*words, "--fresh"], environment)
            again, is_reused = run_s(words, environment)
            how = "reused" if is_reused else "not all reused: one key in 20 is built twice, and a FAIL"
            say(f"round {number}: loop {loop:.1f} s, run --fresh {built:.1f} s, run {again:.2f} s ({how})")
            ratios["run --fresh"].append(built / loop)
            ratios["run"] += [again / loop] if is_reused else []
    for name, found in ratios.items():
        if found:
            say(f"{name}: {statistics.median(found):.3f} of the loop ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
