"""The growth of a parser's cost with the size of a hostile input, measured so that a loaded machine changes nothing."""

from __future__ import annotations

import functools
import gc
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FACTORS = (1, 2, 4, 8)
MOST_LINES_FACTOR = 12
"""The most lines of Python that eight times the input may cost, against those of one: 8, and half of it for luck."""
MOST_TIME_FACTOR = 24
"""The same of CPU time, between 8 (linear) and 64 (quadratic): it counts what is done in C, as by `re`."""
SHORT_S = 0.03
"""The CPU time below which nothing is told from noise."""
TRIES = 4


def lines_of(parse: Callable[[], object]) -> int:
    """Return how many lines of Python a call executes: the same number each time, whatever else the machine does."""
    count = 0

    def trace(_frame: Any, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse()
    finally:
        sys.settrace(before)
    return count


def cpu_s_of(parse: Callable[[], object]) -> float:
    """Return the CPU time of a call, in seconds."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        parse()
        return time.process_time() - began
    finally:
        gc.enable()


def too_steep(parse: Callable[[bytes], object], make: Callable[[int], bytes], size: int) -> str:
    """Return a sentence on a cost that grows faster than the input does; nothing for a linear one."""
    inputs = [make(size * factor) for factor in FACTORS]
    parse(make(size // 2))  # what is done once, as the compilation of a regular expression, is no part of the cost
    lines = [lines_of(functools.partial(parse, data)) for data in inputs]
    if lines[-1] > MOST_LINES_FACTOR * max(lines[0], 100):
        return f"lines executed for {_sizes(inputs)} bytes: {lines}"
    for _ in range(TRIES):  # the least ratio counts: whatever else runs here makes it greater or less
        last = cpu_s_of(functools.partial(parse, inputs[-1]))
        if last < SHORT_S:
            return ""
        first = min(cpu_s_of(functools.partial(parse, inputs[0])) for _ in range(3))
        if last < MOST_TIME_FACTOR * first:
            return ""
    return f"CPU seconds for {_sizes([inputs[0], inputs[-1]])} bytes: {first:.4f}, {last:.4f}"


def _sizes(inputs: list[bytes]) -> str:
    return ", ".join(str(len(data)) for data in inputs)
