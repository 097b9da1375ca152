"""Whatever befalls a cell from outside is an ERROR and is done again; whatever its tree does is a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import Verdict
from tests.engine.conftest import PLACE, Bench, edit, unfinished
from tests.engine.test_limits import MAKE, first

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

SLEEPS = first("sleep 1000")
IN_CLEAN = ((MAKE, "clean:\n", "clean:\n\tsleep 1000\n"),)
ENDINGS: dict[str, Callable[[Any], None]] = {
    "killed": lambda container: container.kill(),
    "removed": lambda container: container.remove(force=True),
}


def cell_container(bench: Bench, engine: Engine) -> Any:
    """Return the docker package's container of the one cell that runs."""
    client: Any = vars(engine)["client"]
    names = [one.name for one in bench.left(engine) if one.kind == "container"]
    found = [client.containers.get(name) for name in names]
    [cell] = [one for one in found if one.name.startswith("pbm-")]
    return cell


@pytest.mark.parametrize(("how", "step"), [("removed", "build"), ("killed", "clean")])
def test_a_container_that_is_ended_from_outside_is_an_error_and_done_again(
    bench: Bench, engine: Engine, how: str, step: str
) -> None:
    edits = SLEEPS if step == "build" else IN_CLEAN
    tree = bench.tree("ended", *edits)
    process = bench.popen(*bench.run_words("fake@ended"), "-n", "1")
    bench.wait(lambda: bench.at("fake@ended", step) and "sleep 1000" in bench.log("fake@ended", f"{step}.log"), process)
    ENDINGS[how](cell_container(bench, engine))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 3, out + err
    result = bench.result("fake@ended")
    assert result.verdict == Verdict.ERROR
    assert "was ended from outside" in result.reason
    for path, old, new in edits:
        edit(tree / path, new, old)
    (bench.latest().pins / "ended.json").unlink()
    done = bench.command("run", "--resume", bench.latest().name)
    assert done.status == 0, done.text


HOARDS = first("cp /dev/zero util/zeros")


def test_a_cell_that_memory_ends_as_a_whole_failed_by_that_limit(bench: Bench) -> None:
    bench.tree("hoards", *HOARDS)
    done = bench.run("fake@hoards", options=("-n", "1", "--memory", "256", "--disk", "1024"))
    assert done.status == 1, done.text
    assert unfinished(bench.result("fake@hoards"))["build"].startswith("hit the limit on memory, 256 MiB")
    assert f"{PLACE}/fake@hoards FAIL build: 1 finding" in done.out
