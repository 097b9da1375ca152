"""Workers that are silent while a run goes on or ends: no other worker, and not the run's command, waits for them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from matrix.errors import InfrastructureError, UsageError
from matrix.machines import arrivals, possessions, session, transfers, worker_side
from matrix.machines.messages import Possessions
from tests.unit.machines.conftest import UNCLOSED
from tests.unit.machines.test_fleet import all_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.machines.conftest import Fleet

pytestmark = UNCLOSED

SILENT_S = 20.0
"""The time after which a silent engine answers by itself, so that a test fails and does not hang."""


class Silence:
    """The engines of the first so many workers that are asked, which do not answer until `end`."""

    def __init__(self, workers: int) -> None:
        self.left = workers
        self.was_ended_in_time: list[bool] = []
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def answer(self, _images: str) -> Possessions:
        with self._lock:
            self.left -= 1
            is_silent = self.left >= 0
        if is_silent:
            self.was_ended_in_time.append(self._ended.wait(SILENT_S))
        return Possessions()

    def end(self) -> None:
        self._ended.set()


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    silence = Silence(1)
    monkeypatch.setattr(possessions, "of_this_machine", silence.answer)
    yield silence
    silence.end()


def test_a_silent_engine_keeps_no_other_worker_waiting(fleet: Fleet, silence: Silence) -> None:
    assert fleet.complete() == all_of(fleet)
    assert silence.was_ended_in_time == []  # the engine is silent still


def test_open_questions_keep_no_file_waiting(fleet: Fleet, silence: Silence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "AT_ONCE", 1)
    assert fleet.complete() == all_of(fleet)
    assert silence.was_ended_in_time == []


def test_a_worker_that_has_not_said_what_it_has_is_named(
    fleet: Fleet, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence.left = 2
    monkeypatch.setattr(session, "WORKERS_S", 0.5)
    found = r"(?s)and none of 2 workers can run one: 0 has not said which images and engine it has; 1 has"
    with pytest.raises(InfrastructureError, match=found):
        fleet.complete()
    assert silence.was_ended_in_time == []


def test_what_a_worker_cannot_say_is_no_transfer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_images: str) -> Possessions:
        raise UsageError("the images have another form", "Have the same version.")

    monkeypatch.setattr(possessions, "of_this_machine", fail)
    assert fleet.complete() == all_of(fleet)
    for name in "01":
        words = (
            f"worker {name} has not said what it has, and no earlier result is looked for: the images have another form"
        )
        assert words in fleet.text
    assert "transfer" not in fleet.text


@pytest.mark.parametrize("text", ["", "{}", '[{"name": 1}]'])
def test_a_question_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a worker is asked for have another form"):
        possessions.of_this_machine(text)


def test_an_interrupt_ends_the_cells_before_it_waits_for_files(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    store, begun, cells_ended = arrivals.store, threading.Event(), list[bool]()

    def slow(*arguments: Any) -> Any:
        begun.set()
        until = time.monotonic() + 5.0
        while fleet.cells.running and time.monotonic() < until:
            time.sleep(0.02)
        cells_ended.append(fleet.cells.running == 0)
        return store(*arguments)

    first = min(fleet.cells.cells)
    fleet.cells.duration_s = lambda cell_id: 0.1 if cell_id == first else 60.0
    monkeypatch.setattr(arrivals, "store", slow)
    fleet.interrupted(lambda: begun.wait(SILENT_S))
    assert cells_ended == [True]
    assert fleet.run.result(first) is not None  # and the file is waited for


def test_a_file_that_arrives_late_keeps_no_end_waiting(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    call, begun, ended = transfers.Transfers._call, threading.Event(), threading.Event()
    late: list[threading.Thread] = []

    def hanging(self: transfers.Transfers, worker: str, function: Any, *arguments: object) -> Any:
        found = call(self, worker, function, *arguments)
        if function.__name__ == "get":
            begun.set()
            ended.wait(SILENT_S)
            late.append(threading.current_thread())
        return found

    monkeypatch.setattr(transfers.Transfers, "_call", hanging)
    monkeypatch.setattr(transfers, "CLOSE_S", 0.3)
    try:
        assert fleet.interrupted(lambda: begun.wait(SILENT_S)) < SILENT_S / 2
    finally:
        ended.set()
    while not late:
        time.sleep(0.02)
    late[0].join(SILENT_S)
    assert list(fleet.run.results()) == []  # nothing is stored in a run that has ended


async def hang(_run: str) -> None:
    await asyncio.sleep(SILENT_S)


def test_a_worker_that_hangs_keeps_no_end_waiting(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.cells.duration_s = lambda _: 60.0
    begun = threading.Event()
    monkeypatch.setattr(worker_side, "busy", hang)
    monkeypatch.setattr(session, "END_S", 0.5)

    def watch() -> None:
        while not fleet.cells.begun:
            time.sleep(0.02)
        begun.set()

    threading.Thread(target=watch, daemon=True).start()
    assert fleet.interrupted(lambda: begun.wait(SILENT_S)) < SILENT_S / 2
