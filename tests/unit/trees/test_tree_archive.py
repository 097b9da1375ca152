from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.trees import tree_archive
from matrix.trees.sources import Member

if TYPE_CHECKING:
    from matrix.trees.facts import TreeFacts

MAKEFILE = b"VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\nNAME = x\n"


def regular(path: str, content: bytes = b"1", *, executable: bool = False) -> Member:
    return Member(path, len(content), executable, None, lambda: content)


def link(path: str, target: str) -> Member:
    return Member(path, 0, executable=False, target=target, read=bytes)


def written(*given: Member) -> tuple[TreeFacts, list[tarfile.TarInfo]]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        facts = tree_archive.write(iter(given), archive, lambda _: None)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        return facts, archive.getmembers()


def digest(*given: Member) -> object:
    return written(*given)[0].sha256


@pytest.mark.parametrize("path", ["a", "a/b.c", "a b", "..a", "a..", "caf\udce9", "a\nb"])
def test_a_path_inside_the_tree_is_taken(path: str) -> None:
    assert tree_archive.checked(path) == path


@pytest.mark.parametrize("path", ["", "/a", "..", "../a", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "a\0b"])
def test_a_path_that_leads_out_of_the_tree_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="leads out of it"):
        tree_archive.checked(path)
    with pytest.raises(UsageError, match="leads out of it"):
        written(regular(path))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("Makefile", True),
        (".gitignore", True),
        ("tools/perf/perf.c", True),
        ("scripts/x", True),
        ("kernel/bpf/btf.c", True),
        ("kernel/fork.c", False),
        ("drivers/x.c", False),
        ("toolsy/x.c", False),
    ],
)
def test_only_what_perf_may_need_is_taken(path: str, *, wanted: bool) -> None:
    assert tree_archive.wanted(path) is wanted
    assert (path in written(regular(path))[0].index) is wanted


def test_files_and_their_folders_are_normalised() -> None:
    _, entries = written(regular("tools/a.sh", executable=True), regular("tools/sub/b"), link("tools/c", "a.sh"))
    assert [entry.name for entry in entries] == [
        "tree",
        "tree/tools",
        "tree/tools/a.sh",
        "tree/tools/sub",
        "tree/tools/sub/b",
        "tree/tools/c",
    ]
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries} == {(61000, 61000, tree_archive.MTIME)}
    modes = {entry.name: entry.mode for entry in entries if entry.isfile() or entry.isdir()}
    assert (modes["tree/tools/a.sh"], modes["tree/tools/sub/b"], modes["tree/tools"]) == (0o755, 0o644, 0o755)
    assert entries[-1].linkname == "a.sh"


def test_the_index_holds_mode_and_digest_or_target_of_each_path() -> None:
    facts, _ = written(regular("a", b""), link("b", "../a"))
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert facts.index == {"a": (0o644, empty), "b": (0o777, "../a")}


def test_the_hash_does_not_depend_on_the_order() -> None:
    one, two, three = regular("a"), regular("tools/b"), link("c", "a")
    assert digest(one, two, three) == digest(three, two, one)


@pytest.mark.parametrize(
    "other",
    [
        [regular("a", b"2")],
        [regular("b")],
        [regular("a", executable=True)],
        [link("a", "1")],
        [regular("a"), regular("b")],
        [],
    ],
)
def test_the_hash_depends_on_path_mode_and_content(other: list[Member]) -> None:
    assert digest(regular("a")) != digest(*other)


def test_what_is_not_taken_does_not_change_the_hash() -> None:
    assert digest(regular("a"), regular("drivers/x.c")) == digest(regular("a"))


def test_a_name_that_is_no_utf_8_has_a_hash_too() -> None:
    assert digest(regular("caf\udce9")) != digest(regular("cafe"))


def test_version_ignore_files_and_the_generators_pool_are_told() -> None:
    facts, _ = written(
        regular("Makefile", MAKEFILE),
        regular(".gitignore", b"*.o\n"),
        regular("tools/perf/.gitignore", b"perf\xff\n"),
        regular("tools/perf/pmu-events/jevents.py", b"from x import ProcessPoolExecutor\n"),
    )
    assert facts.version == "7.3.0-rc1"
    assert facts.ignore == {"": "*.o\n", "tools/perf": "perf\ufffd\n"}
    assert facts.generator_has_pool is True
    assert written(regular("tools/perf/pmu-events/jevents.py"))[0].generator_has_pool is False


@pytest.mark.parametrize(("makefile", "version"), [(b"", ""), (b"VERSION = 7\n", "7.."), (b"VERSION =\n", "")])
def test_a_makefile_without_a_version_is_no_kernels(makefile: bytes, version: str) -> None:
    assert written(regular("Makefile", makefile))[0].version == version


def test_a_tree_beyond_all_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="larger than any kernel"):
        written(Member("a", tree_archive.MAX_BYTES + 1, executable=False, target=None, read=bytes))
    monkeypatch.setattr(tree_archive, "MAX_FILES", 1)
    with pytest.raises(UsageError, match="larger than any kernel"):
        written(regular("a"), regular("b"), regular("c"))


def test_a_link_is_no_folder_for_other_paths() -> None:
    with pytest.raises(UsageError):
        written(regular("tools/x/a"), link("tools/x", "/etc"), regular("tools/x/passwd"))


def test_a_path_that_comes_twice_is_refused_or_taken_once() -> None:
    try:
        _, entries = written(regular("a", b"1"), regular("a", b"2"))
    except UsageError:
        return
    assert [entry.name for entry in entries].count("tree/a") == 1
