"""Whatever befalls a cell from outside is an ERROR and is done again; whatever its tree does is a finding."""

from __future__ import annotations

import functools
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import Verdict
from matrix.scenario.plan import LOG_BYTES
from tests.engine.bench import PLACE, Bench, edit, unfinished
from tests.engine.test_limits import MAKE, first

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

IN_STEP = {"build": first("sleep 1000"), "clean": ((MAKE, "clean:\n", "clean:\n\tsleep 1000\n"),)}


def cell_containers(bench: Bench, engine: Engine) -> list[Any]:
    """Return the docker package's containers of the cells that run."""
    client: Any = vars(engine)["client"]
    found = [client.containers.get(one.name) for one in bench.left(engine) if one.kind == "container"]
    return [one for one in found if one.name.startswith("pbm-")]


def is_asleep(bench: Bench, step: str) -> bool:
    return bench.at(f"fake@{step}", step) and "sleep 1000" in bench.log(f"fake@{step}", f"{step}.log")


def test_cells_whose_containers_are_ended_from_outside_are_errors_and_done_again(bench: Bench, engine: Engine) -> None:
    trees = {step: bench.tree(step, *edits) for step, edits in IN_STEP.items()}
    process = bench.popen(*bench.run_words("fake@build", "fake@clean"), "-n", "2")
    for step in trees:
        bench.wait(functools.partial(is_asleep, bench, step), process)
    killed, removed = cell_containers(bench, engine)
    killed.kill()
    removed.remove(force=True)
    out, err = process.communicate(timeout=bench.patience_s)
    assert process.returncode == 3, out + err
    for step, tree in trees.items():
        result = bench.result(f"fake@{step}")
        assert result.verdict == Verdict.ERROR
        assert "was ended from outside" in result.reason
        for path, old, new in IN_STEP[step]:
            edit(tree / path, new, old)
        (bench.latest().pins / f"{step}.json").unlink()
    done = bench.command("run", "--resume", bench.latest().name)
    assert done.status == 0, done.text


LIMITED = {"hoards": first("cp /dev/zero util/zeros"), "chatters": first("head -c 2G /dev/zero")}
REASONS = {
    "hoards": "hit the limit on memory, 256 MiB (the kernel ended the agent or the container)",
    "chatters": "printed more than 32 MiB, the limit on a command's log",
}


def test_memory_that_ends_a_whole_cell_and_gigabytes_of_log_are_limits_by_name(bench: Bench) -> None:
    for name, edits in LIMITED.items():
        bench.tree(name, *edits)
    done = bench.run("fake@hoards", "fake@chatters", options=("-n", "2", "--memory", "256", "--disk", "1024"))
    assert done.status == 1, done.text
    for name, reason in REASONS.items():
        assert unfinished(bench.result(f"fake@{name}"))["build"] == reason
        assert f"{PLACE}/fake@{name} FAIL build: 1 finding" in done.out
    files = [path for path in bench.latest().folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LOG_BYTES + (4 << 20)


def test_a_read_only_state_is_read_and_a_run_in_it_is_refused_in_words(
    bench: Bench, small_disk: Callable[[str], Path]
) -> None:
    place = small_disk("1m")
    bench.tree("good")
    owner = bench.owner()
    bench.state = place / "state"
    bench.state.mkdir()
    (bench.state / "owner").write_text(owner)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    done = bench.run("fake@good")
    assert done.status == 3
    assert "Read-only file system" in done.err
    assert "Traceback" not in done.err
    assert bench.command("runs").status == 0
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
