"""Earlier results in a run on workers of several kinds, whose images differ, and in runs that only reuse."""

from __future__ import annotations

import io
import shutil
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console

from matrix.config import load
from matrix.config.selection import Selection, selected
from matrix.machines import placement, possessions, remaining, session
from matrix.machines.known_results import KnownResults
from matrix.runs import kept_results, schedule, store, transcripts
from matrix.trees import volumes
from matrix.verdicts import result_key
from tests.unit.machines.conftest import FAKE, TREE, UNCLOSED, Fleet
from tests.unit.machines.test_fleet import HAS, again, all_of

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import LocalCluster

    from matrix.engine.api import Engine
    from matrix.machines.messages import Machine, Possessions
    from matrix.machines.remaining import Remaining
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run
    from tests.unit.machines.simulated import Cells

pytestmark = UNCLOSED

_IMAGE = HAS.images["debian-trixie-min"].model_copy(update={"digest": "sha256:2"})
OTHER = HAS.model_copy(update={"images": {_IMAGE.name: _IMAGE}})


@dataclass
class Gate:
    """A base, whose cells were built on workers that have HAS, and a run of it beside a head, on workers of two kinds.

    `has` are the workers' possessions, in the order in which they are asked, each after so many seconds.
    """

    fleet: Fleet
    base: str
    has: list[tuple[Possessions, float]] = field(default_factory=lambda: [(HAS, 0.0), (OTHER, 0.0)])

    def answer(self, _images: str) -> Possessions:
        found, after_s = self.has.pop(0)
        time.sleep(after_s)
        return found

    def digests(self) -> dict[CellId, tuple[str, bool]]:
        """Return the digest of each cell's image, and whether its result is an earlier one."""
        return {
            result.id: (result.image.digest, result.reused is not None)
            for result in self.fleet.run.results()
            if result.image
        }

    @property
    def expected(self) -> dict[CellId, tuple[str, bool]]:
        """What is expected where the base is reused, and the head is built on a worker of the same kind."""
        return {cell_id: ("sha256:1", cell_id.tree == self.base) for cell_id in self.fleet.run.settings().cells}

    @property
    def anew(self) -> dict[CellId, tuple[str, bool]]:
        """What is expected where both are built on a worker of the other kind."""
        return dict.fromkeys(self.fleet.run.settings().cells, ("sha256:2", False))


