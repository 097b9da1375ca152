"""The whole command line on a recorded run, without any engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.in_process import Done, perf_matrix

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
PLACE = "debian-trixie-min/gcc"


class Replay:
    """A state folder that holds the recorded run, and a machine where no engine answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configs = folder / "configs"
        self.dead = f"unix://{folder}/no-engine.sock"
        settings = json.loads((DATA / "fake-run" / "run.json").read_text())
        self.name: str = settings["run"]
        self.run = folder / "state" / "runs" / self.name
        shutil.copytree(DATA / "fake-run", self.run)
        (self.configs / "trees").mkdir(parents=True)
        for tree in ("good", "bad"):
            (self.configs / "trees" / f"{tree}.yaml").write_text(f"source: dir:/recorded/{tree}\n")
        self.words = ["--configs", str(DATA / "fake"), "--configs", str(self.configs)]
        settings["configs"] = [str(DATA / "fake"), str(self.configs)]
        (self.run / "run.json").write_text(json.dumps(settings))

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PERF_MATRIX_"))}
        places = {name: str(self.folder / name.lower()) for name in ("CACHE", "RUNTIME", "STATE")}
        return {
            **kept,
            "DOCKER_HOST": self.dead,
            "COLUMNS": "160",
            **{f"PERF_MATRIX_{name}": value for name, value in places.items()},
        }

    def __call__(self, *words: str, **more: str) -> Done:
        """Run the command perf-matrix in this process."""
        return perf_matrix(words, {**self.environment(), **more}, ROOT)

    def process(self, *args: str, module: str = "matrix", **more: str) -> Done:
        """Run a module in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", module, *args],
            cwd=ROOT,
            env={**self.environment(), **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    return Replay(tmp_path)
