"""The files that go from a run's command to its workers and come back, several at once, each in pieces."""

from __future__ import annotations

import secrets
import threading
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from matrix.errors import MatrixError, UsageError
from matrix.machines import arrivals, packs, worker_side
from matrix.machines.messages import Possessions, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from distributed import Client

    from matrix.machines.baggage import Baggage
    from matrix.machines.messages import Ask, Lack, Machine, Offer, Request
    from matrix.machines.remaining import Remaining
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult

AT_ONCE = 16
"""The number of files that come and go at once, BLOCK_BYTES of each in memory; each piece is a round trip."""

QUESTIONS = 1024
"""The number of questions that wait for their answers at once, each in a thread: one for each new worker."""

CLOSE_S = 30.0
"""How long the end of a session waits for a file that is on its way; a worker that hangs sends it never."""

ANSWERLESS = (OSError, MatrixError, ValueError, KeyError)
"""The errors of a call to a worker that is gone, or answers something else."""


def call(client: Client, worker: str, function: Callable[..., Any], *arguments: object) -> Any:
    """Return what a function returns at a worker.

    Raises:
        KeyError: the worker is gone.

    """
    return client.run(function, *arguments, workers=[worker])[worker]


def put(client: Client, baggage: Baggage, note: Lack) -> None:
    """Send a file that a worker lacks, in pieces, until the worker has it or waits for it no longer."""
    offset = 0
    while block := baggage.block(note.sha256, offset):
        here = call(client, note.worker, worker_side.put, note.token, note.sha256, offset, block)
        if not isinstance(here, int) or here <= offset:
            return
        offset = here
    if offset == 0:  # an empty file has no piece
        call(client, note.worker, worker_side.put, note.token, note.sha256, 0, b"")


class Transfers:
    """The transfers of a run's session, each in a thread; one that is asked for while it goes on is not begun again.

    `keep` is called with each result that has arrived, one at a time. `post` takes what is to be done in the session's
    own thread, and `say` shows a line there. Questions that a worker may leave open have threads of their own.
    """

    def __init__(
        self,
        client: Client,
        baggage: Baggage,
        keep: Callable[[Remaining, Cell, CellResult], None],
        post: Callable[[Callable[[], None]], None],
        say: Callable[[str], None],
    ) -> None:
        self._client = client
        self._baggage = baggage
        self._keep = keep
        self._one_at_a_time = threading.Lock()
        self._post = post
        self._say = say
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._questions = ThreadPoolExecutor(QUESTIONS)
        self._going: dict[tuple[str, str], Future[None]] = {}

    def close(self) -> None:
        """Begin no other, and wait for the files that are on their way, CLOSE_S at most; no answer is waited for.

        A call to a worker that still goes on then fails when Dask's connection is closed.
        """
        for threads in (self._threads, self._questions):
            threads.shutdown(wait=False, cancel_futures=True)
        futures.wait([going for going in self._going.values() if not going.cancelled()], CLOSE_S)

    def is_fetching(self, group: Remaining) -> bool:
        """Return whether a result of a group is on its way."""
        cells = {cell.id for cell in group.cells}
        return any(cell in cells for _, cell in self._going)

    def fetch(self, group: Remaining, note: Offer) -> None:
        """Fetch an offered cell, store it, and tell the worker so."""
        self._begin((note.token, note.cell), lambda: self._fetch(group, note))

    def send(self, note: Lack) -> None:
        """Send a file that a worker lacks."""
        self._begin((note.worker, note.sha256), lambda: self._send(note))

    def give(self, request: Request, note: Ask) -> None:
        """Send the names of a group's done cells."""
        self._begin((note.token, "given"), lambda: self._give(request, note))

    def ask(
        self, worker: str, machine: Machine, images: str, on_answer: Callable[[str, Machine, Possessions], None]
    ) -> None:
        """Ask a worker which images and engine it has; one whose engine does not answer keeps nobody waiting."""
        self._questions.submit(self._ask, worker, machine, images, on_answer)

    def are_busy(self, patience_s: float) -> bool:
        """Return whether a worker still runs a group of the run.

        Raises:
            TimeoutError: a worker does not answer.

        """
        name = self._baggage.run.name
        asked = self._questions.submit(self._client.run, worker_side.busy, name, on_error="return")
        found = asked.result(patience_s).values()
        return any(isinstance(number, int) and number > 0 for number in found)

    def _ask(
        self, worker: str, machine: Machine, images: str, on_answer: Callable[[str, Machine, Possessions], None]
    ) -> None:
        has = Possessions()
        try:
            has = parse(Possessions, self._call(worker, worker_side.possess, images))
        except ANSWERLESS as error:
            reason = f"worker {machine.name} has not said what it has, and no earlier result is looked for: {error}"
            self._post(lambda: self._say(reason[:400]))
        finally:
            self._post(lambda: on_answer(worker, machine, has))

    def _begin(self, name: tuple[str, str], do: Callable[[], None]) -> None:
        if name in self._going:
            return

        def work() -> None:
            try:
                do()
            except ANSWERLESS as error:
                reason = str(error)
                self._post(lambda: self._say(f"a transfer failed, and is tried again: {reason[:300]}"))
            finally:
                self._post(lambda: self._forget(name))

        self._going[name] = self._threads.submit(work)

    def _forget(self, name: tuple[str, str]) -> None:
        del self._going[name]

    def _call(self, worker: str, function: Callable[..., Any], *arguments: object) -> Any:
        return call(self._client, worker, function, *arguments)

    def _send(self, note: Lack) -> None:
        put(self._client, self._baggage, note)

    def _give(self, request: Request, note: Ask) -> None:
        self._call(note.worker, worker_side.give, note.token, self._baggage.given(request).model_dump_json())

    def _fetch(self, group: Remaining, note: Offer) -> None:
        if note.cell in group.lacking:
            path = self._baggage.folder / f"{secrets.token_hex(8)}.pack"
            arriving = packs.Arriving(path, note.pack)
            while not arriving.is_whole:
                block = self._call(note.worker, worker_side.get, note.token, note.cell, arriving.size)
                if not block or not isinstance(block, bytes):
                    raise UsageError(f"{note.cell} did not arrive whole")
                arriving.add(arriving.size, block)
            [cell] = [cell for cell in group.cells if cell.id == note.cell]
            result = arrivals.store(path, cell, self._baggage.content_of(cell.tree), self._baggage.run)
            with self._one_at_a_time:
                self._keep(group, cell, result)
                group.lacking.discard(note.cell)
            path.unlink()
            self._baggage.run.progress(note.cell, "")
        self._call(note.worker, worker_side.take, note.token, note.cell)
