from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load
from matrix.config.selection import Selection
from matrix.model.cell_id import Place
from matrix.model.result import RequirementVerdict, StepResult, Verdict
from matrix.reports import formats
from matrix.runs import run_report
from matrix.runs.run_kind import GateRun
from matrix.series import gate
from matrix.timing import bench
from tests.unit.conftest import result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.runs.store import Run
    from matrix.timing.bench import Asked
    from tests.unit.series.conftest import FakeAccess, FakeComplete

MINIMAL, STATIC = Place("debian-trixie-min/gcc/minimal"), Place("debian-trixie/gcc/static")
ASKED = Selection(trees=("7.3",), base="7.2", select=(MINIMAL, STATIC), profile="merge")
BUILT = StepResult(name="build", command="make", verdict=Verdict.PASS)


def begun(pairs: int, config: Any = None) -> Run:
    return gate.begin(ASKED, config or load.load(), pairs, 1, 2)


@pytest.fixture
def requiring(tmp_path: Path) -> Any:
    """Return the configuration with a profile `merge` that requires something of times."""
    folder = tmp_path / "own" / "profiles"
    folder.mkdir(parents=True)
    (folder / "merge.yaml").write_text("summary: s\nselect: ['*']\nrequire: ['no-op no slower than 5 %']\n")
    return load.load([folder.parent])


@pytest.mark.usefixtures("places")
def test_a_gate_has_the_cells_of_both_trees_and_what_is_required(requiring: Any) -> None:
    settings = begun(7, requiring).settings()
    assert set(settings.cells) == {place.on(tree) for place in (MINIMAL, STATIC) for tree in ("7.2", "7.3")}
    assert (settings.base, settings.trees) == ("7.2", ("7.2", "7.3"))
    assert settings.kind == GateRun(head="7.3", require=("no-op no slower than 5 %",), pairs=7)


@pytest.mark.usefixtures("places")
def test_without_rounds_nothing_is_required(requiring: Any) -> None:
    kind = begun(0, requiring).settings().kind
    assert isinstance(kind, GateRun)
    assert kind.require == ()


def measures(
    monkeypatch: pytest.MonkeyPatch, requiring: Any, built: dict[str, tuple[StepResult, ...]]
) -> tuple[Run, list[Asked]]:
    """Return a gate's run whose cells have results with these steps, and the comparisons that are measured."""
    seen: list[Asked] = []

    def compare(asked: Asked, *_: Any) -> tuple[Any, None]:
        seen.append(asked)
        return type("Found", (), {"required": {asked.required[0]: RequirementVerdict(Verdict.PASS, "why")}}), None

    monkeypatch.setattr(bench, "compare", compare)
    monkeypatch.setattr(load, "load", lambda _: requiring)
    run = begun(7, requiring)
    for tree, steps in built.items():
        for place in (MINIMAL, STATIC):
            run.save(result(place.on(tree), steps=steps))
    return run, seen


@pytest.mark.usefixtures("places")
def test_times_are_measured_once_in_one_place_and_kept_with_the_run(
    monkeypatch: pytest.MonkeyPatch, requiring: Any, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    completes()
    run, seen = measures(monkeypatch, requiring, {"7.2": (BUILT,), "7.3": (BUILT,)})
    gate.complete(run, 1, access)
    gate.complete(run, 1, access)
    [asked] = seen
    assert (asked.base.id, asked.head.id) == (MINIMAL.on("7.2"), MINIMAL.on("7.3"))
    assert (asked.measures, asked.pairs, asked.pins) == (("no-op",), 7, run.pins)
    assert run.required() == {"no-op no slower than 5 %": (Verdict.PASS, "why")}
    assert f"measuring no-op in {MINIMAL}: 7 rounds" in access.said


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("steps", [(), (BUILT.model_copy(update={"verdict": Verdict.FAIL}),)])
def test_a_tree_that_was_not_built_has_no_times(
    monkeypatch: pytest.MonkeyPatch, requiring: Any, access: FakeAccess, completes: Callable[..., FakeComplete],
    steps: tuple[StepResult, ...],
) -> None:  # fmt: skip
    completes()
    run, seen = measures(monkeypatch, requiring, {"7.2": (BUILT,), "7.3": steps})
    gate.complete(run, 1, access)
    assert (seen, run.required()) == ([], {})
    assert f"not measured: {MINIMAL}@7.3 was not built" in access.said


@pytest.mark.usefixtures("places")
def test_it_is_measured_in_the_usual_place_where_that_is_one_of_the_gates() -> None:
    asked = Selection(trees=("7.3",), base="7.2", select=(MINIMAL, gate.USUAL))
    run = gate.begin(asked, load.load(), 0, 1, 2)
    assert gate.measured_place({cell_id.place for cell_id in run.settings().cells}) == gate.USUAL


@pytest.mark.usefixtures("places")
def test_every_format_is_written(
    tmp_path: Path, access: FakeAccess, completes: Callable[..., FakeComplete], requiring: Any
) -> None:
    completes()
    run = begun(0, requiring)
    gate.complete(run, 1, access)
    gate.write_reports(run_report.of_run(run), tmp_path / "out")
    names = {one.file_name for one in formats.registry().values()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


@pytest.mark.usefixtures("places")
def test_one_shard_of_a_gate_measures_and_each_has_both_trees(requiring: Any) -> None:
    settings = [gate.begin(ASKED, requiring, 7, 1, 2, shard=f"{number}/2").settings() for number in (1, 2)]
    kinds = [kind for found in settings if isinstance(kind := found.kind, GateRun)]
    assert [{(cell_id.place, cell_id.tree) for cell_id in found.cells} for found in settings] == [
        {(MINIMAL, "7.2"), (MINIMAL, "7.3")},
        {(STATIC, "7.2"), (STATIC, "7.3")},
    ]
    assert [len(kind.require) for kind in kinds] == [1, 0]
