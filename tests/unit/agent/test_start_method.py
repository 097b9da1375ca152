from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.agent.running import AGENT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork", "serial"])
def test_a_start_method_is_forced_on_every_pool(tmp_path: Path, method: str) -> None:
    (tmp_path / "sitecustomize.py").write_text((AGENT / "start_method.py").read_text())
    script = tmp_path / "pool.py"
    script.write_text(
        "import concurrent.futures as c, multiprocessing as m, os\n"
        "def prepare(value): os.environ['SET'] = value\n"
        "def work(n): return (os.getpid(), os.environ['SET'])\n"
        "if __name__ == '__main__':\n"
        "    with c.ProcessPoolExecutor(initializer=prepare, initargs=('x',), max_workers=2) as pool:\n"
        "        [(pid, value)] = list(pool.map(work, [1]))\n"
        "    print('serial' if pid == os.getpid() else m.get_start_method(), value)\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "PERF_MATRIX_START_METHOD": method}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout == f"{method} x\n"
