from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import cache
from matrix.engine.api import Resource
from matrix.runs import locks, ownership, store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("places")


def test_an_owner_is_the_same_every_time_and_another_for_another_state_folder(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = ownership.owner()
    assert ownership.owner() == mine
    monkeypatch.setenv("PERF_MATRIX_STATE", str(places / "other"))
    assert ownership.owner() != mine


def test_a_label_names_the_run_or_else_the_process() -> None:
    assert ownership.label("r1") == f"{ownership.owner()}.r1"
    assert ownership.label() == f"{ownership.owner()}.pid-{os.getpid()}"


def test_what_belongs_to_this_process_is_not_gone() -> None:
    assert not ownership.gone(ownership.label())


def test_what_belonged_to_a_process_that_has_ended_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert ownership.gone(f"{ownership.owner()}.pid-{process.pid}")


@pytest.mark.parametrize("label", ["", "somebody", "somebody.r1", "somebody.pid-1", "{owner}", "{owner}."])
def test_what_is_not_ours_is_never_gone(label: str) -> None:
    assert not ownership.gone(label.format(owner=ownership.owner()))


def test_a_run_whose_folder_was_removed_is_gone() -> None:
    assert ownership.gone(ownership.label("20260101T000000Z-0000"))


def test_a_run_is_gone_when_no_process_holds_its_lock() -> None:
    run = store.new_run()
    with locks.doing(run):
        assert not ownership.gone(ownership.label(run.name))
    assert ownership.gone(ownership.label(run.name))


class FakeEngine:
    """An engine with one container of each of two owners; removing one makes it vanish."""

    def __init__(self, *owners: str) -> None:
        self.found = [Resource("container", f"c-{number}", "cell", owner) for number, owner in enumerate(owners)]

    def resources(self) -> list[Resource]:
        return list(self.found)

    def remove(self, resource: Resource) -> None:
        self.found.remove(resource)


def test_the_removal_of_what_ended_runs_left_is_said_and_what_others_have_stays() -> None:
    ended = ownership.label("20260101T000000Z-0000")
    engine: Any = FakeEngine(ended, ownership.label())
    said: list[str] = []
    ownership.sweep(engine, said.append)
    assert [resource.run for resource in engine.found] == [ownership.label()]
    ownership.sweep(engine, said.append)
    assert said == ["removing 1 leftover of runs that have ended"]


def test_the_removal_of_what_a_run_has_is_said() -> None:
    engine: Any = FakeEngine(ownership.label("r1"), ownership.label("r2"), ownership.label("r1"))
    said: list[str] = []
    ownership.sweep_run(engine, "r1", said.append)
    assert [resource.run for resource in engine.found] == [ownership.label("r2")]
    ownership.sweep_run(engine, "r1", said.append)
    assert said == ["removing 2 leftovers of this run"]


def test_cached_files_are_downloads_images_repositories_and_trees_without_locks(places: Path) -> None:
    assert cache.files() == []
    names = ["downloads/a/b.tar", "images/x.json", "scratch/a.git/HEAD", "trees/1.tar"]
    names += ["trees/1.lock", "engine/data/keep", "locks/agent"]
    for name in names:
        path = places / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert cache.files() == [places / "cache" / name for name in names[:4]]


@pytest.mark.parametrize("content", [b"", b"\xff" * 12, b"0123456789a", b"0123456789ab\n", b"0123456789AB"])
def test_an_owner_that_is_damaged_is_named_and_made_anew(places: Path, content: bytes) -> None:
    """An empty one gave a label that no state folder has, and one that is no text a traceback."""
    ownership.owner()
    path = places / "state" / "owner"
    path.write_bytes(content)
    said: list[str] = []
    mine = ownership.label("r1", said.append)
    assert re.fullmatch(r"[0-9a-f]{12}[.]r1", mine)
    assert mine == ownership.label("r1", said.append)
    assert said == [
        f"{path} is damaged: what earlier runs left in the engine is no longer known as this state folder's"
    ]
