"""Every process collects the same tests in the same order, as pytest-xdist's workers must, whatever its hash seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120


def collecting(seed: int) -> subprocess.Popen[str]:
    words = ["-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/unit", "tests/replay"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**inherited, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def test_the_ids_of_tests_do_not_depend_on_the_hash_seed() -> None:
    processes = [collecting(seed) for seed in (3, 4)]
    outputs = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs[0]
    one, other = (re.findall(r"^.+::.+", output, re.M) for output in outputs)
    assert one
    assert [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]] == []
