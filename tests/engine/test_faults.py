"""What is not there, or not whole, is told in a sentence and an exit status, and no result is lost by it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from matrix import paths
from matrix.model.result import Verdict
from tests.engine.bench import PLACE, Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.engine

BASE = "base: {pull: debian:trixie, bootstrap: {suite: trixie}}\ntoolchains: {gcc: {}}\n"
DEAD = "-o Acquire::http::Proxy=http://127.0.0.1:1/ -o Acquire::Retries=0"
IMAGES = {
    "no-mirror": (
        f"{BASE}summary: apt has no way out\npackages: [gcc]\n"
        f"install: apt-get -qq {DEAD} update && apt-get -qq {DEAD} install\n"
    ),
    "no-registry": "base: {pull: '127.0.0.1:1/nothing:1'}\ntoolchains: {gcc: {}}\nsummary: no base\npackages: [gcc]\n",
}


def test_a_folder_that_is_no_kernel_tree_is_a_mistake_told_before_any_cell(bench: Bench) -> None:
    bench.tree("good")
    path = bench.tree("other")
    (path / "tools/perf/Makefile.perf").unlink()
    done = bench.run("fake@good", "fake@other")
    assert done.status == 2
    assert f"{path} is no kernel tree" in done.err
    assert "Name the top folder of a kernel source tree, or perf's own source package" in done.err
    assert list((bench.state / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("dir:/nowhere/at/all", "/nowhere/at/all is no folder"),
        ("tar:/nowhere.tar", "/nowhere.tar is no file"),
        ("git:/nowhere@main", "/nowhere is no git repository"),
    ],
)
def test_a_tree_that_does_not_exist_is_a_mistake(bench: Bench, tree: str, message: str) -> None:
    done = bench.command("run", "--tree", tree, "--select", f"{PLACE}/minimal")
    assert done.status == 2
    assert message in done.err


def test_without_the_network_the_cells_that_need_it_are_errors_and_the_others_have_results(bench: Bench) -> None:
    bench.tree("good")
    (bench.configs / "trees" / "far.yaml").write_text("source: tar:http://127.0.0.1:1/linux.tar\n")
    (bench.configs / "containers").mkdir()
    for name, text in IMAGES.items():
        (bench.configs / "containers" / f"{name}.yaml").write_text(text)
    done = bench.run("fake@good", "fake@far", *(f"{name}/gcc/fake@good" for name in IMAGES))
    assert done.status == 3, done.text
    assert bench.result("fake@good").verdict == Verdict.PASS
    for cell, reason in {
        f"{PLACE}/fake@far": "http://127.0.0.1:1/linux.tar could not be downloaded",
        "no-mirror/gcc/fake@good": "could not be built",
        "no-registry/gcc/fake@good": "no registry gave 127.0.0.1:1/nothing:1",
    }.items():
        assert bench.result(cell).verdict == Verdict.ERROR
        assert reason in bench.result(cell).reason
        assert f"{cell}: ERROR: " in done.out
        assert reason in done.out
    assert "verdict: ERROR (1 PASS, 3 ERROR)" in done.out


def test_a_full_disk_under_the_cache_is_an_error_that_says_so(bench: Bench, small_disk: Callable[[str], Path]) -> None:
    bench.tree("good", ("tools/perf/large", "", "x" * (1 << 20)))
    cache = small_disk("1m")
    shutil.copytree(paths.cache() / "images", cache / "images", ignore=shutil.ignore_patterns("*.log", "*.tar"))
    done = bench.run("fake@good", PERF_MATRIX_CACHE=str(cache))
    assert done.status == 3, done.text
    assert "No space left on device" in done.text


def test_a_full_disk_under_the_runs_is_an_error_that_says_so(bench: Bench, small_disk: Callable[[str], Path]) -> None:
    bench.tree("good")
    bench.state = small_disk("32k") / "state"
    done = bench.run("fake@good")
    assert done.status == 3, done.text
    assert "No space left on device" in done.text
