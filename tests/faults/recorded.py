"""The agent's answers of a recorded run of the fake tree: what each step wrote, and the files that were read."""

from __future__ import annotations

import gzip
import json
import tarfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RUN = HERE.parent / "data" / "fake-run"
PLACE = "debian-trixie-min/gcc"
FOLDER = "/src/tools/perf/"


@dataclass(frozen=True)
class Answer:
    """What a program in a cell wrote: its exit status, standard error and standard output."""

    status: int = 0
    log: bytes = b""
    output: bytes = b""


@dataclass(frozen=True)
class RecordedCell:
    """One recorded cell on a tree, `good` or `bad`."""

    steps: dict[str, Answer]
    files: dict[str, bytes] = field(default_factory=dict)

    def answer(self, words: list[str]) -> Answer:
        """Return what the agent says to its words: `step JSON…` or `read USER PATH BYTES`."""
        if words[0] == "read":
            content = self.files.get(words[2])
            return Answer(1, b"no such file") if content is None else Answer(output=content)
        return self.steps[_key(json.loads("".join(words[1:])))]


@cache
def cell(tree: str, build: str = "fake") -> RecordedCell:
    """Return the recorded cell of a build on a tree, with the files that a run reads from it."""
    folder = RUN / "cells" / PLACE / f"{build}@{tree}"
    transcript = json.loads(gzip.decompress((folder / "transcript.json.gz").read_bytes()))
    files = _files(tree)
    steps = {}
    for record in transcript["steps"]:
        log = (folder / record["log"]).read_bytes().partition(b"\n")[2]
        if record["step"]["name"] == "database":  # the run emptied the log, once it had read it
            log = files[f"{FOLDER}database.log"]
        lines = "".join(f"{json.dumps(one)}\n" for one in record["records"])
        steps[_key(record["step"])] = Answer(0, log, lines.encode())
    return RecordedCell(steps, files)


def _key(step: dict[str, Any]) -> str:
    """Return what tells a step from the others of its cell: its files to touch and its commands."""
    return json.dumps([list(step["touch"]), [list(command["argv"]) for command in step["commands"]]])


def _files(tree: str) -> dict[str, bytes]:
    with tarfile.open(HERE / "data" / f"{tree}.tar.gz") as archive:
        members = {f"{FOLDER}{name}": archive.extractfile(name) for name in archive.getnames()}
        return {path: file.read() for path, file in members.items() if file is not None}
