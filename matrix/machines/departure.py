"""The departure of a run's command: its workers get all that they need, and Dask's scheduler keeps what they make."""

from __future__ import annotations

import secrets
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import dask

from matrix.errors import InfrastructureError, UsageError
from matrix.machines import addresses, messages, placement, preparation, staging, transfers, worker_side
from matrix.machines.messages import Given, Lack, Machine, Possessions
from matrix.machines.remaining import MOVES
from matrix.machines.session import GONE
from matrix.machines.worker import SETTINGS
from matrix.runs import detached
from matrix.runs.detached import Detached, HandedGroup
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from distributed import Client, Future

    from matrix.config.load import Config
    from matrix.machines.messages import SentTree
    from matrix.machines.preparation import Work
    from matrix.machines.remaining import Remaining
    from matrix.model.cell_id import CellId
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run

DATASET = "perf-matrix"
"""The beginning of the names by which schedulers keep the tasks of runs."""

SUPPLY_S = 900.0
"""How long to wait for the workers to say what they are and to get the trees: the others have no part in the run."""

BROUGHT_BYTES = 64 << 20
"""The most bytes of files that a group may take along: Dask's scheduler holds them in memory."""

AT_ONCE = 16
"""The number of workers that trees are sent to at once."""


@dataclass(frozen=True)
class LeftToWorkers:
    """The way to have a run's cells run without its command: the fields are those of OnWorkers."""

    scheduler: str
    certificates: Path | None = None
    jobs: int = 0

    def __call__(self, run: Run, wanted: tuple[CellId, ...], access: EngineAccess, config: Config) -> None:
        """Hand the cells that a run lacks over to the workers, and note in the run what its scheduler keeps.

        Raises:
            UsageError: the address needs certificates, a tree cannot be had, or a group would take too much along.
            InfrastructureError: the scheduler is gone, or no worker can run a cell.

        """
        addresses.security(self.scheduler, self.certificates)
        with preparation.prepared(run, wanted, self.jobs, access, config) as work:
            try:
                with dask.config.set(SETTINGS), addresses.connected(self.scheduler, self.certificates) as client:
                    self._leave(_Departure(client, work, access.say), run)
            except GONE as error:
                detached.forget(run)
                raise addresses.silent(self.scheduler, error) from error

    def _leave(self, departure: _Departure, run: Run) -> None:
        departure.hand_over()
        name = f"{DATASET}-{run.name}-{secrets.token_hex(4)}"
        certificates = str(self.certificates.resolve()) if self.certificates else ""
        # Before Dask has them: results that nobody knows of would stay there.
        detached.write(run, departure.record(self.scheduler, certificates, name))
        departure.publish(name)


