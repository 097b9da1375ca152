"""A command's access to an engine: the socket that it was told, and the console for progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.engine import private_engine
from matrix.reports import terminal
from matrix.runs import ownership

if TYPE_CHECKING:
    from rich.console import Console

    from matrix.engine.api import Engine


@dataclass(frozen=True)
class EngineAccess:
    """How a command reaches an engine, and where the command prints its progress.

    `host` is the socket that --engine names; without one the usual places are tried and then an engine of the matrix's
    own is started.
    """

    host: str | None
    console: Console

    def say(self, line: str) -> None:
        """Print a line of progress, whole and as it is: rich would take words in brackets for its markup."""
        terminal.say(line, self.console)

    def connect(self) -> Engine:
        """Return an engine whose new containers are labelled as this process's.

        Raises:
            InfrastructureError: no engine answers and none could be started.

        """
        return private_engine.ensure(self.host, ownership.label(), self.say)
