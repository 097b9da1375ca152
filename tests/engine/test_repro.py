"""A result from one machine state is reproduced from its bundle on another, after everything was cleaned."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from matrix import paths
from tests.engine.bench import FAKE, PLACE, Bench
from tests.engine.requirements import needs
from tests.engine.test_bad_trees import RELINKS
from tests.engine.test_shell import talk

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

CELL = f"{PLACE}/fake@bad"
SAME = (
    "tool version", "image recipe", "toolchain gcc", "packages", "tree sha256", "tree's description", "edits",
    "patches", "build", "environment", "limits", "make's jobs", "kernel BTF sha256", "kernel",
)  # fmt: skip


def bundled(bench: Bench) -> tuple[Path, Path]:
    """Run a tree that relinks for nothing, and leave of it a bundle and the tree, under another name."""
    tree = bench.tree("bad", *RELINKS)
    done = bench.run("fake@bad", options=("-j", "3"))
    assert done.status == 1, done.text
    path = bench.folder / "bundle.tar.gz"
    packed = bench.command("bundle", bench.latest().name, "-o", str(path))
    assert packed.status == 0, packed.text
    elsewhere = bench.folder / "elsewhere"
    shutil.move(tree, elsewhere)
    shutil.rmtree(bench.state)
    shutil.rmtree(bench.configs)
    return path, elsewhere


def cleaned(bench: Bench) -> dict[str, str]:
    """Return the variables of a machine without our caches: for PERF_MATRIX_TEST_CLEAN=1 this one, all of it cleaned.

    Without it the images stay, as others use them: making one takes a minute, and the next test would make it again.
    """
    if os.environ.get("PERF_MATRIX_TEST_CLEAN") == "1":
        done = bench.command("clean", "--all")
        assert done.status == 0, done.text
        return {}
    cache = bench.folder / "cache"
    shutil.copytree(paths.cache() / "images", cache / "images")
    return {"PERF_MATRIX_CACHE": str(cache)}


def test_a_bundle_is_reproduced_after_clean_all(bench: Bench) -> None:
    path, tree = bundled(bench)
    caches = cleaned(bench)
    words = ["repro", "--from", str(path), "--tree", f"dir:{tree}", "--json"]
    done = bench.command(*words, **caches)
    assert done.status == 1, done.text
    data = json.loads(done.out)
    rows = {row["name"]: row for row in data["ingredients"]}
    assert data["cell"] == CELL
    assert (data["verdict"], data["failing_step"]) == ("FAIL", "rebuild")
    assert data["outcome"]["answer"] == "reproduced", data["outcome"]
    for name in SAME:
        assert rows[name]["same"] == "same", rows[name]
    assert bench.result("fake@bad").jobs == 3
    resumed = bench.command("run", "--resume", data["run"], **caches)
    assert resumed.status == 1, resumed.text
    assert "0 of 1 cell to do" in resumed.text


def test_another_tree_is_said_to_be_another_and_does_not_reproduce_it(bench: Bench) -> None:
    path, _ = bundled(bench)
    done = bench.command("repro", "--from", str(path), "--tree", f"dir:{FAKE / 'tree'}", "--json")
    assert done.status == 0, done.text
    data = json.loads(done.out)
    assert {row["name"]: row["same"] for row in data["ingredients"]}["tree sha256"] == "differs"
    assert data["outcome"]["answer"] == "not reproduced"


def test_with_shell_it_ends_in_the_cell_after_the_failing_step(bench: Bench, engine: Engine) -> None:
    needs(engine, "docker")
    path, tree = bundled(bench)
    argv = [sys.executable, "-m", "matrix", "repro", "--from", str(path), "--tree", f"dir:{tree}", "--shell"]
    status, said = talk(argv, bench.environment(TERM="dumb"), ["echo uid=$(id -u); ls perf", "exit 7"])
    assert "a shell after step rebuild" in said
    assert "uid=61000" in said
    assert status == 1, said