class _Departure:
    """The groups of a run that are handed over to a scheduler and its workers, all at once."""

    def __init__(self, client: Client, work: Work, say: Callable[[str], None]) -> None:
        self._client = client
        self._baggage, self._known, self._groups = work
        self._say = say
        self._tasks: list[Future] = []
        self._handed: list[HandedGroup] = []

    def record(self, scheduler: str, certificates: str, dataset: str) -> Detached:
        """Return the record of what was handed over, to be published as a dataset of Dask's."""
        trees = {cell.tree.name: cell.tree for group in self._groups for cell in group.cells}
        contents = {name: self._baggage.content_of(tree) for name, tree in trees.items()}
        jobs = self._baggage.settings.jobs
        return Detached(
            scheduler=scheduler, certificates=certificates, dataset=dataset, jobs=jobs, contents=contents,
            groups=tuple(self._handed),
        )  # fmt: skip

    def publish(self, dataset: str) -> None:
        """Have the scheduler keep the tasks and their results when this connection ends.

        See https://distributed.dask.org/en/stable/publish.html.
        """
        if self._tasks:
            self._client.publish_dataset(self._tasks, name=dataset)
            self._say(f"{count(len(self._tasks), 'group')} of cells handed over")

    def hand_over(self) -> None:
        """Hand all groups over that earlier results leave.

        Raises:
            InfrastructureError: no worker can run a group.
            UsageError: a group would have to take too much along.

        """
        fits = [self._fit(group) for group in self._groups]
        for group, fit in zip(self._groups, fits, strict=True):
            if group.lacking:
                self._hand_over(group, fit)

    @cached_property
    def _machines(self) -> dict[str, Machine]:
        """The workers that have all trees, by their addresses."""
        threads = ThreadPoolExecutor(AT_ONCE)  # one for each worker, as one may hang
        going = {threads.submit(self._supply, address): address for address in self._client.nthreads()}
        done, late = futures.wait(going, SUPPLY_S)
        threads.shutdown(wait=False, cancel_futures=True)
        for task in late:
            self._say(f"worker {going[task]} has no part in the run: it did not answer, or has not all trees in time")
        found = {going[task]: task.result() for task in done}
        return {address: machine for address, machine in found.items() if machine}

    def _supply(self, address: str) -> Machine | None:
        """Have a worker say what it is and has, and give it the trees that it lacks; return it where it has all."""
        name = address
        try:
            machine = messages.parse(Machine, transfers.call(self._client, address, worker_side.describe))
            if machine.program != self._baggage.program:
                return machine  # as an obstacle that is told where no other worker can run a group
            name = machine.name
            text = transfers.call(self._client, address, worker_side.possess, self._known.images())
            self._known.meet(address, machine, messages.parse(Possessions, text))
            for tree in self._baggage.trees():
                self._send(address, machine, tree)
        except transfers.ANSWERLESS as error:
            self._say(f"worker {name} has no part in the run: {messages.line(str(error))[:300]}")
            return None
        self._say(f"worker {machine.name}: {machine.architecture}, {count(machine.processors, 'processor')}")
        return machine

    def _send(self, address: str, machine: Machine, tree: SentTree) -> None:
        token = secrets.token_hex(8)
        if not transfers.call(self._client, address, staging.expect, token, tree.model_dump_json()):
            return
        self._say(f"sending {tree.origin} to worker {machine.name}: {tree.archive.size >> 20} MiB")
        transfers.put(self._client, self._baggage, Lack(token=token, worker=address, sha256=tree.archive.sha256))
        reason = transfers.call(self._client, address, staging.keep, token)
        if reason:
            raise InfrastructureError(str(reason))

    def _fit(self, group: Remaining) -> tuple[str, ...]:
        """Return the workers for a group, and store the earlier results that it has where one of these would run it."""
        needs = self._baggage.needs(group.cells)
        suitable = placement.suitable(self._machines, needs, self._baggage.program)
        if not suitable:
            why = placement.obstacles(self._machines, needs, self._baggage.program)
            raise InfrastructureError(
                f"{group.name} cannot be handed over: {why}", "Start a worker: `perf-matrix worker ADDRESS`."
            )
        fit = self._known.fit(group, suitable)
        if not fit:
            self._say(f"{group.name} is done anew: no worker has the image and engine of its reused results")
            self._known.forget(group)
            fit = suitable
        return self._known.take(group, fit)

    def _hand_over(self, group: Remaining, fit: tuple[str, ...]) -> None:
        request = self._baggage.request(group.cells)
        given = self._baggage.given(request) if request.has_given else Given()
        brought = self._baggage.brought(request, given)
        if sum(map(len, brought.values())) > BROUGHT_BYTES:
            raise UsageError(
                f"{group.name} would take more than {BROUGHT_BYTES >> 20} MiB of files along",
                "Run it without --detach.",
            )
        task = self._client.submit(
            worker_side.run_detached, request.model_dump_json(), given.model_dump_json(), brought,
            key=f"cells-{request.token}", pure=False, workers=list(fit), retries=MOVES,
        )  # fmt: skip
        self._tasks.append(task)
        lacking = tuple(cell.id for cell in group.cells if cell.id in group.lacking)
        self._handed.append(HandedGroup(task=task.key, cells=lacking, workers=fit))
