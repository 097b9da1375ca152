from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix.engine.api import UID
from matrix.errors import UsageError
from matrix.model.edit import Change, Edit
from matrix.model.tree import Delta, Tree
from matrix.trees import git, layers, scratch_repository, volumes
from matrix.trees.tree_cache import DamagedTreeError, TreeCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAKEFILE = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\n"
JEVENTS = "tools/perf/pmu-events/jevents.py"


class FakeEngine:
    """An engine that keeps each volume as the names in its archive."""

    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, tarfile.TarInfo]] = {}

    def provide(self, volume: str, purpose: str, archive: Callable[[], Iterator[bytes]]) -> None:
        assert purpose == "tree"
        with tarfile.open(fileobj=io.BytesIO(b"".join(archive()))) as opened:
            self.volumes[volume] = {entry.name: entry for entry in opened}


@pytest.fixture
def folder(places: Path) -> Path:
    """Return a small kernel tree."""
    files = {
        "Makefile": MAKEFILE, "tools/perf/Makefile.perf": "all:\n", JEVENTS: "", "tools/.gitignore": "*.o\n",
        "scripts/run": "#!/bin/sh\n",
    }  # fmt: skip
    for name, text in files.items():
        path = places / "linux" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (places / "linux/scripts/run").chmod(0o755)
    return places / "linux"


def prepared(tree: Tree, engine: FakeEngine, pins: Path | None = None) -> volumes.PreparedTree:
    return volumes.prepare(tree, engine, lambda _: None, pins)  # type: ignore[arg-type] # it only fills volumes


def edit(name: str, **change: str | bool) -> Edit:
    return Edit(name=name, summary=name, trees=("*",), changes=(Change.model_validate(change),))


def test_a_tree_is_in_one_volume_with_its_facts(folder: Path) -> None:
    engine = FakeEngine()
    found = prepared(Tree(name="t", source=f"dir:{folder}"), engine)
    assert found.volumes == (f"pbm-tree-{UID}-{found.identity.sha256[:32]}",)
    assert "tree/Makefile" in engine.volumes[found.volumes[0]]
    assert (found.identity.version, found.identity.origin) == ("7.3.0", str(folder))
    assert found.facts == TreeCache.of_this_machine().facts(found.identity.sha256)


def test_an_edited_tree_has_a_layer_of_what_the_edits_changed_and_facts_of_the_whole(folder: Path) -> None:
    engine = FakeEngine()
    bare = prepared(Tree(name="t", source=f"dir:{folder}"), engine)
    edits = (
        edit("newer", file="Makefile", find="^VERSION = 7$", replace="VERSION = 8"),
        edit("pool", file=JEVENTS, find=r"\A", replace="ProcessPoolExecutor"),
        edit("gone", file="tools/.gitignore", remove=True),
        edit("run", file="scripts/run", find="sh", replace="bash"),
        edit("new", file="lib/new.c", add="int new;"),
    )
    found = prepared(Tree(name="t+all", source=f"dir:{folder}", edits=edits), engine)
    layer, below = found.volumes
    assert (below,) == bare.volumes
    assert engine.volumes[layer]["tree/tools/.gitignore"].ischr(), "a whiteout"
    assert engine.volumes[layer]["tree/scripts/run"].mode == 0o755
    assert found.facts.version == found.identity.version == "8.3.0"
    assert found.facts.generator_has_pool
    assert found.facts.ignore == {"tools": ""}
    assert found.facts.index.keys() == {*bare.facts.index, "lib/new.c"} - {"tools/.gitignore"}
    assert found.facts.index["tools/perf/Makefile.perf"] == bare.facts.index["tools/perf/Makefile.perf"]
    assert found.facts.sha256 == found.identity.sha256 != bare.identity.sha256
    assert found.identity.origin == f"{folder}, edited: newer, pool, gone, run, new"


