"""The campaign: many faults, each in a run of its own. `python -m tests.faults.campaign --seed 1 --count 1000`."""

from __future__ import annotations

import argparse
import os
import queue
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import boundaries, tables
from tests.faults.boundaries import Fault
from tests.faults.questions import END, Bases, Outcome, Wrong, tried
from tests.faults.starter import Starter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def outcomes(folder: Path, faults: Sequence[Fault], bases: Bases, starters: Sequence[Starter]) -> Iterator[Outcome]:
    """Yield what each fault showed, in the order of the faults; as many at once as there are starters."""
    free: queue.SimpleQueue[Starter] = queue.SimpleQueue()
    for starter in starters:
        free.put(starter)

    def outcome(numbered: tuple[int, Fault]) -> Outcome:
        number, fault = numbered
        starter = free.get()
        try:
            return tried(folder / str(number), starter, fault, bases[fault.scenario])
        except Exception as error:  # noqa: BLE001 - the other trials go on, and this one is counted
            return Outcome(fault, "the trial itself", wrong=[Wrong(END, f"the trial broke: {error!r}")])
        finally:
            free.put(starter)

    with ThreadPoolExecutor(len(starters)) as pool:
        yield from pool.map(outcome, enumerate(faults))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Do a campaign, print its progress and its table, and end with status 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="N", help="the number of the first fault")
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="as worker:rename:3:EIO")
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="how many at once")
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/reliability.md at the end")
    parser.add_argument("--fresh", action="store_true", help="start each Python anew, which takes four times as long")
    parser.add_argument(
        "--verbose", action="store_true", help="print the output of each run in which something is wrong"
    )
    options = parser.parse_args()
    began = time.monotonic()
    done = []
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        starters = [Starter(fresh=options.fresh) for _ in range(options.jobs)]
        bases = Bases(Path(name), starters[0])
        faults = [Fault.parse(text) for text in options.only] or [
            boundaries.chosen(options.seed, number, bases.counts)
            for number in range(options.first, options.first + options.count)
        ]
        for fault in faults:
            bases[fault.scenario]
        for scenario, base in bases.done.items():
            calls = f"{sum(base.counts.values())} calls at {len(base.counts)} places"
            _say(f"undisturbed, {scenario}: {base.wall_s:.1f} s, {calls}")
        for number, outcome in enumerate(outcomes(Path(name), faults, bases, starters), options.first):
            done.append(outcome)
            _tell(number, outcome, verbose=options.verbose)
        for starter in starters:
            starter.close()
    _say(tables.text(done))
    wall_s, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime + time.process_time()
    if options.markdown:
        _say("\n" + tables.markdown(done, options.seed, options.jobs, wall_s, cpu_s))
    _say(f"{wall_s:.0f} s")
    sys.exit(any(outcome.wrong for outcome in done))


def _tell(number: int, outcome: Outcome, *, verbose: bool) -> None:
    ended = "wrong" if outcome.wrong else "right" if outcome.fired else "not reached"
    _say(f"{number:5} {outcome.fault}  status {outcome.status}, then {outcome.resumed}: {ended}")
    for wrong in outcome.wrong:
        _say(f"      {wrong}")
    if outcome.wrong and verbose:
        _say(f"      {outcome.fired}\n{outcome.text}")


if __name__ == "__main__":
    main()
