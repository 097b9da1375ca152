"""Measures the processor time of commands that build nothing: `perf-matrix --version`, `list` of all cells, and `runs`.

`python benchmarks/start.py` prints the least and the median of some runs of each, with compiled modules there.
`--beside FOLDER` measures another checkout too, in turn with this one.
"""

from __future__ import annotations

import argparse
import inspect
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
COMMANDS = (("--version",), ("list", "--profile", "full"), ("runs",))


def cpu_s(checkout: Path, words: tuple[str, ...]) -> float:
    """Return the CPU time of one command of a checkout, in seconds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(
        [sys.executable, "-m", "matrix", *words], cwd=checkout, env=kept, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with status {process.returncode} in {checkout}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line for each command and checkout."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--beside", type=Path, default=None)
    options = parser.parse_args()
    checkouts = [HERE, *([options.beside.resolve()] if options.beside else [])]
    for words in COMMANDS:
        for checkout in checkouts:
            cpu_s(checkout, words)  # compiles the modules
        found: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
        for _ in range(options.times):
            for checkout in checkouts:
                found[checkout].append(cpu_s(checkout, words))
        for checkout, times_s in found.items():
            least, median = min(times_s), statistics.median(times_s)
            sys.stdout.write(f"perf-matrix {' '.join(words)}: {least:.2f} s, median {median:.2f} s ({checkout.name})\n")


if __name__ == "__main__":
    main()
