"""An engine that stops answering, at whatever request, is an error of the infrastructure in bounded time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import backends, private_engine
from matrix.engine.api import CellSpec, EngineSilentError, Resource
from matrix.engine.backends.docker import cell, client, engine, streams
from matrix.errors import InfrastructureError
from matrix.model.cell import Limits
from tests.hostile.silent_engine import SilentEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.api import Engine

SOON_S = 0.03
"""The limit that each of the engine's limits is set to here, once all requests of a call were answered."""

BOUND_S = 5.0
"""How long the whole of a call may take then: a dozen requests in a row, each for SOON_S, on a busy machine."""

AGENT_S = 60.0
"""The agent's deadline while a call's requests are counted: past it the container would be killed, by one more."""

SPEC = CellSpec("image", ("tree",), "agent", "host", Limits())


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentEngine]:
    monkeypatch.setenv("PERF_MATRIX_CACHE", str(tmp_path / "cache"))
    found = SilentEngine(tmp_path / "engine.sock")
    yield found
    found.close()


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (client, "ANSWER_S"), (client, "HANGING_S"), (streams, "SILENCE_S"), (streams, "OVERTIME_S"),
        (streams, "CONNECT_S"), (client, "WORK_S"), (engine, "REMOVE_PAUSE_S"), (cell, "FILL_S"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, SOON_S)
    monkeypatch.setitem(globals(), "AGENT_S", SOON_S)


def a_cell(of: Engine, _folder: Path) -> None:
    container = of.cell(SPEC)
    container.agent(["run", "{}"], lambda _: None, AGENT_S)
    container.read("/out/perf", 10)
    container.remove()


CALLS: dict[str, Callable[[Any, Path], object]] = {
    "describe": lambda of, _: of.describe(),
    "image": lambda of, _: of.image("debian:trixie"),
    "import": lambda of, folder: of.import_image(folder / "archive", "some:tag"),
    "build": lambda of, _: of.build("FROM debian:trixie", "some:tag", lambda _: None),
    "script": lambda of, _: of.script("image", "true", network=True),
    "fetch": lambda of, folder: of.fetch("image", "true", "/file", folder / "fetched"),
    "provide": lambda of, _: of.provide("volume", "tree", lambda: iter([b"tar"])),
    "resources": lambda of, _: of.resources(),
    "remove": lambda of, _: of.remove(Resource("container", "1", "", "")),
    "cell": a_cell,
}


@pytest.mark.parametrize("call", CALLS)
def test_an_engine_that_stops_at_any_request_is_an_error_in_bounded_time(
    silent: SilentEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "archive").write_bytes(b"tar")
    connected = backends.connect(silent.url)
    silent.asked.clear()
    CALLS[call](connected, tmp_path)
    needed = len(silent.asked)
    be_impatient(monkeypatch)
    for answered in range(needed):
        connected = backends.connect(silent.url)
        silent.answers = answered
        began = time.monotonic()
        with pytest.raises(InfrastructureError):
            CALLS[call](connected, tmp_path)
        assert time.monotonic() - began < BOUND_S
        silent.answers = 10**6


def connected_container(silent: SilentEngine) -> cell.DockerContainer:
    engine: Any = backends.connect(silent.url)
    return cell.DockerContainer(engine, ENGINES_CONTAINER, ["source", "layer", "out"])


def test_a_program_that_outlives_its_deadline_in_silence_is_an_error(
    silent: SilentEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch)
    monkeypatch.setattr(streams, "CONNECT_S", 5.0)
    silent.keeps_streams_open = True
    silent.frames = b""
    container = connected_container(silent)
    with pytest.raises(InfrastructureError, match=r"the engine did not end a program within 0\.03 s of its deadline"):
        container.agent(["run", "{}"], lambda _: None, SOON_S)


def test_an_engine_that_hangs_while_a_program_is_silent_is_found_before_the_deadline(
    silent: SilentEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_impatient(monkeypatch)
    monkeypatch.setattr(client, "ANSWER_S", 5.0)
    silent.keeps_streams_open = True
    container = connected_container(silent)
    silent.answers = 2  # the program is made and started
    began = time.monotonic()
    with pytest.raises(EngineSilentError, match="the engine does not answer: it could not run a step in time"):
        container.agent(["run", "{}"], lambda _: None, 3600)
    assert time.monotonic() - began < BOUND_S


def test_frames_come_in_parts_and_one_that_is_cut_short_ends_the_output(silent: SilentEngine) -> None:
    whole = b"\x01\0\0\0" + (200_000).to_bytes(4, "big") + bytes(200_000)
    silent.frames = whole + b"\x02\0\0\0\0\0\0\x09cut"
    api = backends.connect(silent.url).client.api  # type: ignore[attr-defined] # the Docker one
    with streams.stream(api, "1", SOON_S) as frames:
        found = [(kind, len(part)) for kind, part in frames]
    assert sum(size for kind, size in found if kind == 1) == 200_000
    assert found[-1] == (2, 3)


def test_an_engine_that_never_answers_is_named_and_no_other_is_started(
    silent: SilentEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_S", SOON_S)
    monkeypatch.setattr(private_engine, "up", lambda _: pytest.fail("a second engine is started"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(type(backends.docker.BACKEND), "hosts", lambda _: [silent.url])
    silent.answers = 0
    with pytest.raises(EngineSilentError, match="accepts connections, but no engine answers"):
        private_engine.ensure(None, "", print)


def test_an_engine_that_answers_again_has_its_usual_time_again(
    silent: SilentEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_S", SOON_S)
    connected = backends.connect(silent.url)
    monkeypatch.setattr(client, "HANGING_S", 5.0)
    silent.answers = 0
    with pytest.raises(EngineSilentError):
        connected.describe()
    silent.answers = 10**6
    assert connected.describe()["engine"] == "docker 20"
    assert not connected.client.api.hangs  # type: ignore[attr-defined] # the Docker one


class _Killed:
    """The container of a program that cannot be killed."""

    id = "1"

    def kill(self) -> None:
        """Do nothing, as an engine whose kernel is stuck."""


ENGINES_CONTAINER = _Killed()
