from __future__ import annotations

import asyncio
import functools
import platform
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from matrix import paths
from matrix.cli import app
from matrix.errors import InfrastructureError, UsageError
from matrix.machines import collecting, departure, health, identity, remaining, staging, supply
from matrix.machines.messages import Blob, SentTree
from matrix.model.result import Verdict
from matrix.runs import completion, detached, run_report
from tests.unit.machines.conftest import UNCLOSED, Fleet
from tests.unit.machines.test_fleet import all_of, first, left, of_another_kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = UNCLOSED

PATIENCE_S = 30.0


def leave(fleet: Fleet) -> None:
    """Hand the run over to the workers."""
    way = departure.LeftToWorkers(fleet.cluster.scheduler_address)
    completion.complete(fleet.run, 0, replace(fleet.access, way=way), attempts=1)


def verdicts(fleet: Fleet) -> dict[str, str]:
    return {str(result.id): str(result.verdict) for result in fleet.run.results()}


def collected(fleet: Fleet) -> dict[str, str]:
    """Collect until nothing is left, and return the verdicts."""
    deadline = time.monotonic() + PATIENCE_S
    while detached.is_detached(fleet.run):
        assert time.monotonic() < deadline, fleet.text
        collecting.collect(fleet.run, fleet.access)
        time.sleep(0.05)
    return verdicts(fleet)


def datasets(fleet: Fleet) -> list[str]:
    return [str(name) for name in fleet.cluster.scheduler.extensions["publish"].datasets]


def wait(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.02)


def test_a_run_goes_on_without_its_command_and_is_collected(fleet: Fleet) -> None:
    leave(fleet)
    assert verdicts(fleet) == {}
    assert len(datasets(fleet)) == 1
    report = run_report.of_run(fleet.run)
    assert (report.is_going_on, report.verdict_word) == (True, "not finished")
    assert collected(fleet) == all_of(fleet)
    assert sorted(fleet.cells.begun) == sorted(fleet.cells.cells)
    for cell_id in fleet.cells.cells:
        result = fleet.run.result(cell_id)
        assert result is not None
        assert result.run == fleet.run.name
        assert fleet.run.transcript_path(cell_id).read_bytes() == f"facts of {cell_id}".encode()
    assert left() == [fleet.run.name]
    assert datasets(fleet) == []
    assert not run_report.of_run(fleet.run).is_going_on


def test_what_is_done_is_collected_while_the_rest_goes_on(fleet: Fleet) -> None:
    slow = first(fleet)
    fleet.cells.duration_s = lambda cell_id: 60.0 if cell_id == slow else 0.0
    leave(fleet)

    def has_others() -> bool:
        collecting.collect(fleet.run, fleet.access)
        return verdicts(fleet) == {cell: "PASS" for cell in all_of(fleet) if cell != slow}

    wait(has_others)
    assert re.search(rf"run {fleet.run.name}: 1 group of cells left, 1 at a worker; `perf-matrix report", fleet.text)
    collecting.take_back(fleet.run, fleet.access)
    wait(lambda: fleet.cells.running == 0)
    assert (datasets(fleet), detached.is_detached(fleet.run)) == ([], False)
    wait(lambda: left() == [fleet.run.name])
    fleet.cells.duration_s = lambda _: 0.0
    assert fleet.complete() == all_of(fleet)
    assert fleet.cells.begun.count(slow) == 2


def test_what_a_worker_fails_at_is_tried_again_and_is_an_error_in_the_end(fleet: Fleet) -> None:
    fleet.cells.process_fails = {first(fleet): 1}
    leave(fleet)
    assert collected(fleet) == all_of(fleet)
    assert fleet.cells.begun.count(first(fleet)) == 2


