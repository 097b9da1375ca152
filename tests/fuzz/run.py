"""`python -m tests.fuzz.run [TARGET…] --inputs N`: many inputs for each target, guided by coverage where atheris is.

Each target runs in a process of its own. An input that fails is made smaller, and is written to regressions/TARGET,
from where test_fuzz.py replays it; of failures at one place only the first is. A table ends the output; the exit status
is 1 where an input failed, or a target did not get its inputs. `--record FILE --inputs 0` shows the table of a record.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import records
from tests.fuzz.campaign import LENGTH_BYTES, ROOT, by_coverage, by_mutation, kept, say
from tests.fuzz.mutate import MOST_BYTES
from tests.fuzz.records import Asked, Record
from tests.fuzz.target import registry

FOREVER_S = 10 * 365 * 86400


@dataclass(frozen=True)
class Invocation:
    """What the command line asks for, and the records of earlier invocations."""

    options: Any
    record: Path
    before: list[Record]

    def campaign(self, name: str) -> None:
        """Give a target the inputs that it lacks, in a process of its own."""
        lacking = self.options.inputs - records.given(self.before, name)
        if lacking <= 0:
            return
        seed = records.next_seed(self.before, name) if self.options.seed is None else self.options.seed
        driver = "mutation" if self.options.no_atheris else "atheris"
        asked = Asked(name, seed, lacking, self.options.minutes * 60 or FOREVER_S, driver)
        with tempfile.NamedTemporaryFile() as last:
            last.truncate(LENGTH_BYTES + 2 * MOST_BYTES)
            argv = [sys.executable, "-m", "tests.fuzz.run", "--in-process", json.dumps(asked), str(self.record)]
            status = subprocess.run([*argv, last.name], check=False, cwd=ROOT).returncode
            if status:
                self._note_death(asked, status, Path(last.name).read_bytes())

    def _note_death(self, asked: Asked, status: int, last: bytes) -> None:
        """Record that the process of a target died, and keep the input that it had been given last."""
        length = int.from_bytes(last[:LENGTH_BYTES], "big")
        path = kept(asked.target, last[LENGTH_BYTES : LENGTH_BYTES + length])
        say(f"{asked.target}: DIED with status {status}; its last input: {path}")
        ended = Record(asked.target, asked.seed, 0, 0.0, 0.0, (), asked.driver)
        for one in records.read(self.record):
            ended = one if one.target == asked.target and one.seed == asked.seed else ended
        records.append(self.record, ended._replace(failures=(*ended.failures, f"died with status {status}")))

    def failures(self, names: list[str]) -> int:
        """Return how many of the targets had a failure now, or did not get their inputs yet."""
        after = records.read(self.record)
        failed = {one.target for one in after if one not in self.before and one.failures}
        short = {name for name in names if records.given(after, name) < self.options.inputs}
        return len((failed & set(names)) | short)


def _in_process(text: str, record: str, last: str) -> None:
    asked = Asked(*json.loads(text))
    drive = by_coverage if asked.driver == "atheris" else by_mutation
    drive(asked, Path(record), Path(last))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each target, those of --record included")
    parser.add_argument("--minutes", type=float, default=0, help="the longest time of a target")
    parser.add_argument("--jobs", type=int, default=1, help="the number of targets at once")
    parser.add_argument("--record", type=Path, help="a file that counts the inputs of several invocations")
    parser.add_argument("--seed", type=int, help="of the inputs; by default 0, or one that --record has not yet")
    parser.add_argument("--no-atheris", action="store_true", help="mutate seeds, without coverage")
    parser.add_argument("--in-process", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.no_atheris |= importlib.util.find_spec("atheris") is None
    return options


def main() -> None:
    """Run the targets that the command line names, or all of them."""
    options = _options()
    if options.in_process:
        _in_process(*options.in_process)
        return
    known = registry()
    names = options.targets or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no target {unknown[0]!r}; there are: {', '.join(known)}")
    with tempfile.TemporaryDirectory() as folder:
        record = options.record.absolute() if options.record else Path(folder) / "record"
        invocation = Invocation(options, record, records.read(record))
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(invocation.campaign, names))
        for row in records.table(records.read(record), names):
            say(row)
        sys.exit(1 if invocation.failures(names) else 0)


if __name__ == "__main__":
    main()
