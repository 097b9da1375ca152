"""The words that the agent is told of a step, whole."""

from __future__ import annotations

import time
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from matrix.model.cell import Limits
from matrix.runs import execution
from matrix.runs.cell_deadline import CellDeadline
from matrix.scenario.plan import Command, Step
from matrix.scenario.recorder import StepEnd, Taken

if TYPE_CHECKING:
    import pytest

MAKE = Command(label="make", argv=("make", "-j2"), traced=True)
SAID = Command(label="options", argv=("perf", "version"), captured=True)
ENVIRONMENT = {"HOME": "/tmp/home", "LANG": "C"}  # noqa: S108 - inside the cell
ELSEWHERE = {"HOME": "/tmp/other"}  # noqa: S108 - inside the cell


def step(**more: object) -> Step:
    values = {"name": "build", "summary": "s", "environment": ENVIRONMENT, "timeout_s": 60, **more}
    return Step.model_validate(values)


class FakeExecution:
    """A cell that is being run, which notes its chapters and what is looked at in them."""

    def __init__(self, *, built: bool) -> None:
        self.noted: list[str] = []
        self.built = built
        self.facts_bytes = 0
        self.deadline = CellDeadline(100)
        self.scenario = SimpleNamespace(
            cell=SimpleNamespace(id="cell"), steps=[step(name="self-test")], limits=Limits()
        )
        self.run = SimpleNamespace(progress=lambda _cell_id, title: self.noted.append(title))
        second = SimpleNamespace(remove=lambda: self.noted.append("  removed"))
        self.containers = {"second": second}

    def inspect(self) -> None:
        self.noted.append("  inspected")

    def explain(self) -> None:
        self.noted.append("  explained")


def test_what_is_looked_at_after_a_step_is_a_chapter_of_its_own() -> None:
    fake: Any = FakeExecution(built=False)
    for taken in (step(), step(name="self-test"), step(name="build-again", place="second")):
        execution._look_into_containers(fake, StepEnd(taken, ""))
    assert fake.noted == [
        "read the ELF files", "  inspected", "explain the first difference", "  explained", "  removed",
    ]  # fmt: skip


def test_a_build_that_failed_or_is_not_tested_has_no_elf_facts() -> None:
    fake: Any = FakeExecution(built=False)
    execution._look_into_containers(fake, StepEnd(step(), "it broke"))
    fake.scenario.steps = []
    execution._look_into_containers(fake, StepEnd(step(), ""))
    assert fake.noted == []


def test_the_facts_of_all_steps_of_a_cell_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "CELL_FACTS_BYTES", 2 << 20)
    output = b'["end",' + b" " * (1 << 20) + b"{}]\n"
    container = SimpleNamespace(agent=lambda *_: (0, output))
    fake: Any = FakeExecution(built=False)
    fake.container, fake._invocations = (lambda _place: container), (lambda _step: [])
    taken, told = execution.Execution._execute(fake, step(), BytesIO())
    assert (taken.error, told) == ("", output)
    taken, told = execution.Execution._execute(fake, step(), BytesIO())
    assert (taken.error, told) == ("the facts of the cell's steps exceed 2 MiB", b"")


def test_a_build_that_continued_is_not_explained() -> None:
    fake: Any = FakeExecution(built=True)
    execution._look_into_containers(fake, StepEnd(step(name="build-again", place="second"), ""))
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
    taken, _ = execution.Execution._execute(executing(container, 100), step(), BytesIO())
    assert taken.limit == "hit the limit on memory, 256 MiB (the kernel ended the agent or the container)"


def test_a_step_has_no_more_time_than_its_cell_has_left() -> None:
    container = FakeContainer()
    taken, _ = execution.Execution._execute(executing(container, 100), step(), BytesIO())
    assert container.deadlines[0] <= 100
    assert taken.early == "the step's facts end early (its container or the agent ended, status 137)"


def test_a_step_past_its_cells_deadline_fails_by_its_name_and_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    container = FakeContainer()
    cell: Any = executing(container, 100)
    past = "ended, as the cell had taken 100 s, the limit on a cell"
    times = iter([0.0, 0.0, 1000.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times, 1000.0))
    cell.deadline = CellDeadline(100)
    begun, _ = execution.Execution._execute(cell, step(), BytesIO())
    assert (begun.error, begun.limit) == ("", past)
    not_begun = execution.Execution._execute(cell, step(), BytesIO())
    assert not_begun == (Taken(step=step(), log="logs/build.log", error=past), b"")
    assert len(container.deadlines) == 1
