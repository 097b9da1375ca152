from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.machines import arrivals, packs, supply
from matrix.machines.messages import Blob
from matrix.runs.store import Run
from tests.unit.conftest import cell, tree
from tests.unit.results import done

if TYPE_CHECKING:
    from pathlib import Path

CELL = cell()
CONTENT = "5" * 64


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "r1")


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Return the pack of a cell's result, transcript and log."""
    other = Run(tmp_path / "worker")
    other.save(done())
    other.save_transcript(CELL.id, [b"facts"])
    (other.cell(CELL.id) / "logs").mkdir()
    (other.cell(CELL.id) / "logs" / "build.log").write_text("built")
    path = tmp_path / "1.pack"
    packs.pack(other, CELL.id, path)
    return path


def changed(pack: Path, **update: object) -> Path:
    """Change values of the result in a pack."""
    head, _, content = pack.read_bytes().partition(b"\n")
    sizes = json.loads(head)["sizes"]
    size = sizes["result.json"]
    result = json.dumps(json.loads(content[-size:]) | update).encode()
    sizes["result.json"] = len(result)
    pack.write_bytes(json.dumps({"sizes": sizes}).encode() + b"\n" + content[:-size] + result)
    return pack


def test_what_was_packed_is_stored(pack: Path, run: Run) -> None:
    assert arrivals.store(pack, CELL, CONTENT, run).id == CELL.id
    assert run.result(CELL.id) == done()
    assert run.transcript_path(CELL.id).read_bytes() == b"facts"
    assert (run.cell(CELL.id) / "logs" / "build.log").read_text() == "built"
    assert not pack.with_suffix(".cell").exists()


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"run": "r2"}, "of run r2"),
        ({"id": "debian-trixie/gcc/static@7.3"}, "is no result of"),
        ({"definition": None}, "another definition"),
        ({"definition": json.loads(cell(on=tree(source="dir:/x")).model_dump_json())}, "another definition"),
        ({"tree": {**json.loads(done().model_dump_json())["tree"], "sha256": "6" * 64}}, "another tree"),
        ({"verdict": "GOOD"}, "is no result"),
    ],
)
def test_what_is_not_the_cells_result_is_refused(pack: Path, run: Run, update: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        arrivals.store(changed(pack, **update), CELL, CONTENT, run)
    assert run.result(CELL.id) is None
    assert not run.begun


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"{}\n",
        b'{"sizes": {"../../x": 1, "result.json": 1}}\n--',
        b'{"sizes": {"/etc/x": 1, "result.json": 1}}\n--',
        b'{"sizes": {"logs/../x.log": 1, "result.json": 1}}\n--',
        b'{"sizes": {"result.json": 2, "logs/x.log": 0}}\n--',
        b'{"sizes": {"logs/x.log": -1, "result.json": 3}}\n--',
        b'{"sizes": {"logs/x.log": 1, "result.json": 2}}\n--',
        b'{"sizes": {"transcript.json.gz": 99999999999, "result.json": 1}}\n--',
        b'{"sizes": {"logs/x.log": 2}}\n--',
        b'{"sizes": {}}\n',
        b"x" * 100_000,
    ],
)
def test_what_is_no_pack_is_refused_before_a_file_is_written(tmp_path: Path, run: Run, head: bytes) -> None:
    path = tmp_path / "bad.pack"
    path.write_bytes(head)
    with pytest.raises(UsageError, match="packed cell"):
        packs.unpack(path, run, CELL.id)
    assert not run.folder.exists()


def arriving(tmp_path: Path, content: bytes) -> packs.Arriving:
    return packs.Arriving(tmp_path / "file", Blob(sha256=hashlib.sha256(content).hexdigest(), size=len(content)))


def test_a_file_arrives_in_pieces_and_none_counts_twice(tmp_path: Path) -> None:
    file = arriving(tmp_path, b"abcdef")
    for offset, piece in ((0, b"ab"), (0, b"ab"), (2, b"cd"), (4, b"ef"), (4, b"ef")):
        assert not file.is_whole or offset == 4
        file.add(offset, piece)
    assert file.is_whole
    assert file.path.read_bytes() == b"abcdef"


@pytest.mark.parametrize(("offset", "piece"), [(3, b"d"), (0, b"abcdefg"), (0, b"abcdeX")])
def test_a_piece_that_is_not_the_next_or_another_content_is_refused(tmp_path: Path, offset: int, piece: bytes) -> None:
    file = arriving(tmp_path, b"abcdef")
    with pytest.raises(UsageError, match=r"out of order|another content"):
        file.add(offset, piece)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../b", "a//b", ".hidden", "a/.git/b", ""])
def test_a_file_of_configuration_stays_in_its_folder(name: str) -> None:
    with pytest.raises(UsageError, match="has the path"):
        supply.checked(name)
    assert supply.checked("configs/trees/t.yaml") == "configs/trees/t.yaml"
