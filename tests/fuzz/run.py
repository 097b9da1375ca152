"""`python -m tests.fuzz.run [TARGET…] --inputs N`: many inputs for each target, guided by coverage where atheris is.

Each target runs in a process of its own. An input that fails is made smaller, and is written to regressions/TARGET,
from where test_fuzz.py replays it; of failures at one place only the first is.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from tests.fuzz.target import Target

INPUT_S = 10
"""The longest CPU time of an input, in seconds: a longer one is a failure."""
MEMORY_BYTES = 4 << 30
REPORT_S = 10.0
SHRINKING = 300
ROOT = Path(__file__).parents[2]
_LIBFUZZER = ("-verbosity=0", "-timeout=600", "-rss_limit_mb=0")
"""Options of libFuzzer: the limits on time and memory are those of this module."""


class TooSlowError(Exception):
    """An input took longer than INPUT_S."""


@dataclass
class Campaign:
    """The inputs that one target was given, and the places of the failures among them."""

    target: Target
    count: int = 0
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    places: set[str] = field(default_factory=set)

    def give(self, data: bytes) -> None:
        """Give the target an input; a failure at a new place is written."""
        self.count += 1
        error = self._failure(data)
        if error and _place(error) not in self.places:
            self._keep(data, error)
        if time.monotonic() - self.told > REPORT_S:
            self.tell("")

    def tell(self, end: str) -> None:
        """Print a line of progress."""
        self.told = time.monotonic()
        rate = self.count / max(self.told - self.began, 1e-9)
        _say(f"{self.target.name}: {self.count} inputs, {rate:.0f}/s, {len(self.places)} places of failures{end}")

    def _failure(self, data: bytes) -> Exception | None:
        signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_S)
        try:
            return self.target.failure(data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _keep(self, data: bytes, error: Exception) -> None:
        place = _place(error)
        self.places.add(place)
        small = self._smaller(data, place)
        name = hashlib.sha256(small).hexdigest()[:16]
        folder = ROOT / "tests" / "fuzz" / "regressions" / self.target.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(small)
        _say(f"{self.target.name}: FAILED {folder / name}: {place}: {str(error)[:200]}")

    def _smaller(self, data: bytes, place: str) -> bytes:
        """Return an input that fails at the same place, without the pieces that it need not have."""
        tries, size = 0, len(data) // 2
        while size and tries < SHRINKING:
            at = 0
            while at < len(data) and tries < SHRINKING:
                candidate = data[:at] + data[at + size :]
                tries += 1
                error = self._failure(candidate)
                if error and _place(error) == place:
                    data = candidate
                else:
                    at += size
            size //= 2
        return data


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _place(error: Exception) -> str:
    """Return the type of an error and the line of ours, or else the last line, that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{ROOT}/matrix/" in frame.filename] or frames[-1:]
    where = ours[-1]
    return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"


def _slow(_number: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def _by_mutation(campaign: Campaign, inputs: int, seed: int) -> None:
    from tests.fuzz import mutate  # noqa: PLC0415 - as below

    random = Random(f"{campaign.target.name} {seed}")  # noqa: S311 - the same inputs each time
    while campaign.count < inputs:
        campaign.give(mutate.mutated(campaign.target, random))


def _by_coverage(name: str, inputs: int, seed: int) -> None:
    """Run a target under atheris, which ends the process."""
    import atheris  # noqa: PLC0415 - optional

    with atheris.instrument_imports(include=["matrix", "elftools", "yaml"], enable_loader_override=False):
        from tests.fuzz import mutate  # noqa: PLC0415 - imported now, so that what it imports is instrumented
        from tests.fuzz.target import registry  # noqa: PLC0415 - as mutate

        campaign = Campaign(registry()[name])
    random = Random(seed)  # noqa: S311 - repeatable, and no secret

    def one(data: bytes) -> None:
        campaign.give(data)
        if campaign.count >= inputs:
            campaign.tell(", done with atheris")
            os._exit(0)  # libFuzzer has no end that a callback could ask for

    def mutator(data: bytes, most: int, given: int) -> bytes:
        if random.randrange(4) == 0:
            return bytes(atheris.Mutate(data, most))
        base = data if data and random.randrange(4) else random.choice(campaign.target.seeds)
        return mutate.changed(campaign.target, base, Random(given))[:most]  # noqa: S311 - repeatable, and no secret

    signal.signal(signal.SIGVTALRM, _slow)
    atheris.Setup(
        [sys.argv[0], f"-seed={seed + 1}", f"-max_len={mutate.MOST_BYTES}", *_LIBFUZZER],
        one,
        custom_mutator=mutator,
    )
    atheris.Fuzz()


def _one(name: str, inputs: int, seed: int, *, atheris: bool) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    if atheris:
        _by_coverage(name, inputs, seed)
        return
    from tests.fuzz.target import registry  # noqa: PLC0415 - it imports every parser

    signal.signal(signal.SIGVTALRM, _slow)
    campaign = Campaign(registry()[name])
    _by_mutation(campaign, inputs, seed)
    campaign.tell(", done by mutation")


def main() -> None:
    """Run the targets that the command line names, or all of them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-atheris", action="store_true", help="mutate seeds, without coverage")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    atheris = not options.no_atheris and importlib.util.find_spec("atheris") is not None
    if options.in_process:
        _one(options.targets[0], options.inputs, options.seed, atheris=atheris)
        return
    from tests.fuzz.target import registry  # noqa: PLC0415 - it imports every parser

    known = registry()
    for name in options.targets or known:
        if name not in known:
            sys.exit(f"no target {name!r}; there are: {', '.join(known)}")
        more = ["--no-atheris"] if options.no_atheris else []
        argv = [sys.executable, "-m", "tests.fuzz.run", name, "--in-process"]
        subprocess.run(
            [*argv, "--inputs", str(options.inputs), "--seed", str(options.seed), *more], check=False, cwd=ROOT
        )


if __name__ == "__main__":
    main()
