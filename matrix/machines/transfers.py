"""The files that go from a run's command to its workers and come back, several at once, each in pieces."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from matrix.errors import MatrixError, UsageError
from matrix.machines import arrivals, packs, worker_side
from matrix.machines.messages import Possessions, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Client

    from matrix.machines.baggage import Baggage
    from matrix.machines.messages import Ask, Lack, Machine, Offer, Request
    from matrix.machines.remaining import Remaining
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult

AT_ONCE = 16
"""The number of files that come and go at once, BLOCK_BYTES of each in memory; each piece is a round trip."""


class Transfers:
    """The transfers of a run's session, each in a thread; one that is asked for while it goes on is not begun again.

    `keep` is called with each result that has arrived, one at a time. `post` takes what is to be done in the session's
    own thread, and `say` shows a line there.
    """

    def __init__(
        self,
        client: Client,
        baggage: Baggage,
        keep: Callable[[Cell, CellResult], None],
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
        self._going: set[tuple[str, str]] = set()

    def close(self) -> None:
        """Wait for those that go on, and begin no other."""
        self._threads.shutdown(cancel_futures=True)

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
        self._begin((worker, "possessions"), lambda: self._ask(worker, machine, images, on_answer))

    def _ask(
        self, worker: str, machine: Machine, images: str, on_answer: Callable[[str, Machine, Possessions], None]
    ) -> None:
        has = Possessions()
        try:
            has = parse(Possessions, self._call(worker, worker_side.possess, images))
        finally:
            self._post(lambda: on_answer(worker, machine, has))

    def _begin(self, name: tuple[str, str], do: Callable[[], None]) -> None:
        if name in self._going:
            return
        self._going.add(name)

        def work() -> None:
            try:
                do()
            except (OSError, MatrixError, ValueError, KeyError) as error:  # the worker is gone, or sent something else
                reason = str(error)
                self._post(lambda: self._say(f"a transfer failed, and is tried again: {reason[:300]}"))
            finally:
                self._post(lambda: self._going.discard(name))

        self._threads.submit(work)

    def _call(self, worker: str, function: Callable[..., Any], *arguments: object) -> Any:
        found = self._client.run(function, *arguments, workers=[worker])
        return found[worker]

    def _send(self, note: Lack) -> None:
        offset = 0
        while block := self._baggage.block(note.sha256, offset):
            here = self._call(note.worker, worker_side.put, note.token, note.sha256, offset, block)
            if not isinstance(here, int) or here <= offset:
                return
            offset = here
        if offset == 0:  # an empty file has no piece
            self._call(note.worker, worker_side.put, note.token, note.sha256, 0, b"")

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
                self._keep(cell, result)
            path.unlink()
            self._baggage.run.progress(note.cell, "")
            group.lacking.discard(note.cell)
        self._call(note.worker, worker_side.take, note.token, note.cell)
