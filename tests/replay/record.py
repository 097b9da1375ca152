"""Records the run that this folder's tests replay: `python -m tests.replay.record`, from the top, with an engine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.engine.bench import ROOT, Bench
from tests.engine.test_bad_trees import FORGETS, RELINKS

CELLS = ("fake@good", "fake-spawn@good", "fake@bad")
TARGET = ROOT / "tests" / "data" / "fake-run"


def main() -> None:
    """Run the good tree and a bad one, and keep the run as it is."""
    with tempfile.TemporaryDirectory(prefix="record-") as folder:
        bench = Bench(Path(folder))
        bench.tree("good")
        bench.tree("bad", *RELINKS, *FORGETS)
        done = bench.run(*CELLS)
        assert done.status == 1, done.text
        shutil.rmtree(TARGET, ignore_errors=True)
        left_out = shutil.ignore_patterns("*lock", "pytest.log", "kept-builds", "order.json")
        shutil.copytree(bench.latest().folder, TARGET, ignore=left_out)
        for path in [*TARGET.rglob("*.json"), *TARGET.rglob("*.log")]:
            path.write_text(path.read_text().replace(f"{ROOT}/", "").replace(f"{folder}/", "recorded/"))


if __name__ == "__main__":
    main()
