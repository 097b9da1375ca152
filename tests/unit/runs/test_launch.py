from __future__ import annotations

import configparser
import io
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from matrix.config import load
from matrix.engine import private_engine
from matrix.errors import InfrastructureError, UsageError
from matrix.model.cell_id import CellId
from matrix.runs import launch, locks, store
from matrix.runs.engine_access import EngineAccess
from matrix.runs.run_kind import GateRun, MutantsRun, PlainRun
from matrix.trees import volumes
from tests.unit import conftest as make

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.engine.api import Resource
    from matrix.runs.run_kind import RunKind

pytestmark = pytest.mark.usefixtures("places")
CELL = make.cell()


class FakeEngine:
    """An engine that has nothing of ours."""

    def resources(self) -> list[Resource]:
        return []


def begin(kind: RunKind, *trees: str) -> store.Run:
    base = "" if isinstance(kind, PlainRun) else CELL.tree.name
    return store.begin([CELL], trees or ("7.3",), [], 2, base=base, kind=kind)


def console() -> Console:
    return Console(file=io.StringIO(), width=20)


@pytest.fixture(scope="module")
def config() -> Config:
    return load.load()


def test_a_run_is_resumed_by_the_command_that_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launch.RUN_COMMAND_VARIABLE, raising=False)
    plain, gate = begin(PlainRun()), begin(GateRun(head="7.3"))
    assert launch.resume_command(plain) == f"perf-matrix run --resume {plain.name}"
    assert launch.resume_command(gate) == f"perf-matrix gate --resume {gate.name}"


