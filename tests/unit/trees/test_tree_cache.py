from __future__ import annotations

import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix import files
from matrix.errors import UsageError
from matrix.scenario import gitignore
from matrix.trees.sources import Member, Source
from matrix.trees.tree_cache import DamagedTreeError, TreeCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KERNEL = {"Makefile": b"VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\n", "tools/perf/Makefile.perf": b"all:\n"}


def regular(path: str, content: bytes = b"1") -> Member:
    return Member(path, len(content), executable=False, target=None, read=lambda: content)


def members(files: dict[str, bytes]) -> Iterator[Member]:
    return (regular(path, content) for path, content in files.items())


def source(files: dict[str, bytes], fixed: str = "") -> Source:
    return Source("a folder", fixed, lambda: members(files))


def silent(_: str) -> None:
    """Say nothing."""


def test_an_archive_is_kept_by_the_hash_of_its_content(tmp_path: Path) -> None:
    facts = TreeCache(tmp_path).get(source(KERNEL), silent)
    with tarfile.open(tmp_path / f"{facts.sha256}.tar") as archive:
        assert "tree/tools/perf/Makefile.perf" in archive.getnames()
    assert TreeCache(tmp_path).facts(facts.sha256) == facts
    assert b"".join(TreeCache(tmp_path).blocks(facts.sha256))[:4] == b"tree"


def test_a_source_of_fixed_content_is_read_once(tmp_path: Path) -> None:
    said: list[str] = []
    one = TreeCache(tmp_path).get(source(KERNEL, "git 1"), said.append)
    assert TreeCache(tmp_path).get(source({}, "git 1"), said.append) == one
    assert said == ["reading a folder"]
    (tmp_path / f"{one.sha256}.tar").unlink()
    assert TreeCache(tmp_path).get(source(KERNEL, "git 1"), said.append) == one
    assert len(said) == 2


def test_a_folder_is_read_every_time(tmp_path: Path) -> None:
    one = TreeCache(tmp_path).get(source(KERNEL), silent)
    two = TreeCache(tmp_path).get(source({**KERNEL, "README": b"new"}), silent)
    assert one.sha256 != two.sha256


@pytest.mark.parametrize("left_out", KERNEL)
def test_what_is_no_kernel_tree_is_refused_and_not_kept(tmp_path: Path, left_out: str) -> None:
    files = {path: content for path, content in KERNEL.items() if path != left_out}
    with pytest.raises(UsageError, match="a folder is no kernel tree"):
        TreeCache(tmp_path).get(source(files, "git 1"), silent)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".tar", ".json", ".source")]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (b'#define PERF_VERSION "7.3.4.g0123456789ab"\n', "7.3.4"),
        (b'#define PERF_VERSION "7.3.rc5.g0123456789ab"\n', "7.3"),
        (b'#define PERF_VERSION "6.12"\n', "6.12"),
    ],
)
def test_perfs_own_source_package_is_a_tree_of_the_version_that_it_says(
    tmp_path: Path, text: bytes, version: str
) -> None:
    package = {path: content for path, content in KERNEL.items() if path != "Makefile"}
    facts = TreeCache(tmp_path).get(source({**package, "PERF-VERSION-FILE": text}), silent)
    assert facts.version == version
    assert gitignore.covered("tools/perf/perf.o", facts.ignore_texts)
    both = TreeCache(tmp_path).get(source({**KERNEL, "PERF-VERSION-FILE": text}), silent)
    assert both.ignore_texts == both.ignore
    assert both.version == TreeCache(tmp_path).get(source(KERNEL), silent).version


def test_a_source_package_without_a_version_is_no_tree(tmp_path: Path) -> None:
    package = {path: content for path, content in KERNEL.items() if path != "Makefile"}
    with pytest.raises(UsageError, match="is no kernel tree"):
        TreeCache(tmp_path).get(source({**package, "PERF-VERSION-FILE": b'#define PERF_VERSION ""\n'}), silent)


def test_two_folders_that_are_read_at_the_same_time_are_kept_apart(tmp_path: Path) -> None:
    def slow() -> Iterator[Member]:
        yield from members(KERNEL)
        TreeCache(tmp_path).get(source({**KERNEL, "other": b"2"}), silent)
        yield regular("mine")

    facts = TreeCache(tmp_path).get(Source("slow", "", slow), silent)
    with tarfile.open(tmp_path / f"{facts.sha256}.tar") as archive:
        assert "tree/mine" in archive.getnames()
        assert "tree/other" not in archive.getnames()


# A file of the cache that cannot be believed is made again.


def from_an_older_version(path: Path) -> None:
    """Write a tree's facts as they were before they had a format."""
    record = json.loads(files.read_sealed(path) or b"")
    del record["format"], record["archive_bytes"]
    index = {name: [0o644, text.split()[1]] for name, text in record["index"].items()}
    files.write_sealed(path, json.dumps({**record, "index": index}).encode())


def of_another_format(path: Path) -> None:
    record = json.loads(files.read_sealed(path) or b"")
    files.write_sealed(path, json.dumps({**record, "format": 99}).encode())


def with_a_broken_index(path: Path) -> None:
    record = json.loads(files.read_sealed(path) or b"")
    record["index"]["Makefile"] = "rw-r--r--"
    files.write_sealed(path, json.dumps(record).encode())


