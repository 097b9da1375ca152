"""A worker: a process that takes groups of cells from a scheduler of Dask's, again and again, until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dask
from distributed import Worker

from matrix import paths
from matrix.engine import private_engine
from matrix.errors import InfrastructureError, MatrixError
from matrix.machines import addresses, group, identity, staging, worker_side
from matrix.runs import locks, ownership, store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_S = 2.0
SETTINGS = {
    "distributed.comm.timeouts.connect": "10s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.limit": "1h",
}
"""Dask's settings for this program: https://docs.dask.org/en/stable/configuration.html."""


@dataclass(frozen=True)
class WorkerPlace:
    """The place of a worker: the scheduler's address, the folder of certificates, the worker's name, cells at once."""

    scheduler: str
    certificates: Path | None = None
    name: str = ""
    at_once: int = 0

    @property
    def shown_name(self) -> str:
        """The worker's name; unless given, that of its machine and its process."""
        return self.name or f"{socket.gethostname()}-{os.getpid()}"


def serve(place: WorkerPlace, host: str | None, say: Callable[[str], None]) -> None:
    """Take groups of cells until an interrupt; where the scheduler or the engine is gone, wait until it is back.

    Args:
        place: the worker's place.
        host: the engine's socket that the user named.
        say: shows a line of progress.

    Raises:
        UsageError: the address needs certificates, or they are not there.
        InfrastructureError: no engine answers and none could be started.

    """
    addresses.security(place.scheduler, place.certificates)
    engine = private_engine.ensure(host, ownership.label(say=say), say)
    if host:
        os.environ["DOCKER_HOST"] = host
    remove_left_groups()
    ownership.sweep(engine, say)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(SETTINGS):
        asyncio.run(_serve(place, say))


def remove_left_groups() -> None:
    """Remove the run directories of groups whose worker was killed."""
    for run in store.runs():
        if (run.folder / group.MARK).is_file() and not locks.is_being_done(run):
            shutil.rmtree(run.folder, ignore_errors=True)


async def _serve(place: WorkerPlace, say: Callable[[str], None]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    say(f"worker {place.shown_name}: waiting for {place.scheduler}")
    while not ended.is_set():
        if await asyncio.to_thread(_is_fit, say):
            await _take_groups(place, ended, say)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), LOOK_S)
    say(f"worker {place.shown_name}: ended")


def _is_fit(say: Callable[[str], None]) -> bool:
    """Return whether this machine can run cells; its private engine is started again where it was ended."""
    try:
        private_engine.ensure(None, "", say)
    except MatrixError:
        return False
    return not worker_side.fault()


async def _take_groups(place: WorkerPlace, ended: asyncio.Event, say: Callable[[str], None]) -> None:
    """Take groups as long as the scheduler and this machine's engine are there."""
    machine = identity.machine(place.shown_name, place.at_once)
    with tempfile.TemporaryDirectory(prefix=f"{paths.TEMPORARY_PREFIX}dask.{os.getpid()}-") as folder:
        worker = Worker(
            place.scheduler, nthreads=machine.at_once, name=place.shown_name, memory_limit=0, local_directory=folder,
            security=addresses.security(place.scheduler, place.certificates), dashboard=False,
            host=addresses.listening_host(place.scheduler),
        )  # fmt: skip
        if not await _is_connected(worker, ended):
            await worker.close(reason="no scheduler", nanny=False)
            return
        say(f"worker {place.shown_name}: connected, {machine.at_once} at once")
        await _until_gone(worker, ended)
        await worker.close(reason="ended", nanny=False)
        say(f"worker {place.shown_name}: no longer connected")


async def _is_connected(worker: Worker, ended: asyncio.Event) -> bool:
    """Return whether a worker has begun; Dask's own wait for a scheduler ends with its answer only."""
    beginning = asyncio.ensure_future(worker)
    asked = asyncio.create_task(ended.wait())
    await asyncio.wait((beginning, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    is_asked = not beginning.done()
    beginning.cancel()
    try:
        await beginning
    except (OSError, TimeoutError, InfrastructureError):
        return False
    except asyncio.CancelledError:
        if not is_asked:
            raise
        return False
    return True


async def _until_gone(worker: Worker, ended: asyncio.Event) -> None:
    """Wait until the worker is to end, has lost its scheduler, or had to give a group back."""
    gone = asyncio.create_task(worker.finished())
    asked = asyncio.create_task(ended.wait())
    unfit = asyncio.create_task(_until_unfit())
    await asyncio.wait((gone, asked, unfit), return_when=asyncio.FIRST_COMPLETED)
    for task in (asked, unfit):
        task.cancel()


async def _until_unfit() -> None:
    """Wait until a group was given back because of this machine, and it is still at fault."""
    is_fit = True
    while is_fit:
        await asyncio.sleep(LOOK_S)
        staging.drop_forgotten()
        is_fit = not worker_side.has_given_back() or not await asyncio.to_thread(worker_side.fault)
