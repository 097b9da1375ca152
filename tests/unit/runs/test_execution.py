"""The words that the agent is told of a step, whole."""

from __future__ import annotations

import gc
import json
import time
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from matrix.errors import InfrastructureError
from matrix.model.cell import Limits
from matrix.runs import execution, parsing, transcripts
from matrix.runs.cell_deadline import CellDeadline
from matrix.runs.confinement import Bounds
from matrix.runs.kept_builds import KeptBuilds
from matrix.runs.store import Run
from matrix.scenario import plan
from matrix.scenario.observations import obstacle
from matrix.scenario.recorder import StepEnd, Taken
from matrix.trees.facts import NOTHING
from tests.unit.conftest import cell, command

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell

STEPS = {one.name: one for one in plan.scenario(cell()).steps}


class FakeExecution:
    """A cell that is being run, which notes its chapters and what is looked at in them."""

    def __init__(self, *, built: bool) -> None:
        self.noted: list[str] = []
        self.built = built
        self.facts_bytes = 0
        self.deadline = CellDeadline(100)
        self.scenario = SimpleNamespace(cell=SimpleNamespace(id="cell"), steps=[STEPS["self-test"]], limits=Limits())
        self.run = SimpleNamespace(progress=lambda _cell_id, title: self.noted.append(title))
        second = SimpleNamespace(remove=lambda: self.noted.append("  removed"))
        self.containers = {"second": second}

    def inspect(self) -> None:
        self.noted.append("  inspected")

    def explain(self) -> None:
        self.noted.append("  explained")


def test_what_is_looked_at_after_a_step_is_a_chapter_of_its_own() -> None:
    fake: Any = FakeExecution(built=False)
    for taken in (STEPS["build"], STEPS["self-test"], STEPS["build-again"]):
        execution._look_into_containers(fake, StepEnd(taken, ""))
    assert fake.noted == [
        "read the ELF files", "  inspected", "explain the first difference", "  explained", "  removed",
    ]  # fmt: skip


def test_a_build_that_failed_or_is_not_tested_has_no_elf_facts() -> None:
    fake: Any = FakeExecution(built=False)
    execution._look_into_containers(fake, StepEnd(STEPS["build"], "it broke"))
    fake.scenario.steps = []
    execution._look_into_containers(fake, StepEnd(STEPS["build"], ""))
    assert fake.noted == []


def test_the_facts_of_all_steps_of_a_cell_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "CELL_FACTS_BYTES", 2 << 20)
    output = b'["end",' + b" " * (1 << 20) + b"{}]\n"
    container = SimpleNamespace(agent=lambda *_: (0, output))
    fake: Any = FakeExecution(built=False)
    fake.container, fake._invocations = (lambda _place: container), (lambda _step: [])
    taken, told = execution.Execution._execute(fake, STEPS["build"], BytesIO())
    assert (taken.error, told) == ("", output)
    taken, told = execution.Execution._execute(fake, STEPS["build"], BytesIO())
    assert (taken.error, told) == ("the facts of the cell's steps exceed 2 MiB", b"")


def test_a_build_that_continued_is_not_explained() -> None:
    fake: Any = FakeExecution(built=True)
    execution._look_into_containers(fake, StepEnd(STEPS["build-again"], ""))
    assert fake.noted == ["  removed"]


class FakeContainer:
    """A container whose agent writes nothing before it is killed at its deadline."""

    def __init__(self, *, is_out_of_memory: bool = False) -> None:
        self.deadlines: list[float] = []
        self.is_out_of_memory = lambda: is_out_of_memory

    def agent(self, _words: object, _on_log: object, deadline_s: float) -> tuple[int, bytes]:
        self.deadlines.append(deadline_s)
        return 137, b""


def executing(container: FakeContainer, limit_s: int) -> Any:
    return SimpleNamespace(
        container=lambda _: container,
        _invocations=lambda _: [],
        built=None,
        facts_bytes=0,
        deadline=CellDeadline(limit_s),
        scenario=SimpleNamespace(limits=Limits(memory_bytes=256 << 20)),
    )


def test_a_step_that_memory_ended_fails_by_the_name_and_value_of_that_limit() -> None:
    container = FakeContainer(is_out_of_memory=True)
    taken, _ = execution.Execution._execute(executing(container, 100), STEPS["build"], BytesIO())
    assert taken.limit == "hit the limit on memory, 256 MiB (the kernel ended the agent or the container)"


def test_a_step_has_no_more_time_than_its_cell_has_left() -> None:
    container = FakeContainer()
    taken, _ = execution.Execution._execute(executing(container, 100), STEPS["build"], BytesIO())
    assert container.deadlines[0] <= 100
    assert taken.early == "the step's facts end early (its container or the agent ended, status 137)"


def test_a_step_past_its_cells_deadline_fails_by_its_name_and_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    container = FakeContainer()
    cell: Any = executing(container, 100)
    past = "ended, as the cell had taken 100 s, the limit on a cell"
    times = iter([0.0, 0.0, 1000.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times, 1000.0))
    cell.deadline = CellDeadline(100)
    begun, _ = execution.Execution._execute(cell, STEPS["build"], BytesIO())
    assert (begun.error, begun.limit) == ("", past)
    not_begun = execution.Execution._execute(cell, STEPS["build"], BytesIO())
    assert not_begun == (Taken(step=STEPS["build"], log="logs/build.log", error=past), b"")
    assert len(container.deadlines) == 1


