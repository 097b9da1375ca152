"""Results that are reused between runs, on a real engine: no container is made for them, and their key decides."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from matrix.verdicts import result_key
from tests.engine.bench import PLACE, Bench, edit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine
CELL = "fake@mine"


def settled(bench: Bench) -> None:
    """Run the cell until its result can be reused: one key in 20 is built a second time before."""
    assert bench.run(CELL).status == 0
    if result_key.is_sampled(bench.result(CELL).transcript_key) and not bench.result(CELL).reused:
        assert bench.run(CELL).status == 0


@pytest.fixture(scope="module")
def built(benches: Callable[[str], Bench], engine: Engine) -> tuple[Bench, Path]:
    """Return a bench on which one cell has been run, and the folder of the cell's tree."""
    bench = benches("reuse")
    tree = bench.tree("mine")
    with bench.counted(engine) as names:
        done = bench.run(CELL)
    assert done.status == 0, done.text
    assert len(names) == 2
    settled(bench)
    return bench, tree


def test_a_run_again_takes_the_result_without_a_container_and_says_so(
    built: tuple[Bench, Path], engine: Engine
) -> None:
    bench, _ = built
    before = bench.latest()
    earlier = bench.result(CELL)
    first = earlier.reused.run if earlier.reused else before.name
    with bench.counted(engine) as names:
        done = bench.run(CELL)
    assert (done.status, names) == (0, []), done.text
    result = bench.result(CELL)
    assert result.reused
    assert result.reused.run == first
    assert (result.verdict, result.checks, result.key) == (earlier.verdict, earlier.checks, earlier.key)
    assert f"1 cell reused from {first}" in done.out
    assert bench.log(CELL, "build.log") == (before.cell(f"{PLACE}/{CELL}") / "logs" / "build.log").read_text()
    # The transcript is the run's own: it is judged again though the run that built it is gone.
    origin = before.folder.parent / first
    shutil.move(origin, bench.folder / "moved")
    again = bench.command("report", bench.latest().name, "--check")
    shutil.move(bench.folder / "moved", origin)
    assert again.status == 0, again.text


def test_a_change_of_what_no_cell_sees_is_taken_and_of_what_one_sees_is_built(built: tuple[Bench, Path]) -> None:
    bench, tree = built
    earlier = bench.result(CELL)
    edit(tree / "drivers" / "net" / "dummy.c", "", "int unseen;\n")
    assert bench.run(CELL).status == 0
    unseen = bench.result(CELL)
    assert unseen.reused
    assert unseen.transcript_key == earlier.transcript_key
    edit(tree / "tools" / "perf" / "read.txt", "", "read")
    assert bench.run(CELL).status == 0
    built_again = bench.result(CELL)
    assert not built_again.reused
    assert built_again.transcript_key != earlier.transcript_key


def test_a_fresh_run_builds_and_its_result_agrees(built: tuple[Bench, Path], engine: Engine) -> None:
    bench, _ = built
    settled(bench)
    earlier = bench.result(CELL)
    with bench.counted(engine) as names:
        done = bench.run(CELL, options=("--fresh",))
    assert (done.status, len(names)) == (0, 2), done.text
    fresh = bench.result(CELL)
    assert not fresh.reused
    assert (fresh.key, fresh.verdict, fresh.program_sha256) == (earlier.key, earlier.verdict, earlier.program_sha256)


def test_the_head_of_one_gate_is_the_base_of_the_next_under_another_name(
    built: tuple[Bench, Path], engine: Engine
) -> None:
    bench, tree = built
    settled(bench)
    (bench.configs / "trees" / "renamed.yaml").write_text(f"source: dir:{tree}\n")
    with bench.counted(engine) as names:
        done = bench.run("fake@renamed")
    assert (done.status, names) == (0, []), done.text
    reused = bench.result("fake@renamed").reused
    assert reused
    assert (reused.cell, reused.judged_again) == (f"{PLACE}/{CELL}", True)
