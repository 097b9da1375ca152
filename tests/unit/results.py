"""Results as a run keeps them, with all that is needed to do them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.model.edit import Change, Edit
from matrix.model.result import CellResult, CheckResult, Finding, ImageIdentity, StepResult, TreeIdentity, Verdict
from matrix.scenario import environments, plan
from tests.unit import conftest as make

if TYPE_CHECKING:
    from matrix.model.cell import Cell

EDIT = Edit(
    name="slow", summary="slow", trees=("*",), changes=(Change(file="b", add="x"), Change(file="a", remove=True))
)


def done(of: Cell | None = None, **more: Any) -> CellResult:
    """Return a cell's result in which every step did what was planned, and the check `clean` found a fault."""
    cell = of or make.cell()
    gone_on = more.get("gone_on")
    planned = plan.scenario(cell, more.get("jobs", 2), planted=gone_on.touched if gone_on else ())
    finding = Finding(kind="left", subject="/src/a.o", expected="gone", actual="there")
    values: dict[str, Any] = {
        "id": cell.id,
        "run": "r1",
        "tool_version": "0",
        "verdict": Verdict.FAIL,
        "definition": cell,
        "jobs": 2,
        "image": ImageIdentity(name=cell.image.name, tag="t", digest="sha256:1", base="pulled d@sha256:2",
                               packages={"gcc": "14", "make": "4.4"}),
        "tree": TreeIdentity(name=cell.tree.name, source=cell.tree.source, sha256="5" * 64, version="7.3", origin="o"),
        "make": cell.make,
        "environment": environments.of_builds(cell)["first"],
        "out_of_tree": cell.build.out_of_tree,
        "host": {"engine": "docker 1", "url": "tcp://build-host:2375", "kernel": "6.1", "btf_sha256": "9"},
        "steps": tuple(StepResult(name=s.name, command=s.text, verdict=Verdict.PASS) for s in planned.steps),
        "checks": (
            CheckResult(check="build", verdict=Verdict.PASS, examined=1),
            CheckResult(check="clean", verdict=Verdict.FAIL, findings=(finding,)),
        ),
        **more,
    }  # fmt: skip
    return CellResult(**values)


def edited(**more: Any) -> Cell:
    """Return a cell on a tree with an edit."""
    tree = make.tree("7.3+slow", edits=(EDIT,), **more)
    return make.cell(on=tree)
