"""`perf-matrix repro` from beginning to end, with a result in place of an engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from matrix import cli
from matrix.config import load, selection, tree_words
from matrix.model.cell import Limits
from matrix.model.result import StepResult, Verdict
from matrix.repro import bundle
from matrix.runs import cell_shell, launch
from matrix.scenario import plan
from tests.unit import conftest as make
from tests.unit.results import done

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell
    from matrix.model.result import CellResult
    from matrix.runs.store import Run

LOADED = load.load()
CELL = make.cell(of=LOADED.images["debian-trixie-min"], what=LOADED.builds["minimal"], on=LOADED.trees["7.3"])


def ran(cell: Cell, run: Run, verdict: Verdict = Verdict.FAIL) -> CellResult:
    """Return what an engine would have left: a clean that fails, other packages, a host of its own."""
    first = done(cell, jobs=run.settings().jobs, limits=run.settings().limits, verdict=verdict)
    assert first.image is not None
    packages = {"gcc": "15", "make": "4.4"}
    steps = tuple(
        step.model_copy(update={"verdict": verdict, "reason": "status 2 \x1b[2J", "log": "logs/clean.log"})
        if step.name == "clean" else step
        for step in first.steps
    )  # fmt: skip
    image = first.image.model_copy(update={"packages": packages})
    return first.model_copy(update={"run": run.name, "image": image, "steps": steps})


@pytest.fixture
def begun(places: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Let each run end with a result at once; return those that were begun."""
    runs: list[Run] = []

    def run(run: Run, wanted: tuple[str, ...], *_: Any) -> None:
        loaded = load.load([places / folder for folder in run.settings().configs])
        cell = next(one for one in config_cells(loaded, run) if one.id == wanted[0])
        run.save(ran(cell, run))
        runs.append(run)

    monkeypatch.setattr(launch, "run", run)
    return runs


def config_cells(loaded: load.Config, run: Run) -> tuple[Cell, ...]:
    return selection.every(loaded, [tree_words.tree(loaded, word) for word in run.settings().trees])


def packed(places: Path, result: CellResult) -> str:
    path = places / "b.tar.gz"
    path.write_bytes(bundle.pack(result, {}, None))
    return str(path)


def command(*words: str) -> Any:
    return CliRunner(env={"COLUMNS": "160"}).invoke(cli.app, words)


def test_a_bundle_is_reproduced_and_each_ingredient_told(places: Path, begun: list[Run]) -> None:
    build = CELL.build.model_copy(update={"make": {"V": "1"}})
    cell = CELL.model_copy(update={"build": build})
    first = done(cell, jobs=3, limits=Limits(pids=100, step_s=99999), run="20000101T000000Z-0000")
    shown = command("repro", "--from", packed(places, first))
    assert shown.exit_code == 1, shown.output
    text = shown.output
    assert "as in run 20000101T000000Z-0000" in text
    assert "gcc: 14 > 15" in text
    assert "step_s: 99999 > 1200" in text
    assert "reproduced: 1 of 1 checks that found faults have the same verdict and findings" in text
    assert "step clean: FAIL status 2 ?[2J" in text
    assert "  make -C /src/tools/perf JOBS=3 V=1 clean" in text
    assert "verdict: FAIL" in text
    [run] = begun
    assert run.settings().limits == Limits(pids=100)
    kept = run.result(cell.id)
    assert kept is not None
    assert kept.definition is not None
    assert kept.definition.build == build


def test_as_json_it_is_the_same_and_nothing_else(places: Path, begun: list[Run]) -> None:
    shown = command("repro", "--from", packed(places, done(CELL)), "-j", "5", "--json")
    data = json.loads(shown.stdout)
    assert begun[0].settings().jobs == 5
    assert (data["verdict"], data["failing_step"], data["outcome"]["answer"]) == ("FAIL", "clean", "reproduced")
    rows = {row["name"]: row["same"] for row in data["ingredients"]}
    assert (rows["build"], rows["packages"], rows["make's jobs"]) == ("same", "differs", "differs")
    assert data["cell"] == CELL.id


def test_our_own_result_is_done_again_as_it_was(begun: list[Run], places: Path) -> None:
    own = CELL.model_copy(update={"image": CELL.image.model_copy(update={"setup": ("our own",)})})
    assert command("repro", "--from", packed(places, done(CELL))).exit_code == 1
    begun[0].save(done(own, limits=Limits(step_s=99999)))
    assert command("repro", own.id).exit_code == 1
    kept = begun[1].result(own.id)
    assert kept is not None
    assert kept.definition is not None
    assert kept.definition.image == own.image
    assert kept.limits.step_s == 99999
    again = command("repro", own.id, "--run", begun[0].name, "--tree", "7.2")
    assert again.exit_code == 1, again.output
    third = begun[2].result(own.id)
    assert third is not None
    assert third.definition is not None
    assert third.definition.tree.source == LOADED.trees["7.2"].source


def test_with_shell_it_ends_in_one_after_the_failing_step(
    places: Path, begun: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Any, ...]] = []

    def shell(*words: Any) -> int:
        opened.append(words)
        return 7

    monkeypatch.setattr(cell_shell, "shell", shell)
    shown = command("repro", "--from", packed(places, done(CELL, jobs=4)), "--shell")
    assert shown.exit_code == 1
    [(cell, after, access, how)] = opened
    assert (cell.id, after, access.host) == (CELL.id, "clean", None)
    assert how == cell_shell.Circumstances(4, Limits(), begun[0].pins)
    assert [step.name for step in plan.scenario(cell, how.jobs).steps][-1] == after


def test_what_differs_is_listed_and_no_more_than_can_be_read(places: Path, begun: list[Run]) -> None:
    first = done(CELL)
    findings = tuple(first.checks[1].findings[0].model_copy(update={"subject": f"/src/{n}.o"}) for n in range(10))
    many = first.checks[1].model_copy(update={"findings": findings})
    steps = tuple(StepResult(name=one.name, command=one.command, verdict=one.verdict) for one in first.steps)
    shown = command("repro", "--from", packed(places, done(CELL, checks=(first.checks[0], many), steps=steps)))
    assert begun
    assert "clean: FAIL then, FAIL now" in shown.output
    assert "  no longer: left:/src/0.o\n" in shown.output
    assert "  no longer: and 2 more\n" in shown.output
    assert "  new: left:/src/a.o\n" in shown.output
    assert "not reproduced: 0 of 1" in shown.output


def test_a_bundle_is_written_where_it_is_asked_for(
    places: Path, monkeypatch: pytest.MonkeyPatch, begun: list[Run]
) -> None:
    monkeypatch.chdir(places)
    command("repro", "--from", packed(places, done(CELL)))
    name = f"{CELL.id.replace('/', '_')}.perf-matrix.tar.gz"
    shown = command("bundle", begun[0].name)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"{name}: ")
    assert f"`perf-matrix repro --from {name}` reproduces it" in shown.output
    assert bundle.unpack((places / name).read_bytes()).result.id == CELL.id
    result = begun[0].cell(CELL.id) / "result.json"
    assert command("bundle", str(result), "-o", "x.tar.gz").exit_code == 0
    assert (places / "x.tar.gz").read_bytes() == (places / name).read_bytes()
    assert "is the result of one cell" in str(command("bundle", str(result), CELL.id).exception)
