from __future__ import annotations

import functools
import gzip
import io
import platform
import shlex
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from matrix import paths
from matrix.config import load, tree_words
from matrix.config.selection import Selection, selected
from matrix.errors import InfrastructureError
from matrix.machines import health, identity, placement, session
from matrix.machines.messages import Possessions
from matrix.model.result import ImageIdentity, Verdict
from matrix.runs import kept_results, schedule, store
from matrix.verdicts import result_key
from tests.unit.machines import simulated
from tests.unit.machines.conftest import FAKE, TREE, UNCLOSED, Fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from distributed import LocalCluster

    from matrix.machines.messages import Machine
    from matrix.model.cell_id import CellId
    from tests.unit.machines.simulated import Cells


pytestmark = UNCLOSED


def all_of(fleet: Fleet, verdict: str = "PASS") -> dict[str, str]:
    return {str(cell_id): verdict for cell_id in fleet.cells.cells}


def first(fleet: Fleet) -> CellId:
    return min(fleet.cells.cells)


def left() -> list[str]:
    return sorted(path.name for path in (paths.state() / "runs").iterdir())


def test_the_results_of_all_workers_are_in_the_run(fleet: Fleet) -> None:
    assert fleet.complete() == all_of(fleet)
    assert sorted(fleet.cells.begun) == sorted(fleet.cells.cells)
    for cell_id in fleet.cells.cells:
        result = fleet.run.result(cell_id)
        assert result is not None
        assert (result.run, shlex.split(result.reproduce)[-1]) == (fleet.run.name, fleet.run.name)
        assert fleet.run.transcript_path(cell_id).read_bytes() == f"facts of {cell_id}".encode()
    assert left() == [fleet.run.name]


def test_groups_are_given_out_a_few_at_a_time(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "AHEAD", 0.5)
    submit, given_out = session.Session._submit, list[int]()

    def counted(self: session.Session, *arguments: Any) -> bool:
        given_out.append(sum(not submitted.is_offered for submitted in self._open.values()))
        return submit(self, *arguments)

    monkeypatch.setattr(session.Session, "_submit", counted)
    assert fleet.complete() == all_of(fleet)
    assert set(given_out) == {0}  # as two workers count for one place, each group is given out alone


def test_a_run_that_is_gone_on_with_does_what_it_lacks(fleet: Fleet) -> None:
    done = first(fleet)
    fleet.run.save(fleet.cells.result(done, fleet.run.name))
    assert fleet.complete() == all_of(fleet)
    assert done not in fleet.cells.begun


def test_a_group_whose_process_died_goes_elsewhere(fleet: Fleet) -> None:
    fleet.cells.process_fails = {first(fleet): 1}
    assert fleet.complete() == all_of(fleet)
    assert fleet.cells.begun.count(first(fleet)) == 2
    assert "goes to another worker: its process ended with status 1" in fleet.text


def test_a_group_that_fails_everywhere_is_an_error_and_the_others_are_done(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "WORKERS_S", 0.5)
    fleet.cells.process_fails = {first(fleet): 9}
    assert fleet.complete() == {**all_of(fleet), first(fleet): "ERROR"}
    assert fleet.cells.begun.count(first(fleet)) == 2
    result = fleet.run.result(first(fleet))
    assert result is not None
    assert result.reason.startswith("2 workers failed at it: its process ended with status 1")


def test_a_run_that_no_worker_can_do_says_why(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WORKERS_S", 0.5)
    monkeypatch.setattr(platform, "machine", lambda: "m68k")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "machine", functools.partial(of_another_kind, identity.machine))
        with pytest.raises(InfrastructureError, match=r"2 groups of cells wait .* none of 2 .* is vax, not"):
            fleet.complete()
    assert fleet.cells.begun == []


def of_another_kind(machine: Callable[..., Machine], *arguments: Any) -> Machine:
    return machine(*arguments).model_copy(update={"architecture": "vax"})


