from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from matrix.model.result import Verdict
from matrix.timing import bench
from tests.unit.conftest import cell, session, tree

if TYPE_CHECKING:
    import pytest


def sides(base: tuple[str, ...], head: tuple[str, ...]) -> Any:
    """Return the three arms of a comparison whose trees have these measures."""
    before, after = (
        SimpleNamespace(cell=cell(on=tree(name)), steps=dict.fromkeys(steps))
        for name, steps in (("7.2", base), ("7.3", head))
    )
    return {"base": before, "again": before, "head": after}


def test_each_stage_of_a_measure_says_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    samples = [SimpleNamespace(wall_s=wall_s) for wall_s in (9.0, 9.0, 9.0, 1.0, 1.1, 0.5)]
    fake: Any = SimpleNamespace(say=said.append, sample=lambda *_: samples.pop(0))
    monkeypatch.setattr(bench, "_one", lambda *_: samples.pop(0))
    arm = SimpleNamespace(steps={"no-op": None}, container=None)
    trees: Any = {"base": arm, "again": arm, "head": arm}
    assert len(list(bench._measured(fake, trees, "no-op", [("base", "again", "head")]))) == len(trees)
    assert said == [
        "no-op: once in each container before it counts",
        "no-op 1/1: base 1.00 s, again 1.10 s, head 0.50 s",
    ]


def test_a_measure_is_left_out_for_the_trees_that_do_not_have_it() -> None:
    found = bench._left_out(("build", "generate", "tables"), sides(("build", "generate"), ("build",)))
    assert found == {
        "generate": "not part of this build on 7.3",
        "tables": "not part of this build on 7.2, 7.3",
    }


def test_a_measure_that_both_trees_have_is_not_left_out() -> None:
    assert bench._left_out(("build",), sides(("build", "tables"), ("build",))) == {}


def test_each_requirement_is_judged_by_the_comparison_of_its_measure() -> None:
    faster, slower = "no-op at least 5 % faster", "no-op at least 80 % faster"
    found = bench._required(session(0.5, measure="no-op"), [faster, slower])
    assert [found[text].verdict for text in (faster, slower)] == [Verdict.PASS, Verdict.FAIL]


def test_a_requirement_on_what_was_not_measured_is_undecided_and_says_why() -> None:
    measured = session(0.5, measure="no-op", left_out={"tables": "not part of this build on 7.3"})
    found = bench._required(measured, ["tables no slower than 2 %", "build no slower than 2 %"])
    assert list(found.values()) == [
        (Verdict.INCONCLUSIVE, "tables: not part of this build on 7.3"),
        (Verdict.INCONCLUSIVE, "build: it was not measured"),
    ]


def test_without_a_requirement_none_is_judged() -> None:
    assert bench._required(session(0.5), []) == {}
