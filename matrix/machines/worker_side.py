"""The functions that a run's command names to Dask and a worker calls; they take and return text and bytes.

All groups of this worker's process are found by their tokens, which only the run's command knows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import distributed
from distributed.core import Status

from matrix.errors import InfrastructureError, UsageError
from matrix.machines import health, identity, possessions, staging
from matrix.machines.detached_group import DetachedGroup
from matrix.machines.group import Group
from matrix.machines.messages import BLOCK_BYTES, Given, GroupEnd, Request, line, parse
from matrix.machines.placement import obstacle
from matrix.model.cell_id import CellId

if TYPE_CHECKING:
    from distributed import Worker

    from matrix.model.base import Frozen

_groups: dict[str, Group] = {}
"""The groups that run in this process, by their tokens."""

_given_back: list[str] = []
"""The reasons why groups were given back that this machine could not run."""

WANTED = frozenset(("executing", "long-running"))
"""The states of a task of Dask's that nobody took back.

https://distributed.dask.org/en/stable/worker-state.html
"""


class _DaskLink:
    """The connection of the task that runs in this thread."""

    def __init__(self, worker: Worker, topic: str) -> None:
        self._worker = worker
        self._topic = topic
        self._key = worker.get_current_task()
        self.address: str = worker.address

    def is_wanted(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return self._worker.status == Status.running and task is not None and task.state in WANTED

    def tell(self, message: Frozen) -> None:
        self._worker.log_event(self._topic, message.model_dump_json())

    def make_room(self) -> None:
        distributed.secede()


class _SilentLink(_DaskLink):
    """The connection of a task whose command is gone."""

    def tell(self, message: Frozen) -> None:
        """Tell nobody."""


def describe(dask_worker: Worker) -> str:
    """Return the description of a worker's machine, as JSON (see Machine); Dask passes the worker by the name."""
    return identity.machine(str(dask_worker.name), dask_worker.state.nthreads).model_dump_json()


async def possess(text: str) -> str:
    """Return which images of a list, and which engine, this machine has, as JSON (see Possessions).

    Dask would call a plain function in the thread that sends the worker's heartbeats, and an engine may be silent.
    """
    found = await asyncio.to_thread(possessions.of_this_machine, text)
    return found.model_dump_json()


def run_group(text: str) -> str:
    """Run the group of a request, and return its outcome; both are JSON (see Request and GroupEnd)."""
    worker = distributed.get_worker()
    try:
        request = parse(Request, text)
    except UsageError as error:
        return GroupEnd(kind="refused", worker=worker.address, reason=line(str(error))).model_dump_json()
    machine = identity.machine(str(worker.name), worker.state.nthreads)
    reason = obstacle(machine, request.needs, request.program)
    if reason:  # a worker that came after the request was placed
        return GroupEnd(kind="refused", worker=worker.address, reason=reason).model_dump_json()
    return _run(Group(request, _DaskLink(worker, request.topic), worker.state.nthreads)).model_dump_json()


def run_detached(text: str, given: str, brought: dict[str, bytes]) -> dict[str, bytes]:
    """Run the group of a request whose command is gone, and return the packs of its cells, by their ids.

    `text` and `given` are JSON (see Request and Given), `brought` has the files that the request names.

    Raises:
        InfrastructureError: this machine could not run it; Dask then has another try.

    """
    worker = distributed.get_worker()
    group = DetachedGroup(
        parse(Request, text), _SilentLink(worker, ""), worker.state.nthreads, parse(Given, given), brought
    )
    outcome = _run(group)
    if outcome.kind != "done":
        raise InfrastructureError(f"{worker.name}: {outcome.reason or outcome.kind}")
    return group.results


def _run(group: Group) -> GroupEnd:
    token = group.request.token
    _groups[token] = group
    try:
        outcome = group.complete()
    finally:
        del _groups[token]
    if outcome.kind == "unfit":
        _given_back.append(outcome.reason)
    return outcome


def has_given_back() -> bool:
    """Return whether a group was given back since the last call."""
    found = bool(_given_back)
    _given_back.clear()
    return found


def put(token: str, sha256: str, offset: int, block: bytes) -> int:
    """Append a piece to a file that is waited for; return how many bytes of it are here, -1 where nobody waits."""
    group = _groups.get(token)
    arriving = group.arriving.get(sha256) if group else staging.arriving(token, sha256)
    if arriving is None:
        return -1
    arriving.add(offset, block)
    if group:
        group.news.set()
    return arriving.size


def give(token: str, text: str) -> None:
    """Answer a group that has asked for its done cells, by JSON (see Given)."""
    group = _groups.get(token)
    if group is not None:
        group.given = parse(Given, text)
        group.news.set()


def get(token: str, cell_id: str, offset: int) -> bytes:
    """Return a piece of an offered cell's pack; nothing where the group has ended."""
    group = _groups.get(token)
    if group is None:
        return b""
    with group.pack_of(CellId(cell_id)).open("rb") as file:
        file.seek(offset)
        return file.read(BLOCK_BYTES)


def take(token: str, cell_id: str) -> None:
    """Note that the run's command has stored an offered cell."""
    group = _groups.get(token)
    if group is not None:
        group.taken.add(CellId(cell_id))
        group.news.set()


def busy(run: str) -> int:
    """Return the number of groups of a run in this process."""
    return sum(group.request.settings.run == run for group in list(_groups.values()))


def fault() -> str:
    """Return the reason why no cell can be run on this machine now; nothing where one can."""
    return health.fault()
