"""The deadline of a cell: the time that all of its steps may take together."""

from __future__ import annotations

import time


class CellDeadline:
    """The end of the time that a cell's steps may take, from now on; `limit_s` is Limits.cell_s."""

    def __init__(self, limit_s: int) -> None:
        self.limit_s = limit_s
        self._end = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """The seconds that are left; 0 from the deadline on."""
        return max(0.0, self._end - time.monotonic())

    @property
    def failure(self) -> str:
        """The reason why a step failed that ran into the deadline, or nothing before it."""
        return "" if self.left_s else f"ended, as the cell had taken {self.limit_s} s, the limit on a cell"