def test_an_error_of_a_machine_at_fault_is_no_result(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.cells.verdicts = {first(fleet): Verdict.ERROR}
    faults = ["its engine does not answer"] * 2
    monkeypatch.setattr(health, "fault", lambda: faults.pop() if faults else "")
    found = fleet.complete()
    assert found == {**all_of(fleet), first(fleet): "ERROR"}
    assert "goes to another worker: its engine does not answer" in fleet.text
    assert fleet.cells.begun.count(first(fleet)) == 2


def test_a_worker_that_lacks_the_tree_gets_it_once_and_makes_its_hash_anew(
    fleet: Fleet, trees_of_workers: Path
) -> None:
    assert fleet.complete() == all_of(fleet)
    [facts] = trees_of_workers.glob("*.tar")
    assert (paths.cache() / "trees" / facts.name).read_bytes() == facts.read_bytes()


def test_the_head_of_a_gate_gets_its_base_as_it_was_done(places: Path, cells: Cells, cluster: LocalCluster) -> None:
    config = load.load([FAKE])
    shutil.copytree(FAKE / "tree", places / "head")
    head = f"dir:{places / 'head'}"
    found = selected(config, Selection((FAKE,), (head,), ("debian-trixie-min/gcc/fake*",), base=TREE))
    cells.cells = {cell.id: cell for cell in found.cells}
    run = store.begin(found.cells, found.trees, [str(FAKE)], 2, base=found.base)
    on_base = next(cell_id for cell_id in cells.cells if cell_id.tree == found.base)
    run.save(cells.result(on_base, run.name))
    facts = gzip.compress(b"facts of the base")
    run.save_transcript(on_base, [facts])
    fleet = Fleet(cluster, cells, Console(file=io.StringIO()), run)
    assert fleet.complete() == all_of(fleet)
    assert on_base not in cells.begun
    assert sorted([*cells.begun, on_base]) == sorted(cells.cells)
    assert cells.given == {on_base: facts}
    places_of = [cell_id.place for cell_id in cells.begun]
    assert all(
        cells.begun.index(place.on(found.base)) < cells.begun.index(place.on(tree_words.tree(config, head).name))
        for place in set(places_of) - {on_base.place}
    )


def test_a_lost_connection_is_made_again_and_the_run_goes_on(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.cells.duration_s = lambda _: 0.5
    meet, calls = session.Session._meet_workers, list[int]()

    def lose_the_third_call(self: session.Session) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError("Stream is closed")
        meet(self)

    monkeypatch.setattr(session.Session, "_meet_workers", lose_the_third_call)
    assert fleet.complete() == all_of(fleet)
    assert "is gone; waiting for it" in fleet.text
    assert left() == [fleet.run.name]


def test_an_interrupt_ends_the_cells_on_all_workers(fleet: Fleet) -> None:
    fleet.cells.duration_s = lambda cell_id: 0.1 if cell_id == first(fleet) else 60.0

    def another_is_begun_and_a_result_has_come() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(fleet.cells.begun) == 2 and fleet.run.result(first(fleet)):
                return
            time.sleep(0.01)

    fleet.interrupted(another_is_begun_and_a_result_has_come)
    assert fleet.cells.running == 0
    assert left() == [fleet.run.name]
    fleet.cells.duration_s = lambda _: 0.1
    assert fleet.complete() == all_of(fleet)


HAS = Possessions(
    host={"engine": "docker 1", "kernel": "6.1", "cpus": "2"},
    images={"debian-trixie-min": ImageIdentity(name="debian-trixie-min", tag="t", digest="sha256:1", base="b")},
)


def test_a_result_that_is_known_is_not_built_again_on_a_worker(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_key, "is_sampled", lambda _: False)
    fleet.cells.has = HAS
    earlier = fleet.run
    assert fleet.complete() == all_of(fleet)
    fleet.cells.begun.clear()
    again(fleet)
    assert fleet.complete() == all_of(fleet)
    assert fleet.cells.begun == []
    assert "3 cells reused from earlier runs" in fleet.text
    for cell_id in fleet.cells.cells:
        result = fleet.run.result(cell_id)
        assert result is not None
        assert result.reused is not None
        assert (result.run, result.reused.run) == (fleet.run.name, earlier.name)
        assert fleet.run.transcript_path(cell_id).read_bytes() == f"facts of {cell_id}".encode()


def again(fleet: Fleet) -> None:
    """Begin the same run once more."""
    settings = fleet.run.settings()
    fleet.run = store.begin(list(fleet.cells.cells.values()), settings.trees, settings.configs, 2)


@pytest.mark.parametrize("change", ["fresh", "kernel", "image", "no engine", "sampled", "jobs"])
def test_a_result_of_another_key_is_built(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    sampled = change == "sampled"
    monkeypatch.setattr(result_key, "is_sampled", lambda _: sampled)
    fleet.cells.has = HAS
    assert fleet.complete() == all_of(fleet)
    fleet.cells.begun.clear()
    again(fleet)
    if change == "fresh":
        fleet.run.reuse_nothing()
    elif change == "kernel":
        fleet.cells.has = HAS.model_copy(update={"host": {**HAS.host, "kernel": "6.2"}})
    elif change == "image":
        other = HAS.images["debian-trixie-min"].model_copy(update={"digest": "sha256:2"})
        fleet.cells.has = HAS.model_copy(update={"images": {other.name: other}})
    elif change == "no engine":
        fleet.cells.has = Possessions()
    elif change == "jobs":
        monkeypatch.setattr(schedule, "jobs", lambda *_: 7)
    assert fleet.complete() == all_of(fleet)
    assert sorted(fleet.cells.begun) == sorted(fleet.cells.cells)


def test_a_result_whose_worker_says_another_key_is_not_reused(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_key, "is_sampled", lambda _: False)
    fleet.cells.has = HAS
    with_key = simulated.Cells.with_key
    monkeypatch.setattr(
        simulated.Cells,
        "with_key",
        lambda *arguments: with_key(*arguments).model_copy(update={"transcript_key": "a" * 64}),
    )
    assert fleet.complete() == all_of(fleet)
    assert kept_results.find("a" * 64) is None


def test_a_sampled_result_is_built_a_second_time_and_then_reused(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_key, "is_sampled", lambda _: True)
    fleet.cells.has = HAS
    assert fleet.complete() == all_of(fleet)
    again(fleet)
    assert fleet.complete() == all_of(fleet)
    assert {result.compared_with for result in fleet.run.results()} != {""}
    fleet.cells.begun.clear()
    again(fleet)
    assert fleet.complete() == all_of(fleet)
    assert fleet.cells.begun == []  # both agreed
