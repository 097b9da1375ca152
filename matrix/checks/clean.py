"""clean: `make clean` removes every file that the build made, and none of the tree's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, made_by, parents
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.scenario.gitignore import IgnoreFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import File


def _left(observations: Observations) -> Iterator[Finding]:
    """Yield the paths that are left after clean and are not in the tree, or in it with other content."""
    left = observations.made("clean")
    # Of a folder that is left with its files the files are the findings.
    for path in sorted(left.keys() - parents(left)):
        if left[path].type != "whiteout":  # a file of the tree that is gone, which `_gone` yields
            yield _leftover(observations, path, left[path])


def _leftover(observations: Observations, path: str, file: File) -> Finding:
    if path in observations.lower:
        kind, expected, actual = "altered", "the content that the tree had", "its content differs"
    else:
        kind = "left-folder" if file.type == "directory" else "left"
        expected, actual = "nothing that the build made", f"a {file.type} is left"
    return Finding(
        kind=kind,
        subject=path,
        expected=expected,
        actual=actual,
        evidence=_evidence(observations, path),
        where=observations.steps["clean"].log,
    )


def _evidence(observations: Observations, path: str) -> str:
    """Return the last step that wrote a file, and the command line that did, or nothing where it cannot be told."""
    # The latest first: a file that clean itself made is found so, and a rebuilt one by its last maker.
    for name in ("clean", "touch-header", "touch-source", "rebuild", "build"):
        step = observations.steps.get(name)
        made = made_by(step, path) if step else ""
        if made:
            return made.replace("made by", f"made in step {name} by", 1)
    return ""


def _modes(observations: Observations) -> Iterator[Finding]:
    """Yield the paths with another mode than in the tree, where the content is the tree's."""
    step = observations.steps["clean"]
    altered = observations.made("clean")
    unaltered = sorted(step.files.keys() & observations.lower.keys() - altered.keys())
    for path in unaltered:
        file, original = step.files[path], observations.lower[path]
        if file.type in ("file", "directory") and file.mode != original[0]:
            yield Finding(
                kind="altered",
                subject=path,
                expected=f"mode {original[0]:o}, as in the tree",
                actual=f"mode {file.mode:o}",
                where=step.log,
            )


def _gone(observations: Observations) -> Iterator[Finding]:
    """Yield the tree's paths that are gone."""
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
    """Yield the files that the build made in the source tree and that no .gitignore covers.

    Folders are left out: git knows files alone, and the files in them are found.
    """
    made = observations.made("build")
    new = [path for path in sorted(made.keys() - observations.lower.keys()) if path.startswith(perf.in_cell(""))]
    ignored = IgnoreFiles(observations.ignore)
    for path in new:
        is_content = made[path].type not in ("directory", "whiteout")
        if is_content and not ignored.covers(path.removeprefix(perf.in_cell(""))):
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
