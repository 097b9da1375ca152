"""source-untouched: with `O=`, no step writes anything into the source tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, made_by, parents
from matrix.model.result import Finding
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import StepFacts


def _written(observations: Observations, step: StepFacts, touched: set[str]) -> Iterator[Finding]:
    """Yield the paths that a step wrote or removed below the source tree.

    `touched` are the paths that the scenario itself touched there, in this step or before.
    """
    for path in sorted(step.files.keys() - touched - _bystanders(observations, step)):
        if path.startswith(perf.in_cell("")):
            change = "removed" if step.files[path].type == "whiteout" else "written"
            yield Finding(
                kind="written",
                subject=path,
                expected="nothing below the source tree is written",
                actual=f"{change} in step {step.step.name}",
                evidence=made_by(step, path),
                where=step.log,
            )


def _bystanders(observations: Observations, step: StepFacts) -> set[str]:
    """Return the folders that appear in the upper layer because of a file below them.

    They are the tree's own, and those that are not empty: overlayfs makes a file's folders in the upper layer.
    """
    folders = {path for path, file in step.files.items() if file.type == "directory"}
    return folders & (parents(step.files) | observations.lower.keys())


def _examine(observations: Observations) -> Examined:
    if not observations.scenario.cell.build.out_of_tree:
        return Examined(skip="an in-tree build writes into the source tree")
    findings: dict[str, Finding] = {}
    touched: set[str] = set()
    examined = 0
    for step in observations.steps.values():
        touched |= set(step.step.touch)
        examined += sum(path.startswith(f"{perf.OUTPUT}/") for path in step.files)
        for finding in _written(observations, step, touched):
            findings.setdefault(finding.key, finding)  # the first step that wrote a path is to blame for it
    return Examined(tuple(findings.values()), examined)


CHECK = Check(
    name="source-untouched",
    summary="with O=, nothing is ever written into the source tree",
    owns=(),
    needs=("build",),
    examine=_examine,
)
