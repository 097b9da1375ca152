"""No command ends in a traceback on any run directory: half written, cut short, or of another version."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from matrix.config import load
from matrix.verdicts import mutants
from tests.replay.conftest import DATA, PLACE, Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.in_process import Done

RECORDED = DATA / "fake-run"
FILES = sorted(path.relative_to(RECORDED).as_posix() for path in RECORDED.rglob("*") if path.is_file())
LOGS = [name for name in FILES if name.endswith(".log")]
GOOD, BAD = f"{PLACE}/fake@good", f"{PLACE}/fake@bad"
FAULTY = """
summary: perf is linked anew each time
trees: ["good"]
changes:
- file: tools/perf/Makefile.perf
  add: "# worse"
expect:
  check: no-op
  cells: ["debian-trixie-min/gcc/fake"]
  findings: ["changed:*"]
"""
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "in half": lambda data: data[: len(data) // 2],
    "no JSON": lambda _: b"\x00\xff no JSON",
    "a list": lambda _: b"[]",
    "another version": lambda data: data.replace(b'"schema_version": 2', b'"schema_version": 1') + b" ",
}


class OnDamage:
    """The command line on a copy of the recorded run, and which of its commands read a file."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        for path in replay.run.rglob("result.json"):  # recorded when results did not say yet what was to be done
            transcript = json.loads(gzip.decompress((path.parent / "transcript.json.gz").read_bytes()))
            defined = {"definition": transcript["scenario"]["cell"], "jobs": 2}
            path.write_text(json.dumps(json.loads(path.read_text()) | defined))

    def reading(self, file: str) -> list[tuple[str, ...]]:
        """Return the commands that read this file of a run."""
        name, target = self.replay.name, str(self.replay.folder / "written")
        result = str(self.replay.run / "cells" / BAD / "result.json")
        traced = ("--run", name, *self.replay.words, "--tree", "good")
        check = ("report", name, "--check")
        if file in LOGS:
            return [("bundle", name, GOOD, "-o", target)]
        if file.endswith("transcript.json.gz"):
            return [
                check,
                ("trace", GOOD, "--step", "rebuild", "-o", f"{target}-trace", *traced),
                ("predict", GOOD, *traced),
            ]
        again = ("run", "--resume", name)
        if file.endswith("progress.json") or file.startswith("trees/"):
            return [("report", name), again]
        if file.endswith("result.json") and BAD not in file:
            return [check, again, ("runs",), ("bundle", name, GOOD, "-o", target)]
        return [
            *(("report", name, "--format", one) for one in ("text", "json", "junit", "markdown", "mail")),
            check,
            ("runs",),
            ("runs", "--json"),
            again,
            *((command, "--resume", name) for command in ("gate", "series", "mutants", "claims")),
            ("bundle", result, "-o", target),
            ("repro", BAD),
            ("repro", BAD, "--run", name),
            ("repro", result),
        ]


@pytest.fixture
def command(replay: Replay) -> OnDamage:
    return OnDamage(replay)


def damage(path: Path, how: Callable[[bytes], bytes | None]) -> None:
    left = how(path.read_bytes())
    path.unlink()
    if left is not None:
        path.write_bytes(left)


def all_end_in_a_sentence(command: OnDamage, commands: Iterable[tuple[str, ...]], what: str) -> list[Done]:
    """Run commands on a damaged run, which is the same for each; return how they ended."""
    kept = {path: path.read_bytes() for path in command.replay.run.rglob("*") if path.is_file()}
    ended = []
    for words in commands:
        done = command.replay(*words)
        where = f"{what}: {' '.join(words)}"
        assert 0 <= done.status <= 3, where
        assert "Traceback" not in done.out + done.err, where
        assert re.search(r"\w{2}", done.out + done.err) or "--json" in words, where
        ended.append(done)
        for path, data in kept.items():
            if not path.is_file() or path.read_bytes() != data:
                path.write_bytes(data)
    return ended


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", [name for name in FILES if name not in LOGS])
def test_every_command_says_what_is_wrong_with_a_file(command: OnDamage, name: str, how: str) -> None:
    damage(command.replay.run / name, DAMAGES[how])
    all_end_in_a_sentence(command, command.reading(name), f"{name} {how}")