def test_what_tox_began_is_resumed_through_tox(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(load.resources() / "tox.ini")
    lines = dict(line.split(" = ") for line in parser["testenv:matrix"]["set_env"].splitlines() if " = " in line)
    monkeypatch.setenv(launch.RUN_COMMAND_VARIABLE, lines[launch.RUN_COMMAND_VARIABLE])
    plain, gate = begin(PlainRun()), begin(GateRun(head="7.3"))
    assert launch.resume_command(plain) == f"tox -e matrix -- --resume {plain.name}"
    assert launch.resume_command(gate) == f"perf-matrix gate --resume {gate.name}"


@pytest.mark.parametrize("failure", [UsageError("no tree"), InfrastructureError("no engine"), KeyboardInterrupt()])
@pytest.mark.parametrize("begun", [False, True])
def test_a_run_that_ends_early_is_kept_and_its_resumption_named_where_a_cell_was_begun(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException, *, begun: bool
) -> None:
    run = begin(PlainRun())
    if begun:
        run.progress(CELL.id, "build")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(private_engine, "ensure", fail)
    where = console()
    with pytest.raises(type(failure)):
        launch.run(run, (CELL.id,), 1, EngineAccess(None, where))
    assert run.folder.is_dir() == begun
    assert isinstance(where.file, io.StringIO)
    unkept = f"{launch.NOTHING_KEPT}\n" if isinstance(failure, KeyboardInterrupt) else ""
    told = f"what is done is kept, cell by cell; to go on: {launch.resume_command(run)}\n" if begun else unkept
    assert where.file.getvalue() == told
    assert not locks.is_being_done(run)


def test_a_run_is_not_begun_beside_a_measurement() -> None:
    run = begin(PlainRun())
    with locks.measuring(), pytest.raises(UsageError, match="a comparison is being measured"):
        launch.run(run, (CELL.id,), 1, EngineAccess(None, console()))
    assert not run.folder.exists()


def test_a_configuration_that_the_caller_has_loaded_is_not_loaded_again(
    monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    run = begin(PlainRun())
    got: list[str] = []
    nothing = FakeEngine()
    monkeypatch.setattr(private_engine, "ensure", lambda *_: nothing)
    monkeypatch.setattr(volumes, "prepare", lambda tree, *_: got.append(tree.name))
    monkeypatch.setattr(launch, "_run_pytest", lambda *_: None)
    monkeypatch.setattr(load, "load", lambda *_: pytest.fail("the configuration is loaded again"))
    launch.run(run, (CELL.id,), 1, EngineAccess(None, console()), config)
    assert got == [CELL.tree.name]


def test_each_stage_of_a_run_says_itself_before_it_begins(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    run = begin(PlainRun())
    where = Console(file=io.StringIO())
    nothing = FakeEngine()
    monkeypatch.setattr(private_engine, "ensure", lambda *_: nothing)
    monkeypatch.setattr(volumes, "prepare", lambda tree, *_: where.print(f"  prepared {tree.name}"))
    monkeypatch.setattr(launch, "_run_pytest", lambda *_: where.print("  ran"))
    launch.run(run, (CELL.id,), 1, EngineAccess(None, where), config)
    assert isinstance(where.file, io.StringIO)
    assert where.file.getvalue().splitlines() == [
        "preparing 1 tree: 7.3",
        "  prepared 7.3",
        f"running the cells; pytest's log is {run.folder / launch.PYTEST_LOG}",
        "  ran",
    ]


def test_pytest_runs_the_cells_whatever_the_environment_asks_of_other_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_PLUGINS", "PYTHONOPTIMIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHONPATH", "here")
    monkeypatch.setattr(sys, "path", ["/usr/bin", *sys.path])  # as the installed command has it
    found = launch._environment(begin(PlainRun()), "unix://somewhere")
    assert not any(name.startswith("PYTEST_") for name in found)
    assert "PYTHONOPTIMIZE" not in found
    assert (found["PYTHONPATH"], found["DOCKER_HOST"]) == ("here", "unix://somewhere")


def test_an_interrupt_while_pytest_ends_kills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ignores = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", ignores], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait = process.wait

        def interrupted(patience_s: float | None = None) -> int:
            if patience_s == launch.END_S:
                raise KeyboardInterrupt
            return wait(patience_s)

        monkeypatch.setattr(process, "wait", interrupted)
        try:
            with pytest.raises(KeyboardInterrupt):
                launch._end(process)
            assert process.poll() == -signal.SIGKILL
        finally:
            process.kill()


def test_a_run_outside_of_the_state_folder_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_engine, "ensure", lambda *_: pytest.fail("the run is begun"))
    run = store.Run(begin(PlainRun()).folder.rename(tmp_path / "moved"))
    with pytest.raises(UsageError, match=r"run .*moved is not in the state folder"):
        launch.run(run, (CELL.id,), 1, EngineAccess(None, console()))
    assert store.find(str(run.folder)).settings().cells == (CELL.id,)


def test_the_trees_of_wanted_cells_are_got_once_each(config: Config) -> None:
    run = begin(PlainRun(), "7.3", "7.2", "7.3", "6.12")
    wanted = [CellId("i/gcc/b@7.3"), CellId("i/clang/b@7.3"), CellId("i/gcc/b@6.12")]
    needed = launch.needed_trees(run.settings(), wanted, config)
    assert [tree.name for tree in needed] == ["7.3", "6.12"]


def test_faults_are_planted_in_the_tree_without_them(config: Config) -> None:
    run = begin(MutantsRun(planted={"clean-forgets-beauty": "1"}), "7.3+clean-forgets-beauty")
    needed = launch.needed_trees(run.settings(), [CellId("i/gcc/b@7.3+clean-forgets-beauty")], config)
    assert [tree.name for tree in needed] == ["7.3"]
    assert needed[0].edits == ()


def test_a_run_past_its_time_is_ended_and_says_so() -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as process:
        began = time.monotonic()
        with (
            pytest.raises(InfrastructureError, match=r"the run was ended after 0\.1 s, the limit on a run"),
            launch._ended_after(0.1, process),
        ):
            process.wait(60)
        assert time.monotonic() - began < 60
        assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("limit_s", [0, 100])
def test_a_run_that_ends_in_time_is_left_alone(limit_s: float) -> None:
    with subprocess.Popen(["true"], start_new_session=True) as process, launch._ended_after(limit_s, process):
        assert process.wait(60) == 0
