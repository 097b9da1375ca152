"""The collection of a detached run: what its workers have made meanwhile goes into the run directory."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import dask

from matrix import paths
from matrix.errors import InfrastructureError, MatrixError
from matrix.machines import addresses, arrivals
from matrix.machines.baggage import EngineOnDemand
from matrix.machines.known_results import KnownResults
from matrix.machines.remaining import Remaining
from matrix.machines.session import GONE, LOST
from matrix.machines.worker import SETTINGS
from matrix.runs import detached, order
from matrix.untrusted import one_line
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from distributed import Client, Future

    from matrix.engine.api import Engine
    from matrix.runs.detached import Detached, HandedGroup
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run


ENDED = ("finished", "error")
"""The states of a task of Dask's after which no other comes by itself."""


def collect(run: Run, access: EngineAccess) -> None:
    """Store the results of a detached run that its workers have by now; the run's lock is held meanwhile.

    Raises:
        InfrastructureError: the scheduler does not answer.

    """
    with _collection(run, access) as collection:
        collection.take()
        collection.tell_what_is_left()


def take_back(run: Run, access: EngineAccess) -> None:
    """Store the results of a detached run that there are, and have no worker go on with it.

    A scheduler that is gone has nothing of the run any more.
    """
    try:
        with _collection(run, access) as collection:
            collection.take()
            collection.end()
    except MatrixError as error:
        access.say(f"run {run.name} is taken back without its scheduler: {error.message}")
    detached.forget(run)


@contextlib.contextmanager
def _collection(run: Run, access: EngineAccess) -> Iterator[_Collection]:
    record = detached.read(run)
    certificates = Path(record.certificates) if record.certificates else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        with _answering(run, record):
            client = stack.enter_context(addresses.connected(record.scheduler, certificates))
            tasks = client.get_dataset(record.dataset, default=[])
        yield _Collection(run, access, record, client, {task.key: task for task in tasks})


@contextlib.contextmanager
def _answering(run: Run, record: Detached) -> Iterator[None]:
    """Take an error of the connection to the scheduler for what it is; no file may be touched meanwhile."""
    try:
        yield
    except GONE as error:
        raise InfrastructureError(
            f"no scheduler answers at {record.scheduler}, which has the results of run {run.name}: {error}",
            f"If it is gone for good: `perf-matrix run --resume {run.name}` does what is lacking.",
        ) from error


class _Collection:
    """The tasks of a detached run at its scheduler, as long as the connection to it lasts."""

    def __init__(
        self, run: Run, access: EngineAccess, record: Detached, client: Client, tasks: dict[str, Future]
    ) -> None:
        self._run = run
        self._access = access
        self._record = record
        self._client = client
        self._tasks = tasks

    def take(self) -> None:
        """Store the results of the groups that have ended, and forget these."""
        config = self._run.configuration()
        cells = {cell.id: cell for cell in order.cells(self._run, self._run.settings(), config)}
        engine = cast("Engine", EngineOnDemand(self._access))
        known = KnownResults(self._run, config, engine, self._record.jobs)
        left = []
        for handed in self._record.groups:
            group = Remaining(handed.task, tuple(cells[cell_id] for cell_id in handed.cells), set(handed.cells))
            if not self._take(handed, group, known):
                left.append(handed)
        self._keep(tuple(left))

    def _take(self, handed: HandedGroup, group: Remaining, known: KnownResults) -> bool:
        """Store what came of a group; return whether nothing more will come of it."""
        task = self._tasks.get(handed.task)
        if task is None or task.status in LOST:
            self._access.say(f"the scheduler has lost {', '.join(handed.cells)}: --resume does it again")
            return True
        if task.status not in ENDED:
            return False
        with _answering(self._run, self._record):
            error = task.exception()
            packs = {} if error else task.result()
        if error:
            group.failures.append(one_line(str(error)))
            arrivals.fail(group, self._run)
        else:
            self._store(packs, group, known)
        return True

    def _store(self, packs: Mapping[str, bytes], group: Remaining, known: KnownResults) -> None:
        """Store the results of a group; a cell whose result is refused stays lacking."""
        with paths.temporary("collected") as folder:
            for number, cell in enumerate(group.cells):
                path = folder / f"{number}.pack"
                try:
                    path.write_bytes(packs[cell.id])
                    result = arrivals.store(path, cell, self._record.contents[cell.tree.name], self._run)
                except (MatrixError, KeyError) as error:
                    self._access.say(f"{cell.id} is not collected: {error}")
                    continue
                known.keep(group, cell, result)
                group.lacking.discard(cell.id)

    def _keep(self, left: tuple[HandedGroup, ...]) -> None:
        """Have the scheduler and the record keep these groups alone."""
        names = {handed.task for handed in left}
        self._tasks = {key: task for key, task in self._tasks.items() if key in names}
        self._record = self._record.model_copy(update={"groups": left})
        detached.write(self._run, self._record)
        with _answering(self._run, self._record):
            self._publish()

    def _publish(self) -> None:
        if self._record.groups:
            self._client.publish_dataset(list(self._tasks.values()), name=self._record.dataset, override=True)
        else:
            self._client.unpublish_dataset(self._record.dataset)

    def tell_what_is_left(self) -> None:
        """Say how many groups are left, how many of these run now, and which wait for nothing."""
        groups = self._record.groups
        if not groups:
            return
        with _answering(self._run, self._record):
            there = set(self._client.nthreads())
            processing = self._client.processing()
        stranded = sum(not there.intersection(handed.workers) for handed in groups)
        begun = {str(task) for tasks in processing.values() for task in tasks}
        running = sum(handed.task in begun for handed in groups)
        left = f"run {self._run.name}: {count(len(groups), 'group')} of cells left, {running} at a worker"
        self._access.say(f"{left}; `perf-matrix report {self._run.name}` collects more")
        if stranded:
            again = f"`perf-matrix run --resume {self._run.name} --scheduler {self._record.scheduler}`"
            self._access.say(f"{count(stranded, 'group')} of these had workers that are gone: {again} finds others")

    def end(self) -> None:
        """Have no worker go on."""
        with _answering(self._run, self._record):
            self._client.cancel(list(self._tasks.values()), force=True)
        self._keep(())
