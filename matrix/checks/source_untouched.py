"""source-untouched: with `O=`, no step writes anything into the source tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.command_lines import maker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations, StepFacts


def _written(observations: Observations, step: StepFacts, touched: set[str]) -> Iterator[Finding]:
    for path, file in sorted(step.files.items()):
        if not path.startswith(perf.in_cell("")) or path in touched:
            continue
        if file.type == "directory" and (
            path in observations.lower or any(other.startswith(f"{path}/") for other in step.files)
        ):
            continue
        made = maker(step, path)
        actual = "removed" if file.type == "whiteout" else "written"
        yield Finding(
            kind="written",
            subject=path,
            expected="nothing below the source tree is written",
            actual=f"{actual} in step {step.step.name}",
            evidence=f"made by: {made}" if made else "",
            where=step.log,
        )


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
            findings.setdefault(finding.key, finding)
    return Examined(tuple(findings.values()), examined)


CHECK = Check(
    name="source-untouched",
    summary="with O=, nothing is ever written into the source tree",
    owns=(),
    needs=("build",),
    examine=_examine,
)
