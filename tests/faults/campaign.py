"""The campaign: many faults, each in a run of its own. `python -m tests.faults.campaign --seed 1 --count 1000`."""

from __future__ import annotations

import argparse
import queue
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import boundaries
from tests.faults.boundaries import FAULTS, Fault
from tests.faults.starter import Starter
from tests.faults.trial import Outcome, Undisturbed, tried, undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def outcomes(
    folder: Path, faults: Sequence[Fault], base: Undisturbed, starters: Sequence[Starter]
) -> Iterator[Outcome]:
    """Yield what each fault showed, in the order of the faults; as many at once as there are starters."""
    free: queue.SimpleQueue[Starter] = queue.SimpleQueue()
    for starter in starters:
        free.put(starter)

    def outcome(numbered: tuple[int, Fault]) -> Outcome:
        number, fault = numbered
        starter = free.get()
        try:
            return tried(folder / str(number), starter, fault, base)
        finally:
            free.put(starter)

    with ThreadPoolExecutor(len(starters)) as pool:
        yield from pool.map(outcome, enumerate(faults))


def table(done: Sequence[Outcome]) -> str:
    """Return the counts by kind and boundary: faults that were reached, what came of them, what was wrong."""
    lines = [f"{'kind':12} {'boundary':28} {'faults':>6} {'wrong':>6}  exit statuses"]
    reached = [one for one in done if one.fired]
    for kind, named in FAULTS.items():
        places = sorted({one.fault.boundary for one in reached if one.fault.kind == kind}, key=list(named).__contains__)
        for place in places:
            here = [one for one in reached if one.fault.kind == kind and one.fault.boundary == place]
            statuses = Counter(one.status for one in here)
            told = ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items(), key=str))
            lines.append(f"{kind:12} {place:28} {len(here):6} {sum(bool(one.wrong) for one in here):6}  {told}")
    lines.append(f"{'all':41} {len(reached):6} {sum(bool(one.wrong) for one in reached):6}")
    lines.append(f"{len(done) - len(reached)} faults were not reached: their run took another way")
    return "\n".join(lines)


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
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="start each Python anew, which takes four times as long")
    parser.add_argument(
        "--verbose", action="store_true", help="print the output of each run in which something is wrong"
    )
    options = parser.parse_args()
    began = time.monotonic()
    done = []
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        starters = [Starter(fresh=options.fresh) for _ in range(options.at_once)]
        base = undisturbed(Path(name) / "undisturbed", starters[0])
        _say(f"undisturbed: {base.wall_s:.1f} s, {sum(base.counts.values())} calls at {len(base.counts)} places")
        numbers = range(options.first, options.first + options.count)
        faults = [Fault.parse(text) for text in options.only] or [
            boundaries.chosen(options.seed, number, base.counts) for number in numbers
        ]
        for number, outcome in enumerate(outcomes(Path(name), faults, base, starters), options.first):
            done.append(outcome)
            ended = "wrong" if outcome.wrong else "right" if outcome.fired else "not reached"
            _say(f"{number:5} {outcome.fault}  status {outcome.status}, then {outcome.resumed}: {ended}")
            for line in outcome.wrong:
                _say(f"      {line}")
            if outcome.wrong and options.verbose:
                _say(f"      {outcome.fired}\n{outcome.text}")
        for starter in starters:
            starter.close()
    _say(table(done))
    _say(f"{time.monotonic() - began:.0f} s")
    sys.exit(any(outcome.wrong for outcome in done))


if __name__ == "__main__":
    main()
