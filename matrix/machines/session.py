"""One connection to a scheduler, as long as it lasts: groups go out, and the messages of their workers come in."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matrix.errors import InfrastructureError, UsageError
from matrix.machines import messages, placement, worker_side
from matrix.machines.messages import Ask, AtStep, GroupEnd, Lack, Machine, Offer, Possessions
from matrix.machines.placement import Places
from matrix.machines.transfers import Transfers
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from distributed import Client, Future

    from matrix.machines.baggage import Baggage
    from matrix.machines.known_results import KnownResults
    from matrix.machines.messages import Request
    from matrix.machines.remaining import Remaining
    from matrix.model.cell_id import CellId

LOST = ("cancelled", "lost")
"""The states of a task of Dask's that its scheduler knows no longer."""

GONE = (OSError, futures.CancelledError, asyncio.CancelledError)
"""The errors of a call to a scheduler that is gone."""

LOOK_S = 1.0
WORKERS_S = 120.0
"""How long to wait for a worker that can run a group of cells."""

KIND_S = 15.0
"""How long a group whose reused results are of one kind of worker waits for such a worker at a session's begin."""

END_S = 45.0
"""How long the workers have to end a run's cells after an interrupt."""


class ConnectionLostError(Exception):
    """The scheduler is gone, with all that it knew."""


@dataclass(frozen=True)
class _Submitted:
    """A group that Dask has; `fit` are the addresses of the workers that can run it, `only` if not all may."""

    group: Remaining
    request: Request
    future: Future
    fit: tuple[str, ...]
    only: tuple[str, ...]
    offered: set[CellId] = field(default_factory=set)

    @property
    def is_offered(self) -> bool:
        """Whether all that is left of the group is to come and fetch its results."""
        return self.offered >= self.group.lacking


