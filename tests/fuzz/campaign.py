"""The inputs that one target is given in one process, and what came of them."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn

from tests.fuzz.records import Record, append

if TYPE_CHECKING:
    from types import FrameType

    from tests.fuzz.records import Asked
    from tests.fuzz.target import Target

INPUT_S = 10
"""The longest CPU time of an input, in seconds: a longer one is a failure."""
MEMORY_BYTES = 4 << 30
REPORT_S = 20.0
SHRINKING = 300
ROOT = Path(__file__).parents[2]
LENGTH_BYTES = 8
_LIBFUZZER = ("-verbosity=0", "-timeout=600", "-rss_limit_mb=0")
"""Options of libFuzzer: the limits on time and memory are those of this module."""


class TooSlowError(Exception):
    """An input took longer than INPUT_S."""


class Campaign:
    """The inputs of a target, and the places of the failures among them; `last` has the input that is being given."""

    def __init__(self, target: Target, asked: Asked, record: Path, last: Path) -> None:
        self.target = target
        self.found = Record(target.name, asked.seed, 0, 0.0, 0.0, (), asked.driver)
        self.inputs, self.end = asked.inputs, time.monotonic() + asked.seconds
        self._record = record
        self._told = time.monotonic()
        with last.open("r+b") as file:
            self._last = mmap.mmap(file.fileno(), 0)
        signal.signal(signal.SIGVTALRM, _slow)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def is_over(self) -> bool:
        """Return whether all inputs were given, or the time is over."""
        return self.found.inputs >= self.inputs or time.monotonic() > self.end

    def replay(self) -> None:
        """Give the inputs that once failed, which are not counted."""
        for path in self.target.regressions:
            error = self._failure(path.read_bytes())
            if error:
                self._note(error, path)

    def give(self, data: bytes) -> None:
        """Give the target an input; a failure at a new place is written."""
        self._last[: LENGTH_BYTES + len(data)] = len(data).to_bytes(LENGTH_BYTES, "big") + data
        before = time.process_time()
        error = self._failure(data)
        took = time.process_time() - before
        found = self.found
        self.found = found._replace(
            inputs=found.inputs + 1, cpu_s=found.cpu_s + took, slowest_s=max(found.slowest_s, took)
        )
        if error and place(error) not in found.failures:
            self._note(error, kept(self.target.name, self._smaller(data, place(error))))
        if time.monotonic() - self._told > REPORT_S:
            self.tell("")

    def tell(self, end: str) -> None:
        """Print a line of progress, and append it to the record."""
        self._told = time.monotonic()
        append(self._record, self.found)
        rate = self.found.inputs / max(self.found.cpu_s, 1e-9)
        many = f"{self.found.inputs} inputs, {rate:.0f} a CPU second"
        say(f"{self.target.name}: {many}, {len(self.found.failures)} places of failures{end}")

    def _failure(self, data: bytes) -> Exception | None:
        signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_S)
        try:
            return self.target.failure(data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _note(self, error: Exception, path: Path) -> None:
        self.found = self.found._replace(failures=(*self.found.failures, place(error)))
        say(f"{self.target.name}: FAILED {path}: {place(error)}: {str(error)[:200]}")

    def _smaller(self, data: bytes, where: str) -> bytes:
        """Return an input that fails at the same place, without the pieces that it need not have."""
        tries, size = 0, len(data) // 2
        while size and tries < SHRINKING:
            at = 0
            while at < len(data) and tries < SHRINKING:
                candidate = data[:at] + data[at + size :]
                tries += 1
                error = self._failure(candidate)
                if error and place(error) == where:
                    data = candidate
                else:
                    at += size
            size //= 2
        return data


def kept(name: str, data: bytes) -> Path:
    """Return the path of a new file of a target's regressions."""
    folder = ROOT / "tests" / "fuzz" / "regressions" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def place(error: Exception) -> str:
    """Return the type of an error and the line of ours, or else the last line, that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{ROOT}/matrix/" in frame.filename] or frames[-1:]
    where = ours[-1]
    return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"


def _slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def by_mutation(asked: Asked, record: Path, last: Path) -> None:
    """Give a target seeds with changes, which a generator of random numbers chooses by the seed."""
    from tests.fuzz import mutate  # noqa: PLC0415 - as below
    from tests.fuzz.target import registry  # noqa: PLC0415 - as below

    campaign = Campaign(registry()[asked.target], asked, record, last)
    campaign.replay()
    random = Random(f"{asked.target} {asked.seed}")  # noqa: S311 - the same inputs each time
    while not campaign.is_over():
        campaign.give(mutate.mutated(campaign.target, random))
    campaign.tell(", done by mutation")


def by_coverage(asked: Asked, record: Path, last: Path) -> NoReturn:
    """Give a target inputs that the coverage of the code guides, and end the process."""
    import atheris  # noqa: PLC0415 - optional

    with atheris.instrument_imports(include=["matrix", "elftools", "yaml"], enable_loader_override=False):
        from tests.fuzz import mutate  # noqa: PLC0415 - imported now, so that what it imports is instrumented
        from tests.fuzz.target import registry  # noqa: PLC0415 - as mutate

        campaign = Campaign(registry()[asked.target], asked, record, last)
    campaign.replay()
    random = Random(asked.seed)  # noqa: S311 - repeatable, and no secret

    def one(data: bytes) -> None:
        campaign.give(data)
        if campaign.is_over():
            campaign.tell(", done with atheris")
            _end()

    def mutator(data: bytes, most: int, given: int) -> bytes:
        if random.randrange(4) == 0:
            return bytes(atheris.Mutate(data, most))
        base = data if data and random.randrange(4) else random.choice(campaign.target.seeds)
        return mutate.changed(campaign.target, base, Random(given))[:most]  # noqa: S311 - repeatable, and no secret

    options = [sys.argv[0], f"-seed={asked.seed + 1}", f"-max_len={mutate.MOST_BYTES}", *_LIBFUZZER]
    atheris.Setup(options, one, custom_mutator=mutator)
    atheris.Fuzz()
    raise AssertionError("libFuzzer ended by itself")


def _end() -> NoReturn:
    """End the process: libFuzzer has no end that a callback could ask for, and calls no function of `atexit`."""
    import shutil  # noqa: PLC0415 - at the end alone

    from tests.fuzz import samples  # noqa: PLC0415 - instrumented by now

    with contextlib.suppress(OSError):
        shutil.rmtree(samples.folder())
    os._exit(0)
