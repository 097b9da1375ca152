"""What ended a cell's agent: the cell's own limits, or somebody else."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import NotFound

from matrix.engine.backends.docker import cell
from matrix.engine.backends.docker.cell import DockerContainer
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNING = {"Running": True, "OOMKilled": False, "ExitCode": 0}
ENDED = {"Running": False, "OOMKilled": False, "ExitCode": 137}
SHORT = {**ENDED, "OOMKilled": True}
KILLED = 137


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "SETTLE_S", 0.1)


class FakeContainer:
    """A container of which the engine tells these states, the last one until it is killed, and then `at_end`."""

    def __init__(self, states: tuple[dict[str, Any], ...], at_end: dict[str, Any]) -> None:
        self.id = "one"
        self.kills = 0
        self.at_end = at_end
        self.told: Iterator[dict[str, Any]] = itertools.chain(states, itertools.repeat(states[-1]))

    def kill(self) -> None:
        self.kills += 1
        self.told = itertools.repeat(self.at_end)


def container(*states: dict[str, Any], at_end: dict[str, Any] = ENDED) -> DockerContainer:
    fake = FakeContainer(states, at_end)
    api = SimpleNamespace(inspect_container=lambda _: {"State": next(fake.told)})
    engine: Any = SimpleNamespace(client=SimpleNamespace(api=api))
    return DockerContainer(engine, fake, ["source", "layer", "out"])


OUTSIDE = r"^a cell's container, or the agent in it, was ended from outside \(status 137\)"


@pytest.mark.parametrize("states", [(ENDED,), (RUNNING, ENDED)], ids=["at once", "noticed late"])
def test_a_container_that_ended_by_no_limit_was_ended_from_outside(states: tuple[dict[str, Any], ...]) -> None:
    ended = container(*states)
    with pytest.raises(InfrastructureError, match=OUTSIDE):
        ended._check_alive(KILLED)
    assert ended.container.kills == 0


def test_a_container_that_is_gone_was_ended_from_outside() -> None:
    def refuse(*_: object) -> None:
        raise NotFound("No such container")

    api = SimpleNamespace(exec_create=refuse)
    engine: Any = SimpleNamespace(client=SimpleNamespace(api=api))
    gone = DockerContainer(engine, SimpleNamespace(id="one"), ["source", "layer", "out"])
    with pytest.raises(InfrastructureError, match=r"^a cell's container was ended from outside: it is gone"):
        gone.agent([], lambda _: None, 1)


def test_an_agent_that_was_killed_alone_was_killed_from_outside() -> None:
    alone = container(RUNNING, at_end=ENDED)
    with pytest.raises(InfrastructureError, match=OUTSIDE):
        alone._check_alive(KILLED)
    assert alone.container.kills == 1


@pytest.mark.parametrize("states", [(SHORT,), (RUNNING, SHORT)], ids=["at once", "noticed late"])
def test_a_container_that_its_own_limit_on_memory_ended_failed_by_that(states: tuple[dict[str, Any], ...]) -> None:
    ended = container(*states)
    ended._check_alive(KILLED)
    assert ended.is_out_of_memory()


def test_an_agent_that_memory_ended_alone_is_told_by_the_end_of_its_container() -> None:
    alone = container(RUNNING, at_end=SHORT)
    alone._check_alive(KILLED)
    assert alone.is_out_of_memory()


def test_a_container_that_we_ended_at_a_deadline_was_not_ended_from_outside() -> None:
    overdue = container(ENDED)
    overdue.overdue = True
    overdue._check_alive(KILLED)
    assert not overdue.is_out_of_memory()


def test_an_agent_that_ended_by_itself_is_not_waited_for() -> None:
    lives = container(RUNNING)
    lives._check_alive(1)
    assert lives.container.kills == 0


@pytest.mark.parametrize(
    ("installed", "program"), [(("docker", "podman"), "docker"), (("podman",), "podman"), ((), "docker")]
)
def test_a_shell_is_opened_by_the_program_that_is_there(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], program: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name if name in installed else None)
    begun: list[list[str]] = []

    def run(argv: list[str], **_: object) -> SimpleNamespace:
        begun.append(argv)
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr("subprocess.run", run)
    engine: Any = SimpleNamespace(url="unix:///engine.sock")
    opened = DockerContainer(engine, SimpleNamespace(id="one"), ["source", "layer", "out"])
    assert opened.interactive({"A": "b"}, "/src") == 3
    assert begun[0][0] == program
    assert {"unix:///engine.sock", "exec", "A=b", "/src", "one"} <= set(begun[0])