class Session:
    """The groups of a run on the workers of one scheduler.

    `failed` is called with a group that no worker may try again. Everything is done in the thread that calls `run`, but
    for the transfers of files, and for Dask's own thread, which only puts messages into a queue.
    """

    def __init__(
        self, client: Client, baggage: Baggage, known: KnownResults, groups: list[Remaining], say: Callable[[str], None]
    ) -> None:
        self.client = client
        self.baggage = baggage
        self.known = known
        self.reused: set[CellId] = set()
        self.say = say
        self.waiting = list(groups)
        self.machines: dict[str, Machine] = {}
        self._asked: dict[str, Machine] = {}
        self._open: dict[str, _Submitted] = {}
        self._messages: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._transfers = Transfers(client, baggage, known.keep, self._messages.put, say)
        self._began = self._unplaced_since = time.monotonic()
        self._has_more_to_place = False
        self.given_up: list[Remaining] = []

    def run(self, stop: threading.Event) -> None:
        """Have all groups run, until an end is asked for.

        Raises:
            ConnectionLostError: the scheduler is gone.
            InfrastructureError: no worker can run a group, and none came.

        """
        self.client.subscribe_topic(self.baggage.topic, self._on_event)
        looked = 0.0
        try:
            while (self.waiting or self._open) and not stop.is_set():
                if self._has_more_to_place or time.monotonic() - looked > LOOK_S:
                    looked = time.monotonic()
                    self._look()
                self._take_messages(0.0 if self._has_more_to_place else LOOK_S)
        finally:
            if self.client.status == "running":
                self._end()
            self._transfers.close()

    def _take_messages(self, patience_s: float) -> None:
        try:
            act = self._messages.get(timeout=patience_s)
            while True:
                act()
                act = self._messages.get_nowait()
        except queue.Empty:
            return

    def _look(self) -> None:
        """Learn which workers there are, and give out the groups that wait."""
        if self.client.status != "running":
            raise ConnectionLostError
        try:
            self._meet_workers()
            self._place()
        except GONE as error:  # of Dask's connection: neither touches a file
            raise ConnectionLostError from error
        for token, submitted in list(self._open.items()):
            if submitted.future.status in LOST:
                raise ConnectionLostError
            if submitted.only and not set(submitted.only) & self.machines.keys():
                self._take_back(token)

    def _meet_workers(self) -> None:
        addresses = set(self.client.nthreads())
        for gone in self.machines.keys() - addresses:
            self.say(f"worker {self.machines.pop(gone).name} is gone")
        self._asked = {address: machine for address, machine in self._asked.items() if address in addresses}
        new = sorted(addresses - self._asked.keys())
        if not new:
            return
        for address, text in self.client.run(worker_side.describe, workers=new, on_error="return").items():
            if isinstance(text, str):
                self._asked[address] = messages.parse(Machine, text)
                self._transfers.ask(address, self._asked[address], self.known.images(), self._meet)

    def _meet(self, address: str, machine: Machine, has: Possessions) -> None:
        """Take up a worker, when it has said what it has."""
        self.machines[address] = machine
        self.known.meet(address, machine, has)
        self.say(f"worker {machine.name}: {machine.architecture}, {count(machine.processors, 'processor')}")

    def _take_back(self, token: str) -> None:
        """Take a group back that only workers could run which are gone: Dask would wait for them for ever."""
        submitted = self._open.pop(token)
        self.client.cancel([submitted.future], force=True)
        self._move(submitted.group, "its workers are gone")

    def _place(self) -> None:
        """Give out groups, as many as the workers need until the next look: Dask's scheduler has no more to hold.

        Earlier results are looked for meanwhile, and messages wait for that: after LOOK_S these have their turn.
        """
        taken = [submitted.fit for submitted in self._open.values() if not submitted.is_offered]
        places = Places(self.machines, self.baggage.program, taken)
        before, until = len(self.waiting), time.monotonic() + LOOK_S

        def stays(group: Remaining) -> bool:
            return places.are_taken or time.monotonic() > until or not self._submit(group, places)

        self.waiting = [group for group in self.waiting if stays(group)]
        now = time.monotonic()
        self._has_more_to_place = now > until and not places.are_taken
        # A group that runs may end before another worker comes.
        if self._open or len(self.waiting) < before or self._has_more_to_place:
            self._unplaced_since = now
        if now - self._unplaced_since > WORKERS_S:
            self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        """Give up the groups that failed at every worker there is.

        Raises:
            InfrastructureError: no worker can run a group that was not tried anywhere.

        """
        self.given_up += [group for group in self.waiting if group.failures]
        self.waiting = [group for group in self.waiting if not group.failures]
        if self.waiting:
            needs = self.baggage.needs(self.waiting[0].cells)
            silent = [machine.name for address, machine in self._asked.items() if address not in self.machines]
            why = placement.obstacles(self.machines, needs, self.baggage.program, silent)
            raise InfrastructureError(
                f"{count(len(self.waiting), 'group')} of cells wait for a worker, and {why}",
                "Start one: `perf-matrix worker ADDRESS`, and go on with the run.",
            )

    def _submit(self, group: Remaining, places: Places) -> bool:
        """Give to Dask what earlier results leave of a group; return whether there is a place for it."""
        fit = self._fit(group, places)
        if not places.has_room(fit):
            return False
        lacking = set(group.lacking)
        fit = self.known.take(group, fit)
        self.reused |= lacking - group.lacking
        if not group.lacking:
            return True
        if not places.take(fit):
            return False
        self._give_out(group, fit)
        return True

    def _fit(self, group: Remaining, places: Places) -> tuple[str, ...]:
        """Return the workers that can run a group; one whose reused results are of another kind is done anew."""
        suitable = places.suitable(self.baggage.needs(group.cells), group.failed_at)
        fit = self.known.fit(group, suitable)
        is_to_wait = time.monotonic() - self._began < KIND_S or self._transfers.is_fetching(group)
        if fit or not suitable or is_to_wait:
            return fit
        self.say(f"{group.name} is done anew: no worker has the image and engine of its reused results")
        self.known.forget(group)
        return suitable

    def _give_out(self, group: Remaining, fit: tuple[str, ...]) -> None:
        request = self.baggage.request(group.cells)
        only = () if len(fit) == len(self.machines) and not group.is_bound else fit
        future = self.client.submit(
            worker_side.run_group, request.model_dump_json(), key=f"cells-{request.token}", pure=False,
            workers=list(only) or None, retries=0,
        )  # fmt: skip
        self._open[request.token] = _Submitted(group, request, future, fit, only)
        future.add_done_callback(lambda _: self._messages.put(lambda: self._on_end(request.token)))

    def _on_event(self, event: tuple[float, Any]) -> None:
        """Take a message of a worker; Dask calls this in its own thread."""
        self._messages.put(lambda: self._on_note(event[1]))

    def _on_note(self, text: object) -> None:
        try:
            note = messages.note(text)
        except UsageError as error:
            self.say(str(error))
            return
        if note.token not in self._open:
            return
        group, request = self._open[note.token].group, self._open[note.token].request
        if isinstance(note, AtStep):
            if note.cell in group.lacking:
                self.baggage.run.progress(note.cell, note.step)
        elif isinstance(note, Offer):
            self._open[note.token].offered.add(note.cell)
            self._transfers.fetch(group, note)
        elif isinstance(note, Lack):
            self._transfers.send(note)
        elif isinstance(note, Ask):
            self._transfers.give(request, note)

    def _on_end(self, token: str) -> None:
        """Look at the end of a group: it is done, or goes to another worker."""
        if token not in self._open:
            return
        future = self._open[token].future
        if future.status in LOST:
            raise ConnectionLostError
        group = self._open.pop(token).group
        if not group.lacking:  # whatever became of it; nothing has to be asked for
            future.release()
            return
        if future.status == "error":
            self._move(group, f"its workers died ({type(future.exception()).__name__})")
            return
        outcome = messages.parse(GroupEnd, future.result())
        future.release()
        if outcome.kind != "done":
            self._move(group, outcome.reason or outcome.kind, outcome.worker)
        else:
            self._move(group, "results are lacking")

    def _move(self, group: Remaining, reason: str, worker: str = "") -> None:
        self.say(f"{group.name} goes to another worker: {reason}")
        if group.fail(reason, worker):
            self.waiting.append(group)
        else:
            self.given_up.append(group)

    def _end(self) -> None:
        """Take back the groups that still run, and wait until their workers have ended them."""
        tasks = [submitted.future for submitted in self._open.values()]
        deadline = time.monotonic() + END_S
        with contextlib.suppress(*GONE):  # without a scheduler the workers end them by themselves
            self.client.cancel(tasks, force=True)
            while tasks and (left_s := deadline - time.monotonic()) > 0 and self._transfers.are_busy(left_s):
                time.sleep(LOOK_S / 4)
