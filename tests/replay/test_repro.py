"""What `perf-matrix bundle` and `repro` make of recorded results, and what they refuse, without any engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.replay.conftest import PLACE

if TYPE_CHECKING:
    from tests.replay.conftest import Replay

CELL = f"{PLACE}/fake@bad"


@pytest.fixture
def defined(replay: Replay) -> Replay:
    """Return the recorded run with results that say what was to be done, as this version's do."""
    for path in replay.run.glob("cells/**/result.json"):
        with gzip.open(path.with_name("transcript.json.gz"), "rt") as file:
            cell = json.load(file)["scenario"]["cell"]
        path.write_text(json.dumps({**json.loads(path.read_text()), "definition": cell, "jobs": 2}))
    return replay


def bundled(replay: Replay, cell: str = CELL) -> Path:
    path = replay.folder / "bundle.tar.gz"
    done = replay("bundle", replay.name, cell, "-o", str(path))
    assert done.status == 0, done.err
    assert f"`perf-matrix repro --from {path} --tree YOUR-TREE` reproduces it" in done.out
    return path


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr] # all are files


def test_a_bundle_has_the_result_the_logs_and_the_recipe_and_no_private_path(defined: Replay) -> None:
    files = contents(bundled(defined))
    assert {"bundle.json", "recipe.json", "result.json", "logs/build.log", "logs/clean.log"} <= files.keys()
    whole = b"".join(files.values())
    for private in (str(defined.folder), str(Path.home()), "/recorded", "record-", "engine.sock"):
        assert private.encode() not in whole
    assert json.loads(files["result.json"])["tree"]["source"] == "dir:private"


def test_an_older_result_is_said_to_be_one(replay: Replay) -> None:
    for words in (("bundle", replay.name, CELL), ("repro", CELL)):
        done = replay(*words)
        assert done.status == 2
        assert f"the result of {CELL} has no definition of its cell: version 0.1.0" in done.err


def test_a_tree_that_only_its_sender_has_must_be_given(defined: Replay) -> None:
    done = defined("repro", "--from", str(bundled(defined)))
    assert done.status == 2
    assert "the tree bad must be given: its source there was dir:private, its version 9.8.7, its sha256 9c4" in done.err
    assert "--tree SPEC" in done.err
    done = defined("repro", "--from", str(bundled(defined)), *defined.words)
    assert "Here, tree bad is dir:/recorded/bad: if it is the same, --tree bad." in done.err


@pytest.mark.parametrize("what", ["cell", "file", "bundle"])
def test_all_that_lacks_then_is_an_engine_and_no_run_is_left(defined: Replay, what: str) -> None:
    result = defined.run / "cells" / CELL / "result.json"
    words = {
        "cell": [CELL],
        "file": [str(result)],
        "bundle": ["--from", str(bundled(defined)), "--tree", "bad", *defined.words],
    }
    before = list(defined.run.parent.iterdir())
    done = defined("repro", *words[what])
    assert done.status == 3, done.err
    assert "no container engine answers" in done.err
    assert list(defined.run.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("repro",), "no result to reproduce is named"),
        (("repro", CELL, "--from", "x"), "and --from do not go together"),
        (("repro", "--from", "x", "--run", "y"), "--run goes with a cell only"),
        (("repro", CELL, "--shell", "--json"), "--shell and --json do not go together"),
        (("repro", f"{PLACE}/fak@bad"), "is no result in any run of this machine; did you mean"),
        (("repro", "--from", "ftp://x/y"), "is no http or https address"),
        (("repro", "--from", "/nowhere"), "/nowhere is no file"),
        (("repro", "--from", "/dev/zero"), "/dev/zero is no file"),
        (("repro", "README.md"), "result.json is not what this version writes"),
        (("repro", "--from", "README.md"), "it is no whole .tar.gz"),
        (("bundle", "nothing"), "no run nothing"),
    ],
)
def test_what_cannot_be_asked_for_is_status_2(defined: Replay, words: tuple[str, ...], message: str) -> None:
    done = defined(*words)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_of_a_run_with_several_cells_one_must_be_named(defined: Replay) -> None:
    done = defined("bundle", defined.name, "*@good")
    assert done.status == 2
    assert "2 cells of run" in done.err


def hostile(path: Path, kind: str) -> None:
    """Make a bundle what nobody's `perf-matrix bundle` makes."""
    files = contents(path)
    if kind == "forged":
        result = json.loads(files["result.json"])
        result["steps"][0]["command"] = "touch /tmp/owned"
        files["result.json"] = json.dumps(result).encode()
        manifest = json.loads(files["bundle.json"])
        manifest["members"]["result.json"] = hashlib.sha256(files["result.json"]).hexdigest()
        files["bundle.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo("../../owned" if kind == "parent" and name == "recipe.json" else name)
            info.size = len(content)
            if kind == "link" and name == "recipe.json":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(content))
    if kind == "10 GB":
        info = tarfile.TarInfo("bundle.json")
        info.size = 10 << 30
        path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("parent", "the bundle is refused: '../../owned' leads out of it"),
        ("link", "the bundle is refused: it holds a link, 'recipe.json'"),
        ("10 GB", "the bundle is refused: 'bundle.json' is said to have 10737418240 bytes; at most 16777216 are taken"),
        ("forged", "the command for step build is not what its build gives: touch /tmp/owned"),
    ],
)
def test_a_strangers_bundle_that_means_harm_is_refused(defined: Replay, kind: str, message: str) -> None:
    path = bundled(defined)
    hostile(path, kind)
    before = sorted(defined.folder.rglob("*"))
    done = defined("repro", "--from", str(path), "--tree", "bad", *defined.words)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert sorted(defined.folder.rglob("*")) == before


def test_a_bundle_is_written_into_no_folder_that_is_not_there(defined: Replay) -> None:
    done = defined("bundle", defined.name, CELL, "-o", str(defined.folder / "none" / "x.tar.gz"))
    assert (done.status, f"there is no folder {defined.folder / 'none'}" in done.err) == (2, True)