def of_another_tree(path: Path) -> None:
    record = json.loads(files.read_sealed(path) or b"")
    record["sha256"] = "0" * 64
    files.write_sealed(path, json.dumps(record).encode())


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 20)


@pytest.mark.parametrize(
    ("suffix", "spoil"),
    [
        ("json", from_an_older_version),
        ("json", of_another_format),
        ("json", with_a_broken_index),
        ("json", of_another_tree),
        ("json", cut_short),
        ("tar", cut_short),
    ],
)
def test_a_file_that_is_broken_or_of_another_version_is_made_again(
    tmp_path: Path, suffix: str, spoil: Callable[[Path], None]
) -> None:
    said: list[str] = []
    cache = TreeCache(tmp_path)
    one = cache.get(source(KERNEL, "git 1"), said.append)
    spoil(tmp_path / f"{one.sha256}.{suffix}")
    assert cache.facts(one.sha256) is None
    assert cache.get(source(KERNEL, "git 1"), said.append) == one
    again = "reading a folder, as the cache's files of it are damaged or of another version"
    assert said == ["reading a folder", again]
    assert cache.facts(one.sha256) == one


def with_another_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", ["json", "offsets.json", "source"])
def test_a_byte_that_changed_in_a_file_of_the_cache_is_seen(tmp_path: Path, suffix: str) -> None:
    cache = TreeCache(tmp_path)
    one = cache.get(source(KERNEL, "git 1"), silent)
    offsets = cache.offsets(one.sha256)
    [path] = [path for path in tmp_path.glob(f"*.{suffix}") if suffix != "json" or "offsets" not in path.name]
    whole = path.read_bytes()
    with_another_byte(path)
    assert cache.get(source(KERNEL, "git 1"), silent) == one
    assert cache.offsets(one.sha256) == offsets
    assert path.read_bytes() == whole


def test_an_archive_of_which_a_byte_changed_fills_no_volume_and_is_read_again(tmp_path: Path) -> None:
    said: list[str] = []
    cache = TreeCache(tmp_path)
    one = cache.get(source(KERNEL, "git 1"), said.append)
    with_another_byte(cache.archive(one.sha256))
    with pytest.raises(DamagedTreeError, match="is damaged, and was removed"):
        cache.blocks(one.sha256)
    assert cache.facts(one.sha256) is None
    assert cache.get(source(KERNEL, "git 1"), said.append) == one
    assert len(said) == 2
    assert b"".join(cache.blocks(one.sha256))[:4] == b"tree"


def test_remarks_on_a_tree_are_said_whenever_it_is_asked_for(tmp_path: Path) -> None:
    def with_a_pipe() -> Iterator[Member]:
        yield from members(KERNEL)
        yield Member("net/x", 0, executable=False, target=None, read=bytes, left_out="pipe")

    for _ in range(2):
        said: list[str] = []
        TreeCache(tmp_path).get(Source("a folder", "git 1", with_a_pipe), said.append)
        assert said[-1] == "a folder: a pipe is left out of the tree: net/x"


@pytest.mark.parametrize("content", ["", "{", '{"Makefile": [1]}', "[]"])
def test_offsets_that_are_broken_are_found_out_again(tmp_path: Path, content: str) -> None:
    cache = TreeCache(tmp_path)
    facts = cache.get(source(KERNEL), silent)
    offsets = cache.offsets(facts.sha256)
    (tmp_path / f"{facts.sha256}.offsets.json").write_text(content)
    assert cache.offsets(facts.sha256) == offsets == cache.offsets(facts.sha256)
    assert cache.content(facts.sha256, offsets["Makefile"]) == KERNEL["Makefile"]


def test_a_pointer_that_is_broken_points_to_nothing(tmp_path: Path) -> None:
    cache = TreeCache(tmp_path)
    one = cache.get(source(KERNEL, "git 1"), silent)
    [pointer] = tmp_path.glob("*.source")
    pointer.write_bytes(b"\xff../x")
    assert cache.get(source(KERNEL, "git 1"), silent) == one


def test_names_that_are_no_utf_8_are_kept(tmp_path: Path) -> None:
    cache = TreeCache(tmp_path)
    facts = cache.get(source({**KERNEL, "caf\udce9": b"1"}), silent)
    assert cache.facts(facts.sha256) == facts
    assert "caf\udce9" in cache.offsets(facts.sha256)


def test_the_offsets_of_another_tree_are_not_believed(tmp_path: Path) -> None:
    cache = TreeCache(tmp_path)
    one = cache.get(source(KERNEL), silent)
    other = cache.get(source({**KERNEL, "Makefile": KERNEL["Makefile"] + b"# " + bytes(4096)}), silent)
    offsets = cache.offsets(one.sha256)
    cache.offsets(other.sha256)
    (tmp_path / f"{other.sha256}.offsets.json").replace(tmp_path / f"{one.sha256}.offsets.json")
    assert cache.offsets(one.sha256) == offsets


def test_a_whole_pointer_that_names_no_tree_points_to_nothing(tmp_path: Path) -> None:
    cache = TreeCache(tmp_path)
    one = cache.get(source(KERNEL, "git 1"), silent)
    [pointer] = tmp_path.glob("*.source")
    for content in (b"\xff", b"", b"../../x", one.sha256.encode() + b"\n"):
        files.write_sealed(pointer, content)
        assert cache.get(source(KERNEL, "git 1"), silent) == one
