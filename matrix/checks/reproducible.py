"""reproducible: a second build from scratch, under other circumstances, leaves the same bytes."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf
from matrix.trace.command_lines import maker

if TYPE_CHECKING:
    from matrix.scenario.observations import Observations

NO_ARTEFACT = re.compile(r"(\.log|\.make\.output|\.d|\.cmd|\.pyc|/" + perf.FEATURE_DUMP + r"[^/]*|/\.fixdep[^/]*)$")
"""Logs, dependency files and byte code: they hold the commands and dates of their build, and no artefact is made
of them. They are compared and counted, but a difference in them is no finding."""


MOVED_S = 86400
"""How far apart the clocks of the two builds must at least be, where libfaketime moves the second's."""


def differing(observations: Observations) -> list[str]:
    """Return the files that both builds left with other content, in the order in which the first wrote them."""
    one, two = observations.made("build"), observations.made("build-again")
    both = [
        path
        for path in one.keys() & two.keys()
        if (one[path].type, one[path].content) != (two[path].type, two[path].content)
    ]
    return sorted(both, key=lambda path: (one[path].mtime_ns, path))


def first_difference(observations: Observations) -> str | None:
    """Return the first artefact in build order that differs, or nothing."""
    return next((path for path in differing(observations) if not NO_ARTEFACT.search(path)), None)


def _examine(observations: Observations) -> Examined:
    one, two = observations.made("build"), observations.made("build-again")
    compared = [path for path in one.keys() & two.keys() if one[path].type != "directory"]
    different = differing(observations)
    artefacts = [path for path in different if not NO_ARTEFACT.search(path)]
    findings = [_finding(observations, path, first=path == artefacts[0]) for path in artefacts]
    for path in sorted(one.keys() ^ two.keys()):
        if not NO_ARTEFACT.search(path) and "/__pycache__" not in path:
            where = "first" if path in one else "second"
            findings.append(
                Finding(
                    kind="only-once",
                    subject=path,
                    expected="left by both builds",
                    actual=f"left by the {where} alone",
                )
            )
    if moved := _clock(observations):
        findings.append(moved)
    figures: dict[str, int | float | str] = {
        "compared": len(compared),
        "artefacts that differ": len(artefacts),
        "logs and dependency files that differ": len(different) - len(artefacts),
    }
    return Examined(tuple(findings), len(compared), figures)


def _clock(observations: Observations) -> Finding | None:
    """Return that the second build did not have the other time that it was to have, if it had not."""
    step = observations.steps["build-again"].step
    if "FAKETIME" not in step.environment or not any(command.label == "clock" for command in step.commands):
        return None
    first, second = (_read_clock(observations, place) for place in ("first", "second"))
    if first is not None and second is not None and second - first > MOVED_S:
        return None
    return Finding(
        kind="same-clock",
        subject="build-again",
        expected=f"a clock that libfaketime moved by FAKETIME={step.environment['FAKETIME']}",
        actual=f"{second} seconds since the epoch, after {first} in the first container",
        where=observations.steps["build-again"].log,
    )


def _read_clock(observations: Observations, place: str) -> int | None:
    outputs = [
        ran.output or ""
        for step in observations.steps.values()
        for ran in step.commands
        if step.step.place == place and ran.label == "clock"
    ]
    return int(outputs[0]) if outputs and outputs[0].strip().isdecimal() else None


def _finding(observations: Observations, path: str, *, first: bool) -> Finding:
    made = maker(observations.steps["build"], path)
    evidence = f"made by: {made}" if made else ""
    if first and observations.differences:
        evidence = "\n".join([evidence, *observations.differences]).strip()
    return Finding(
        kind="first-difference" if first else "differs",
        subject=path,
        expected="the same bytes from both builds",
        actual=f"{posixpath.basename(path)} differs",
        evidence=evidence,
        where="logs/diffoscope.txt" if first else observations.steps["build-again"].log,
    )


CHECK = Check(
    name="reproducible",
    summary="a second build from scratch under other circumstances leaves the same bytes",
    owns=("build-again",),
    needs=("build",),
    examine=_examine,
)