END = b'["end", {"oom_kills": 0, "fork_failures": 0}]\n'


class FakeCell:
    """A container in which every step ends well; what it prints is `printed`."""

    id = "cell"
    state = ("state", "tmp")

    def __init__(self, printed: bytes = b"") -> None:
        self.printed = printed
        self.is_removed = False

    def agent(self, _words: object, on_log: Any, _deadline_s: float) -> tuple[int, bytes]:
        on_log(self.printed)
        return 0, json.dumps(command()).encode() + b"\n" + END

    def is_out_of_memory(self) -> bool:
        return False

    def remove(self) -> None:
        self.is_removed = True


def begun(container: FakeCell, folder: Path, **more: Any) -> execution.Execution:
    """Return a cell on a tree of nothing, whose containers are all `container`."""
    prepared: Any = SimpleNamespace(facts=NOTHING, identity=SimpleNamespace(version="7.3"), volumes=())
    image: Any = SimpleNamespace(tag="image")
    engine: Any = SimpleNamespace(cell=lambda _spec: container)
    return execution.Execution(engine, Run(folder), plan.scenario(cell()), image, prepared, "agent", **more)


def rules(*lines: str) -> bytes:
    return "\n".join(["# Make data base, printed on x", "# Files", *lines, "# Finished Make data base on x"]).encode()


def test_a_step_that_is_taken_is_recorded_and_its_rules_replace_its_log(tmp_path: Path) -> None:
    with execution.closing(begun(FakeCell(rules("a: b", "b:")), tmp_path)) as running:
        ends = [running.take(one) for one in running.scenario.steps if one.name in ("build", "database")]
        assert [end.failure for end in ends] == ["", ""]
        log = running.log("database").read_text()
        assert log.endswith("1 data bases: their rules are in the transcript\n")
        running.run.save_transcript("x", running.transcript.blocks())
    stored = transcripts.read(running.run.transcript_path("x"))
    assert [one.step.name for one in stored.steps] == ["build", "database"]
    assert stored.databases[0].rules["a"].needs == ("b",)


def test_rules_past_a_limit_fail_their_step_alone_and_stay_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "BOUNDS", Bounds(memory_bytes=1 << 30, cpu_s=60, output_bytes=64))
    with execution.closing(begun(FakeCell(rules("a: b", "b:")), tmp_path)) as running:
        steps = {one.name: one for one in running.scenario.steps}
        running.take(steps["build"])
        end = running.take(steps["database"])
        assert "the limit on result-size" in end.failure
        assert obstacle(steps["clean"], running.ends) == ""
        assert b"a: b" in running.log("database").read_bytes()


def test_a_cell_that_cannot_begin_leaves_no_process(tmp_path: Path) -> None:
    lost = execution.KeptBuild(("state", "tmp"), tmp_path / "lost")
    with pytest.raises(InfrastructureError, match="the kept build has no transcript"):
        begun(FakeCell(), tmp_path, built=lost)
    gc.collect()  # a process that still runs warns there, which is an error


def _failing(_spec: object) -> Any:
    raise InfrastructureError("the engine is down")


def test_a_build_whose_copy_fails_is_not_kept_and_the_cell_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_engine: Any = None
    kept = KeptBuilds(no_engine, Run(tmp_path), 2, Limits())
    with execution.closing(begun(FakeCell(), tmp_path)) as running:
        running.take(running.scenario.steps[0])
        monkeypatch.setattr(running, "engine", SimpleNamespace(cell=_failing))
        kept.keep(running)
        assert kept.kept is None
        assert not running.transcript.has_ended


def test_a_build_is_kept_for_builds_of_another_name_that_are_made_of_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None
    kept = KeptBuilds(nothing, Run(tmp_path), 2, Limits())
    with execution.closing(begun(FakeCell(), tmp_path)) as running:
        running.take(running.scenario.steps[0])
        copy = SimpleNamespace(state=("layer", "out"), remove=lambda: None)
        monkeypatch.setattr(running, "engine", SimpleNamespace(cell=lambda _spec: copy))
        kept.keep(running)
        of = running.scenario.cell
        renamed = of.model_copy(update={"build": of.build.model_copy(update={"name": "spawn"})})
        found = kept.of(renamed, nothing, nothing)
        assert found.state == ("layer", "out")
        assert found.cpu_s == running.ends[0].cpu_s > 0
        asked: list[Cell] = []

        def built(cell: Cell, *_: Any) -> Any:
            asked.append(cell)
            raise InfrastructureError("it is not built in this test")

        monkeypatch.setattr(kept, "_built", built)
        other = of.model_copy(update={"build": of.build.model_copy(update={"make": {"NO_LIBELF": "1"}})})
        elsewhere = of.model_copy(update={"tree": of.tree.model_copy(update={"name": "another"})})
        for one in (other, elsewhere):
            with pytest.raises(InfrastructureError):
                kept.of(one, nothing, nothing)
        assert asked == [other, elsewhere]


def test_of_a_build_whose_facts_cannot_be_stored_no_copy_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_engine: Any = None
    copies: list[object] = []
    kept = KeptBuilds(no_engine, Run(tmp_path), 2, Limits())
    with execution.closing(begun(FakeCell(), tmp_path)) as running:
        running.take(running.scenario.steps[0])
        monkeypatch.setattr(running, "engine", SimpleNamespace(cell=copies.append))
        running.transcript._child._process.kill()
        with pytest.raises(InfrastructureError, match="was killed"):
            kept.keep(running)
    assert copies == []