def test_a_tree_with_a_difference_is_the_commit_that_it_leads_to(folder: Path) -> None:
    git.run(folder, "init", "-q")
    commits = []
    for number in (7, 8):
        (folder / "Makefile").write_text(MAKEFILE.replace("7", str(number)))
        git.run(folder, "add", "-A")
        git.run(folder, "commit", "-q", "-m", str(number))
        commits.append(git.commit(folder, "HEAD"))
        (folder / "scripts/run").unlink(missing_ok=True)
        (folder / f"scripts/link{number}").symlink_to("../Makefile")
    base, head = (prepared(Tree(name="t", source=f"git:{folder}@{commit}"), FakeEngine()) for commit in commits)
    delta = Delta(repository=str(folder), base=commits[0], commit=commits[1], sha256=base.identity.sha256)
    found = prepared(Tree(name="t", source=f"git:{folder}@{commits[0]}", delta=delta), FakeEngine())
    assert found.facts == head.facts
    assert found.identity.origin.endswith(f", with commit {commits[1][:12]}")
    other = delta.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(UsageError, match="has changed since the patches were applied to it"):
        prepared(Tree(name="t", source=f"git:{folder}@{commits[0]}", delta=other), FakeEngine())
    assert scratch_repository.difference(delta)["scripts/run"] is None


def test_a_run_goes_on_with_the_content_that_it_noted(folder: Path, places: Path) -> None:
    tree = Tree(name="t", source=f"dir:{folder}")
    first = prepared(tree, FakeEngine(), places / "pins")
    (folder / "Makefile").write_text("VERSION = 9\n")
    assert prepared(tree, FakeEngine(), places / "pins") == first
    assert prepared(tree, FakeEngine()) != first


def test_a_note_that_is_broken_or_of_a_tree_that_is_gone_is_told(folder: Path, places: Path) -> None:
    tree = Tree(name="t", source=f"dir:{folder}")
    first = prepared(tree, FakeEngine(), places / "pins")
    TreeCache.of_this_machine().archive(first.identity.sha256).unlink()
    assert prepared(tree, FakeEngine(), places / "pins") == first, "the folder is the same: the tree was read again"
    TreeCache.of_this_machine().archive(first.identity.sha256).unlink()
    (folder / "scripts/run").unlink()
    with pytest.raises(UsageError, match=r"the tree that this run began with \(.*linux\) is no longer in the cache"):
        prepared(tree, FakeEngine(), places / "pins")
    (places / "pins/t.json").write_text("{")
    with pytest.raises(UsageError, match=r"t\.json is no note of a tree's content"):
        prepared(tree, FakeEngine(), places / "pins")


def test_a_tree_whose_archive_is_damaged_is_read_again_and_its_volume_filled(folder: Path, places: Path) -> None:
    tree = Tree(name="t", source=f"dir:{folder}", edits=(edit("new", file="lib/new.c", add="int new;"),))
    first = prepared(tree, FakeEngine(), places / "pins")
    archive = TreeCache.of_this_machine().archive(
        prepared(tree.unedited.model_copy(update={"name": "u"}), FakeEngine()).identity.sha256
    )
    archive.write_bytes(archive.read_bytes().replace(b"VERSION = 7", b"VERSION = 6"))
    engine = FakeEngine()
    said: list[str] = []
    assert volumes.prepare(tree, engine, said.append, places / "pins") == first  # type: ignore[arg-type] # it only fills volumes
    assert "is damaged, and was removed" in said[0]
    assert engine.volumes.keys() == {*first.volumes}


def test_an_edit_is_not_applied_to_a_file_of_a_damaged_archive(folder: Path) -> None:
    change = edit("newer", file="Makefile", find="^VERSION = .$", replace="VERSION = 8")
    first = prepared(Tree(name="t", source=f"dir:{folder}", edits=(change,)), FakeEngine())
    cache = TreeCache.of_this_machine()
    bare = prepared(Tree(name="t", source=f"dir:{folder}"), FakeEngine())
    cache.offsets(bare.identity.sha256)
    archive = cache.archive(bare.identity.sha256)
    archive.write_bytes(archive.read_bytes().replace(b"SUBLEVEL = 0", b"SUBLEVEL = 9"))
    with pytest.raises(DamagedTreeError):
        layers.layer(bare.facts, cache, {}, (change,))
    assert prepared(Tree(name="t", source=f"dir:{folder}", edits=(change,)), FakeEngine()) == first


def test_a_tree_is_identified_without_a_volume_as_it_is_prepared(folder: Path) -> None:
    engine = FakeEngine()
    for tree in (
        Tree(name="t", source=f"dir:{folder}"),
        Tree(name="t+gone", source=f"dir:{folder}", edits=(edit("gone", file="scripts/run", remove=True),)),
    ):
        found = volumes.identify(tree, engine, lambda _: None)  # type: ignore[arg-type] # it is not asked
        assert not engine.volumes
        made = prepared(tree, FakeEngine())
        assert (found.identity, found.facts) == (made.identity, made.facts)
