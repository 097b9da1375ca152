"""What the matrix makes of an engine that fails in the middle of an answer."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import backends
from matrix.engine.api import LABEL, CellSpec
from matrix.errors import InfrastructureError
from matrix.model.cell import Limits
from tests.faults import recorded
from tests.faults.engine import EngineFault, FakeEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "perf-build-matrix/a:1"
STEP = ["step", '{"touch": [], "commands": [{"argv": ["make", "-C", "/src/tools/perf", "JOBS=2", "prefix=/usr"]}, ']
STEP += ['{"argv": ["date", "+%s"]}]}']


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    """Give an engine with an image, the agent's volume and a good tree's; a socket's path must be short."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(FakeEngine(Path(folder) / "engine.sock")) as made:
        made.images[IMAGE] = {"Id": "sha256:1", "RepoTags": [IMAGE], "Labels": {}}
        for name in ("agent", "tree"):
            made.add_volume(name, {LABEL: name}, {})
        made.trees["tree"] = "good"
        yield made


def a_cell(fake: FakeEngine) -> Any:
    return backends.connect(fake.url, "run").cell(CellSpec(IMAGE, ("tree",), "agent", "host", Limits()))


def test_the_fake_engine_answers_as_the_recorded_agent_did(fake: FakeEngine) -> None:
    cell = a_cell(fake)
    log: list[bytes] = []
    status, facts = cell.agent(STEP, log.append, 60)
    assert (status, facts) == (0, recorded.cell("good").answer(STEP).output)
    assert b"".join(log) == recorded.cell("good").answer(STEP).log
    assert cell.read("/src/tools/perf/perf", 1 << 20).startswith(b"\x7fELF")
    assert cell.read("/nowhere", 1) is None
    cell.remove()
    assert not fake.left()


def test_output_that_the_engine_cuts_short_is_the_engines_fault(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step's facts that end early are the tree's fault otherwise: a FAIL where the infrastructure failed."""
    monkeypatch.setattr("matrix.engine.backends.docker.streams.END_S", 0.1)
    cell = a_cell(fake)
    route = "POST /exec/*/start"
    fake.fault = EngineFault(route, fake.requests[route] + 1, "cut")
    with pytest.raises(InfrastructureError, match="the engine cut the output of a program short"):
        cell.agent(STEP, lambda _: None, 60)


def test_the_keepers_program_has_its_status_or_the_engine_an_error(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.engine.backends.docker.streams.END_S", 0.1)
    fake.fault = EngineFault("GET /exec/*/json", 1, "lost")
    with pytest.raises(InfrastructureError, match="the engine could not start a cell"):
        a_cell(fake)
    assert not fake.left()


def test_an_engine_that_is_lost_while_it_pulls_is_no_registry_without_the_image(fake: FakeEngine) -> None:
    """The base would be bootstrapped otherwise, which takes minutes, for an engine that has gone."""
    engine = backends.connect(fake.url, "run")
    fake.fault = EngineFault("POST /images/create", 1, "lost")
    with pytest.raises(InfrastructureError, match="the engine could not pull debian:1"):
        engine.pull("debian:1", "ours:1")
    fake.fault, fake.fired = EngineFault("POST /images/create", 2, "error 500"), ""
    assert engine.pull("debian:1", "ours:1") is None
