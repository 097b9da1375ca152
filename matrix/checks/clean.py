"""clean: after `make clean` nothing that the build made is left, and nothing that the tree had is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.scenario.gitignore import covered
from matrix.trace.command_lines import maker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations


def _left(observations: Observations) -> Iterator[Finding]:
    step = observations.steps["clean"]
    left = observations.made("clean")
    for path, file in sorted(left.items()):
        if file.type == "whiteout":
            continue
        if file.type == "directory" and any(other.startswith(f"{path}/") for other in left):
            continue
        original = observations.lower.get(path)
        left_as = "left-folder" if file.type == "directory" else "left"
        kind, actual = (left_as, f"a {file.type} is left") if original is None else ("altered", "its content differs")
        yield Finding(
            kind=kind,
            subject=path,
            expected="nothing that the build made" if original is None else "the content that the tree had",
            actual=actual,
            evidence=_evidence(observations, path),
            where=step.log,
        )


def _evidence(observations: Observations, path: str) -> str:
    for name in ("clean", "touch-header", "touch-source", "rebuild", "build"):
        step = observations.steps.get(name)
        if step and path in step.files and (made := maker(step, path)):
            return f"made in step {name} by: {made}"
    return ""


def _modes(observations: Observations) -> Iterator[Finding]:
    """Yield what has another mode than in the tree, where its content is the tree's."""
    step = observations.steps["clean"]
    altered = observations.made("clean")
    for path, file in sorted(step.files.items()):
        original = observations.lower.get(path)
        if path in altered or original is None:
            continue
        if file.type in ("file", "directory") and file.mode != original[0]:
            yield Finding(
                kind="altered",
                subject=path,
                expected=f"mode {original[0]:o}, as in the tree",
                actual=f"mode {file.mode:o}",
                where=step.log,
            )


def _gone(observations: Observations) -> Iterator[Finding]:
    step = observations.steps["clean"]
    for path in step.missing:
        yield Finding(
            kind="gone",
            subject=perf.in_cell(path),
            expected="there, as in the tree",
            actual="it is gone",
            where=step.log,
        )


def _unignored(observations: Observations) -> Iterator[Finding]:
    """Yield what the build made in the source tree and no .gitignore covers, folders whose files say so left out."""
    for path, file in sorted(observations.made("build").items()):
        inside = path.removeprefix(perf.in_cell(""))
        if file.type in ("directory", "whiteout") or inside == path or path in observations.lower:
            continue
        if not covered(inside, observations.ignore):
            yield Finding(
                kind="not-ignored",
                subject=path,
                expected="a .gitignore covers what the build makes",
                actual="none does",
                evidence=_evidence(observations, path),
            )


def _examine(observations: Observations) -> Examined:
    made = observations.made("build")
    findings = (*_left(observations), *_modes(observations), *_gone(observations), *_unignored(observations))
    return Examined(findings, len(made), {"made by the build": len(made)})


CHECK = Check(
    name="clean",
    summary="make clean removes all that the build made and nothing else; .gitignore covers what it makes",
    owns=("clean",),
    needs=("build",),
    examine=_examine,
)