@pytest.mark.parametrize("how", DAMAGES)
def test_every_log_may_be_damaged(command: OnDamage, how: str) -> None:
    for name in LOGS:
        damage(command.replay.run / name, DAMAGES[how])
    all_end_in_a_sentence(command, command.reading(LOGS[0]), how)


def test_a_whole_run_is_read_by_every_command(command: OnDamage) -> None:
    """The walk above would show little if its commands failed on the run as it was recorded."""
    refused = {"gate", "series", "mutants", "claims"}  # as it is a run of `run`
    for name in ("run.json", f"cells/{BAD}/transcript.json.gz", LOGS[0]):
        commands = command.reading(name)
        for words, done in zip(commands, all_end_in_a_sentence(command, commands, name), strict=True):
            at_the_engine = words[0] == "repro" and "no container engine answers" in done.err
            assert (done.status == 2) == (words[0] in refused), done
            assert done.status < 2 or at_the_engine or words[0] in refused, (words, done)


def as_kind(replay: Replay, kind: dict[str, object], base: str, renamed: dict[str, str]) -> None:
    """Make the recorded run one of another kind, its trees renamed as that kind's are."""
    for old, new in renamed.items():
        for path in [*replay.run.rglob("*.json"), *replay.run.rglob("*.json.gz")]:
            packed = path.suffix == ".gz"
            text = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode()
            text = text.replace(f'@{old}"', f'@{new}"').replace(f'"name": "{old}"', f'"name": "{new}"')
            path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        for folder in [path for path in replay.run.rglob(f"*@{old}") if path.is_dir()]:
            shutil.move(folder, folder.with_name(folder.name.replace(f"@{old}", f"@{new}")))
    settings = json.loads((replay.run / "run.json").read_text())
    trees = [renamed.get(tree, tree) for tree in settings["trees"]]
    (replay.run / "run.json").write_text(json.dumps(settings | {"kind": kind, "base": base, "trees": trees}))


FAULT = "worse"
KINDS: dict[str, tuple[dict[str, object], str, dict[str, str]]] = {
    "gate": ({"head": "bad", "require": ["build no slower than 5 %"]}, "good", {}),
    "series": ({"patches": [{"number": 1, "subject": "one", "tree": "p01"}]}, "base", {"good": "base", "bad": "p01"}),
    "mutants": ({"planted": {FAULT: ""}}, "good", {"bad": f"good+{FAULT}"}),
    "claims": ({"checks": ["no-op"]}, "good", {}),
}


@pytest.mark.parametrize("how", ["missing", "in half", "a list"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_run_of_another_kind_is_told_of_too(command: OnDamage, kind: str, how: str) -> None:
    more, base, renamed = KINDS[kind]
    replay = command.replay
    if kind == "mutants":
        edits = replay.configs / "edits"
        edits.mkdir()
        (edits / f"{FAULT}.yaml").write_text(FAULTY)
        fault = load.load([DATA / "fake", replay.configs]).edits[FAULT]
        more = {"planted": mutants.digests([fault])}
    for old, new in renamed.items() if kind == "series" else ():
        source = replay.configs / "trees" / f"{old}.yaml"
        shutil.copy(source, source.with_name(f"{new}.yaml"))
    as_kind(replay, {"kind": kind, **more}, base, renamed)
    (replay.run / "required.json").write_text('{"build no slower than 5 %": ["PASS", "1.01"]}')
    commands = [("report", replay.name), ("report", replay.name, "--check"), (kind, "--resume", replay.name)]
    for words, done in zip(commands, all_end_in_a_sentence(command, commands, "whole"), strict=True):
        assert done.status < 2 or (kind, words[0]) == ("claims", "claims"), (words, done)
    kept = replay.run.with_name("kept")
    shutil.copytree(replay.run, kept)
    cell = f"cells/{PLACE}/fake@{renamed.get('bad', 'bad')}"
    for name in ("run.json", "required.json", f"{cell}/result.json", f"{cell}/transcript.json.gz"):
        damage(replay.run / name, DAMAGES[how])
        all_end_in_a_sentence(command, commands, f"{name} {how}")
        shutil.copy(kept / name, replay.run / name)


def test_a_damaged_run_ends_in_a_sentence_in_a_process_of_its_own(replay: Replay) -> None:
    (replay.run / "run.json").write_text('{"run": ')
    done = replay.process("report", "--check")
    assert done.status == 2
    assert f"{replay.run} holds no run: " in done.err
    assert "Traceback" not in done.err
