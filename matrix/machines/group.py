"""A group of cells on a worker: a run directory of its own, the process that runs the cells, and the way back.

A group lives as long as the run's command wants it, and leaves nothing.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import threading
import time
from typing import TYPE_CHECKING, Protocol

from matrix import files, paths
from matrix.errors import MatrixError
from matrix.files import last_lines
from matrix.machines import cells_process, health, packs, supply
from matrix.machines.messages import Ask, AtStep, Given, GroupEnd, Lack, Offer, line
from matrix.model.result import Verdict
from matrix.runs.store import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.machines.messages import Blob, Request
    from matrix.model.base import Frozen
    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult

LOOK_S = 0.5
"""The longest time between two looks at a group; what arrives for it, and its process's end, are seen at once."""

AGAIN_S = 15
"""The seconds after which a message that had no answer is sent once more."""

MARK = "of-another-machine"
"""The file by which a worker knows a run directory that it made for a group, and may remove."""

LOG = "group.log"


class Link(Protocol):
    """The connection of a group with the command whose run it is of."""

    address: str
    """The worker's address."""

    def is_wanted(self) -> bool:
        """Return whether the group is still to run: nobody took it back, and the scheduler is there."""

    def tell(self, message: Frozen) -> None:
        """Send a message to the run's command."""

    def make_room(self) -> None:
        """Let the worker begin another group, as this one only waits from now on."""


class StoppedError(Exception):
    """A group is no longer wanted."""


class Group:
    """A group of cells that this worker runs.

    `given`, `arriving` and `taken` are what the run's command has sent, from other threads: the group's done cells, the
    files that the group needs, and the ids of offered cells that it has stored. Whoever changes them sets `news`.
    """

    def __init__(self, request: Request, link: Link, at_once: int) -> None:
        self.request = request
        self.link = link
        self.at_once = at_once
        self.run = Run(paths.state() / "runs" / f"{request.settings.run}-{request.token}")
        self.given: Given | None = None
        self.arriving: dict[str, packs.Arriving] = {}
        self.taken: set[CellId] = set()
        self.news = threading.Event()
        self._offers: dict[CellId, Offer] = {}
        self._steps: dict[CellId, str] = {}

    def complete(self) -> GroupEnd:
        """Run the cells, and wait until the run's command has their results; nothing of the group is left then."""
        self.run.folder.mkdir(parents=True)
        try:
            fault = self._complete()
        except StoppedError:
            return GroupEnd(kind="stopped", worker=self.link.address)
        except (MatrixError, OSError) as error:
            fault = str(error)
        finally:
            shutil.rmtree(self.run.folder, ignore_errors=True)
        if fault:
            return GroupEnd(kind="unfit", worker=self.link.address, reason=line(fault))
        return GroupEnd(kind="done", worker=self.link.address)

    def _complete(self) -> str:
        """Run the cells; return the reason why this machine cannot, or nothing."""
        files.write(self.run.folder / MARK, "")
        supply.provide(self)
        fault = self._run_cells()
        if fault:
            return fault
        self._deliver()
        return ""

    def _deliver(self) -> None:
        """Wait until the run's command has the results."""
        self.link.make_room()
        self.wait_for(lambda: self.taken >= self._offers.keys(), self._offer_again)

    def wait_for(self, reached: Callable[[], bool], remind: Callable[[], None]) -> None:
        """Wait for what the run's command is to send; remind it again and again.

        Raises:
            StoppedError: the group is no longer wanted.

        """
        reminded = time.monotonic()
        while not reached():
            self._look()
            if time.monotonic() - reminded > AGAIN_S:
                reminded = time.monotonic()
                remind()

    def _look(self) -> None:
        self.news.wait(LOOK_S)
        self.news.clear()
        if not self.link.is_wanted():
            raise StoppedError

    def fetch(self, blob: Blob) -> Path:
        """Return a file that the request names, when it has arrived."""
        arriving = packs.Arriving(self.run.folder / blob.sha256, blob)
        self.arriving[blob.sha256] = arriving
        self._lack(blob)
        self.wait_for(lambda: arriving.is_whole, lambda: self._lack(blob))
        return arriving.path

    def _lack(self, blob: Blob) -> None:
        self.link.tell(Lack(token=self.request.token, worker=self.link.address, sha256=blob.sha256))

    def ask_for_given(self) -> Given:
        """Return the group's cells that are done already."""
        if self.given is None:
            self._ask()
            self.wait_for(lambda: self.given is not None, self._ask)
        assert self.given is not None
        return self.given

    def _ask(self) -> None:
        self.link.tell(Ask(token=self.request.token, worker=self.link.address))

    def _run_cells(self) -> str:
        """Run the cells that are not given in a process; return the reason why this machine cannot, or nothing."""
        process = cells_process.start(self.run, self.at_once, self.run.folder / LOG, self.news.set)
        with contextlib.closing(process):
            while process.status() is None:
                self._look()
                self._report()
            self._report()
        given = self.given.cells if self.given else {}
        if {*self._offers, *given} >= set(self.request.settings.cells):
            return ""
        lines = " / ".join(last_lines(self.run.folder / LOG, 3))
        return health.fault() or f"its process ended with status {process.status()}: {lines}"

    def _report(self) -> None:
        """Tell of the steps that cells have come to, and offer the cells that are done."""
        for cell_id in self.request.settings.cells:
            at = self.run.at(cell_id)
            if at is not None and self._steps.get(cell_id) != at[0]:
                self._steps[cell_id] = at[0]
                self._tell_of(cell_id, at[0])

    def _tell_of(self, cell_id: CellId, step: str) -> None:
        if step:
            self.link.tell(AtStep(token=self.request.token, cell=cell_id, step=line(step)))
            return
        result = self.run.result(cell_id)
        is_fault = result is None or (result.verdict == Verdict.ERROR and health.fault())
        if result is not None and not is_fault:
            self._offer(result)

    def _offer(self, result: CellResult) -> None:
        """Pack a done cell's files, and tell that they can be fetched."""
        self.run.save(self._of_the_whole_run(result))
        packed = packs.pack(self.run, result.id, self.pack_path(len(self._offers)))
        offer = Offer(token=self.request.token, worker=self.link.address, cell=result.id, pack=packed)
        self._offers[result.id] = offer
        self.link.tell(offer)

    def _of_the_whole_run(self, result: CellResult) -> CellResult:
        """Return a result with the names that it has in the whole run: the run's, and those of its configuration."""
        reproduce = result.reproduce
        for original, local in zip(self.request.settings.configs, self.run.settings().configs, strict=True):
            reproduce = reproduce.replace(local, shlex.quote(original))
        whole = self.request.settings.run
        named = {"run": whole, "reproduce": reproduce.replace(self.run.name, whole)}
        return result.model_copy(update=named)

    @property
    def offered(self) -> list[CellId]:
        """The cells that are done and packed."""
        return list(self._offers)

    def pack_path(self, number: int) -> Path:
        """Return the file with the packed cell that was offered as the `number`-th, counted from 0."""
        return self.run.folder / f"{number}.pack"

    def pack_of(self, cell_id: CellId) -> Path:
        """Return the file with a packed cell that was offered."""
        return self.pack_path(self.offered.index(cell_id))

    def _offer_again(self) -> None:
        for cell_id, offer in self._offers.items():
            if cell_id not in self.taken:
                self.link.tell(offer)