def test_what_all_workers_fail_at_is_an_error_and_the_others_are_done(fleet: Fleet) -> None:
    fleet.cells.process_fails = {first(fleet): 99}
    leave(fleet)
    assert collected(fleet) == {**all_of(fleet), first(fleet): "ERROR"}
    assert fleet.cells.begun.count(first(fleet)) == 1 + remaining.MOVES
    result = fleet.run.result(first(fleet))
    assert result is not None
    assert "its process ended with status 1" in result.reason


def test_an_error_of_a_machine_at_fault_is_no_result(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.cells.verdicts = {first(fleet): Verdict.ERROR}
    faults = ["its engine does not answer"] * 2
    monkeypatch.setattr(health, "fault", lambda: faults.pop() if faults else "")
    leave(fleet)
    assert collected(fleet) == {**all_of(fleet), first(fleet): "ERROR"}
    assert fleet.cells.begun.count(first(fleet)) == 2


def test_done_cells_go_along_with_their_group(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.runs.schedule.group", lambda *_: "all")
    done = first(fleet)
    fleet.run.save_transcript(done, [b"facts"])
    fleet.run.save(fleet.cells.result(done, fleet.run.name))
    before = fleet.run.transcript_path(done).read_bytes()
    leave(fleet)
    assert collected(fleet) == all_of(fleet)
    assert fleet.cells.given == {done: before}
    assert done not in fleet.cells.begun


def test_workers_that_lack_the_tree_get_it_before_the_command_leaves(fleet: Fleet, trees_of_workers: Path) -> None:
    leave(fleet)
    assert len(list(trees_of_workers.glob("*.tar"))) == 1
    assert "to worker" in fleet.text
    assert collected(fleet) == all_of(fleet)
    assert staging._staged == {}


def test_a_worker_that_a_tree_does_not_reach_has_no_part(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "lacks", lambda _: True)
    monkeypatch.setattr(supply, "provide_tree", refuse)
    with pytest.raises(InfrastructureError, match="no worker is connected"):
        leave(fleet)
    assert fleet.text.count("has no part in the run: the disk is full") == 2
    assert not detached.is_detached(fleet.run)


def refuse(*_: object) -> None:
    raise InfrastructureError("the disk is full")


def test_a_run_that_no_worker_can_do_is_not_left_to_any(fleet: Fleet) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "m68k")
        patch.setattr(identity, "machine", functools.partial(of_another_kind, identity.machine))
        with pytest.raises(InfrastructureError, match=r"cannot be handed over: none of 2 workers .* is vax, not m68k"):
            leave(fleet)
    assert datasets(fleet) == []


def test_a_group_that_would_take_too_much_along_is_refused(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "BROUGHT_BYTES", 10)
    with pytest.raises(UsageError, match="files along"):
        leave(fleet)


def test_a_scheduler_that_was_started_again_has_nothing_and_the_run_goes_on(fleet: Fleet) -> None:
    fleet.cells.duration_s = lambda _: 0.0
    leave(fleet)
    fleet.cluster.scheduler.extensions["publish"].datasets.clear()
    collecting.collect(fleet.run, fleet.access)
    assert "the scheduler has lost" in fleet.text
    assert not detached.is_detached(fleet.run)
    assert fleet.complete() == all_of(fleet)


def test_results_stay_collectable_while_no_scheduler_answers(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(fleet)
    record = detached.read(fleet.run)
    detached.write(fleet.run, record.model_copy(update={"scheduler": "tcp://127.0.0.1:9"}))
    monkeypatch.setattr("matrix.machines.addresses.CONNECT", "1s")
    with pytest.raises(InfrastructureError, match="which has the results of run"):
        collecting.collect(fleet.run, fleet.access)
    shown = CliRunner().invoke(app, ["report", fleet.run.name])
    assert "nothing is collected: no scheduler answers" in shown.output
    assert "going on: 0 of 3 cells done" in shown.output
    detached.write(fleet.run, record)
    shown = CliRunner().invoke(app, ["report", fleet.run.name])
    collected(fleet)
    shown = CliRunner().invoke(app, ["report", fleet.run.name])
    assert (shown.exit_code, "3 PASS" in shown.output) == (0, True)


def test_a_run_is_taken_back_though_its_scheduler_is_gone(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(fleet)
    record = detached.read(fleet.run).model_copy(update={"scheduler": "tcp://127.0.0.1:9"})
    detached.write(fleet.run, record)
    monkeypatch.setattr("matrix.machines.addresses.CONNECT", "1s")
    collecting.take_back(fleet.run, fleet.access)
    assert "is taken back without its scheduler" in fleet.text
    assert not detached.is_detached(fleet.run)


def test_a_run_is_taken_back_though_its_certificates_are_gone(fleet: Fleet) -> None:
    leave(fleet)
    record = detached.read(fleet.run).model_copy(update={"scheduler": "tls://127.0.0.1:9", "certificates": "/gone"})
    detached.write(fleet.run, record)
    collecting.take_back(fleet.run, fleet.access)
    assert "is taken back without its scheduler: /gone/ca.pem is no file" in fleet.text
    assert not detached.is_detached(fleet.run)


def test_a_folder_that_a_killed_worker_left_of_a_group_is_in_nobodys_way(fleet: Fleet) -> None:
    fleet.cells.duration_s = lambda _: 0.5
    leave(fleet)
    tokens = [group.task.removeprefix("cells-") for group in detached.read(fleet.run).groups]
    for token in tokens:
        (paths.state() / "runs" / f"{fleet.run.name}-{token}").mkdir(exist_ok=True)
    assert collected(fleet) == all_of(fleet)


def test_groups_whose_workers_are_gone_are_told(fleet: Fleet) -> None:
    fleet.cells.duration_s = lambda _: 60.0
    leave(fleet)
    record = detached.read(fleet.run)
    gone = [group.model_copy(update={"workers": ("tcp://127.0.0.1:9",)}) for group in record.groups]
    detached.write(fleet.run, record.model_copy(update={"groups": tuple(gone)}))
    collecting.collect(fleet.run, fleet.access)
    assert "2 groups of these had workers that are gone: `perf-matrix run --resume" in fleet.text
    collecting.take_back(fleet.run, fleet.access)


def test_a_result_that_is_refused_is_lacking(fleet: Fleet) -> None:
    refused, other = sorted(fleet.cells.cells)[:2]
    fleet.cells.cells = {**fleet.cells.cells, refused: fleet.cells.cells[other]}
    leave(fleet)
    assert collected(fleet) == {cell: "PASS" for cell in all_of(fleet) if cell != refused}
    assert f"{refused} is not collected: what arrived" in fleet.text
    assert "it is of another definition" in fleet.text


def test_the_record_of_a_run_is_read_or_refused(fleet: Fleet) -> None:
    (fleet.run.folder / detached.FILE).write_text("[]")
    with pytest.raises(UsageError, match="cannot be read"):
        detached.read(fleet.run)


def test_an_archive_that_nobody_goes_on_sending_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "lacks", lambda _: True)
    blob = Blob(sha256="1" * 64, size=3)
    text = SentTree(sha256="2" * 64, origin="a tree", archive=blob).model_dump_json()
    assert asyncio.run(staging.expect("a", text))
    folder = staging._staged["a"].arriving.path.parent
    assert folder.is_dir()
    staging.drop_forgotten()
    assert folder.is_dir()
    monkeypatch.setattr(staging, "FORGOTTEN_S", -1.0)
    staging.drop_forgotten()
    assert not folder.is_dir()
    assert asyncio.run(staging.expect("b", text))
    assert asyncio.run(staging.keep("a")) == "the archive of a tree is gone"
    assert asyncio.run(staging.keep("b")) == "a tree did not arrive whole"


def test_detach_needs_a_scheduler(places: Path) -> None:
    assert places
    shown = CliRunner().invoke(app, ["run", "--detach", "--profile", "smoke"])
    assert (shown.exit_code, "--detach goes with --scheduler" in str(shown.exception or shown.output)) != (0, False)
