"""A command's access to an engine: the socket that it was told, and the console for progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from matrix.engine import private_engine
from matrix.reports import terminal
from matrix.runs import ownership

if TYPE_CHECKING:
    from rich.console import Console

    from matrix.config.load import Config
    from matrix.engine.api import Engine
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run


class WayToRun(Protocol):
    """A way to run cells: on this machine by pytest-xdist (see launch), or on others."""

    def __call__(self, run: Run, wanted: tuple[CellId, ...], access: EngineAccess, config: Config) -> None:
        """Run those of a run's cells `wanted` that it lacks; each result is stored in the run as soon as it is made.

        The run's lock is held meanwhile. An interrupt is a KeyboardInterrupt, and nothing of the run is left then.

        Raises:
            UsageError: a tree cannot be had.
            InfrastructureError: the cells could not be run.

        """


@dataclass(frozen=True)
class EngineAccess:
    """How a command reaches an engine, and where the command prints its progress.

    `host` is the socket that --engine names; without one the usual places are tried and then an engine of the matrix's
    own is started. `way` is the way to run cells elsewhere than on this machine, if there is one.
    """

    host: str | None
    console: Console
    way: WayToRun | None = None

    def say(self, line: str) -> None:
        """Print a line of progress, whole and as it is: rich would take words in brackets for its markup."""
        terminal.say(line, self.console)

    def connect(self) -> Engine:
        """Return an engine whose new containers are labelled as this process's.

        Raises:
            InfrastructureError: no engine answers and none could be started.

        """
        return private_engine.ensure(self.host, ownership.label(), self.say)
