"""The way to run cells on the workers of a scheduler: the same run directory, progress and end as on one machine."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dask

from matrix.errors import InfrastructureError
from matrix.machines import addresses, arrivals, preparation
from matrix.machines.session import ConnectionLostError, Session
from matrix.machines.worker import SETTINGS
from matrix.runs import progress
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Client

    from matrix.config.load import Config
    from matrix.machines.preparation import Work
    from matrix.machines.remaining import Remaining
    from matrix.model.cell_id import CellId
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run

AGAIN_S = 1.0
SCHEDULER_S = 300.0
"""How long a run waits for its scheduler to be back."""


@dataclass(frozen=True)
class OnWorkers:
    """The way to run cells on the workers of a scheduler, make with `jobs` jobs in each, 0 for the worker's number."""

    scheduler: str
    certificates: Path | None = None
    jobs: int = 0

    def __call__(self, run: Run, wanted: tuple[CellId, ...], access: EngineAccess, config: Config) -> None:
        """Run the cells that a run lacks (see launch.WayToRun).

        Raises:
            UsageError: the address needs certificates, or a tree cannot be had.
            InfrastructureError: the scheduler is gone for good, or no worker can run a cell.

        """
        addresses.security(self.scheduler, self.certificates)
        with preparation.prepared(run, wanted, self.jobs, access, config) as found:
            groups = count(len(found.groups), "group of cells", "groups of cells")
            access.say(f"{groups} for the workers of {self.scheduler}")
            work = _RemoteRun(self, found, access)
            work.show(progress.Progress(run, wanted, access.console))
        reused = [result.id for result in run.results() if result.reused and result.id in work.reused]
        if reused:  # some were done anew
            access.say(f"run {run.name}: {count(len(reused), 'cell')} reused from earlier runs")
        for group in work.given_up:
            arrivals.fail(group, run)


class _RemoteRun:
    """The work of a run on workers, in a thread of its own, while another shows progress."""

    def __init__(self, way: OnWorkers, work: Work, access: EngineAccess) -> None:
        self._way = way
        self._run = work.baggage.run
        self._baggage, self._known, self._groups = work
        self._access = access
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self.given_up: list[Remaining] = []
        self.reused: set[CellId] = set()

    def show(self, shown: progress.Progress) -> None:
        """Work until the end, and show progress meanwhile; an interrupt ends the cells on all workers first."""
        limit_s = self._run.settings().run_s
        thread = threading.Thread(target=self._work, name="machines")
        timer = threading.Timer(limit_s, self._stop.set)
        thread.start()
        if limit_s:
            timer.start()
        try:
            progress.show_until(shown, self._ended, self._access.console)
        except BaseException:
            self._access.say("interrupted: ending the cells that run")
            raise
        finally:
            timer.cancel()
            self._stop.set()
            thread.join()
        if self._error:
            raise self._error
        if self._groups_left:
            raise InfrastructureError(
                f"the run was ended after {limit_s} s, the limit on a run", "--run-timeout gives it more."
            )

    @property
    def _groups_left(self) -> list[Remaining]:
        return [group for group in self._groups if group.lacking and group not in self.given_up]

    def _work(self) -> None:
        try:
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            with dask.config.set(SETTINGS):
                self._sessions()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            self._ended.set()

    def _sessions(self) -> None:
        """Work with one connection after the other: a scheduler that was started again knows of nothing."""
        while self._groups_left and not self._stop.is_set():
            client = self._connected()
            if client is None:
                return
            with client:
                session = Session(client, self._baggage, self._known, self._groups_left, self._access.say)
                try:
                    session.run(self._stop)
                except ConnectionLostError:
                    self._access.say(f"the scheduler {self._way.scheduler} is gone; waiting for it")
                finally:
                    self.given_up += session.given_up
                    self.reused |= session.reused

    def _connected(self) -> Client | None:
        deadline = time.monotonic() + SCHEDULER_S
        while not self._stop.is_set():
            try:
                return addresses.connected(self._way.scheduler, self._way.certificates)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise addresses.silent(self._way.scheduler, error) from error
            self._stop.wait(AGAIN_S)
        return None