@pytest.fixture
def gate(places: Path, cells: Cells, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(result_key, "is_sampled", lambda _: False)
    earlier, base = begin(places, cells, "head0")
    fleet = Fleet(cluster, cells, Console(file=io.StringIO(), width=200), earlier)
    cells.has = HAS
    fleet.complete()
    fleet.run, _ = begin(places, cells, "head1")
    gate = Gate(fleet, base)
    meet = KnownResults.meet

    def noted(self: KnownResults, address: str, machine: Machine, has: Possessions) -> None:
        cells.has_at[address] = has
        meet(self, address, machine, has)

    monkeypatch.setattr(KnownResults, "meet", noted)
    monkeypatch.setattr(possessions, "of_this_machine", gate.answer)
    return gate


def begin(places: Path, cells: Cells, name: str) -> tuple[Run, str]:
    """Begin a run of the base and a head that differs from every other; return it and the base's name."""
    shutil.copytree(FAKE / "tree", places / name)
    source = next((places / name).rglob("*.c"))
    source.write_text(f"{source.read_text()}\n/* {name} */\n")
    globs = ("debian-trixie-min/gcc/fake*",)
    found = selected(load.load([FAKE]), Selection((FAKE,), (f"dir:{places / name}",), globs, base=TREE))
    cells.cells = {cell.id: cell for cell in found.cells}
    return store.begin(found.cells, found.trees, [str(FAKE)], 2, base=found.base), found.base


def test_a_head_is_built_on_workers_of_the_kind_that_its_base_was_reused_of(gate: Gate) -> None:
    gate.fleet.complete()
    assert gate.digests() == gate.expected


def test_a_group_is_done_anew_where_no_worker_of_its_bases_kind_is_left(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "KIND_S", 0.0)
    head = min(cell_id for cell_id in gate.fleet.cells.cells if cell_id.tree != gate.base)
    gate.fleet.cells.process_fails = {head: 1}
    gate.fleet.complete()
    group = {head, head.place.on(gate.base)}
    found = gate.digests()
    assert {cell_id: found[cell_id] for cell_id in group} == {cell_id: gate.anew[cell_id] for cell_id in group}
    assert all(found[cell_id] == gate.expected[cell_id] for cell_id in found.keys() - group)
    assert f"{head.place} is done anew" in gate.fleet.text
    number = sum(is_reused for _, is_reused in found.values())
    assert f"run {gate.fleet.run.name}: {number} cell" in gate.fleet.text


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_run_gone_on_with_asks_for_the_kind_of_the_bases_that_it_has(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, *, is_slow: bool
) -> None:
    monkeypatch.setattr(transcripts, "is_whole", lambda _: True)  # simulated ones are not compressed
    gate.has = [(HAS, 0.0)] * 2
    gate.fleet.complete()
    assert gate.digests() == gate.expected
    for cell_id in gate.fleet.cells.cells:
        if cell_id.tree != gate.base:
            gate.fleet.run.forget(cell_id)
    gate.has = [(HAS, 0.7), (OTHER, 0.0)] if is_slow else [(OTHER, 0.0)] * 2
    monkeypatch.setattr(session, "KIND_S", 30.0 if is_slow else 0.0)
    gate.fleet.complete()
    assert gate.digests() == (gate.expected if is_slow else gate.anew)


def test_a_run_that_only_reuses_needs_no_worker_for_it(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_key, "is_sampled", lambda _: False)
    fleet.cells.has = HAS
    fleet.complete()
    again(fleet)
    monkeypatch.setattr(placement, "AHEAD", 0.5)  # a place for one group
    monkeypatch.setattr(session, "LOOK_S", 2.0)
    place, left = session.Session._place, list[int]()

    def counted(self: session.Session) -> None:
        place(self)
        left.append(len(self.waiting))

    monkeypatch.setattr(session.Session, "_place", counted)
    assert fleet.complete() == all_of(fleet)
    assert set(left) == {2, 0}  # both groups in the look at which the workers are known


def test_a_run_that_reuses_for_long_does_not_give_up(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_key, "is_sampled", lambda _: False)
    fleet.cells.has = HAS
    fleet.complete()
    again(fleet)
    fleet.cells.begun.clear()
    spent_s, take = [0.0], KnownResults.take

    def slow(self: KnownResults, group: Remaining, addresses: tuple[str, ...]) -> tuple[str, ...]:
        spent_s[0] += 200.0
        return take(self, group, addresses)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + spent_s[0], sleep=time.sleep)
    monkeypatch.setattr(session, "time", clock)
    monkeypatch.setattr(KnownResults, "take", slow)
    assert fleet.complete() == all_of(fleet)
    assert fleet.cells.begun == []
    assert spent_s == [400.0]  # two groups, and two minutes are the longest wait for a worker


def known_of(gate: Gate) -> tuple[KnownResults, Remaining, Cell, Cell]:
    """Return the results that are known for a run, a group of it, and its base and head."""
    run = gate.fleet.run
    cells = sorted(gate.fleet.cells.cells.values(), key=lambda cell: (cell.id.tree != gate.base, cell.id))
    settings = run.settings()
    groups = remaining.groups(
        cells, settings.cells, {cell.id: schedule.group(settings, cell) for cell in cells}.__getitem__
    )
    base, head = groups[0].cells
    return KnownResults(run, run.configuration(), cast("Engine", None), 0), groups[0], base, head


def test_a_head_that_arrives_before_its_base_is_entered_when_that_is(gate: Gate) -> None:
    known, group, base, head = known_of(gate)
    run, cells = gate.fleet.run, gate.fleet.cells
    for cell in (base, head):
        run.save_transcript(cell.id, [cell.id.encode()])
        run.save(cells.with_key(cells.result(cell.id, run.name), run, OTHER))
    for cell in (head, base):
        result = run.result(cell.id)
        assert result is not None
        known.keep(group, cell, result)
        group.lacking.discard(cell.id)
    result = run.result(head.id)
    assert result is not None
    kept = kept_results.find(result.key)
    assert kept is not None
    assert (kept.run.name, kept.cell) == (run.name, head.id)


def test_a_tree_is_read_once_and_who_asks_meanwhile_waits_for_it(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    known, _, base, _ = known_of(gate)
    identify, begun, found = volumes.identify, threading.Event(), list[Any]()

    def slow(*arguments: Any) -> Any:
        assert not begun.is_set()
        begun.set()
        time.sleep(0.3)
        return identify(*arguments)

    monkeypatch.setattr(volumes, "identify", slow)
    threads = [threading.Thread(target=lambda: found.append(known._tree(base))) for _ in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert [tree and tree.name for tree in found] == [gate.base] * 2
