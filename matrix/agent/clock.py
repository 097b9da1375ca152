"""The clock of a step's facts: times of day whose differences are durations, whatever sets the machine's clock."""

import time

_OFFSET_S = time.time() - time.monotonic()


def now() -> float:
    """Return the seconds since the epoch, as counted from the agent's start on: a clock that is set changes nothing."""
    return _OFFSET_S + time.monotonic()
