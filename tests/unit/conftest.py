"""Builds cells and observations from records as the agent writes them, for the tests of this folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.build import Build
from matrix.model.cell import Cell as ModelCell
from matrix.model.cell import Limits
from matrix.model.cell_id import CellId
from matrix.model.image import Base, Image
from matrix.model.known_failure import KnownFailure
from matrix.model.result import CellResult, ImageIdentity, TreeIdentity, Verdict
from matrix.model.tree import Tree
from matrix.scenario import plan
from matrix.scenario.elf_facts import ElfFacts, Symbol
from matrix.scenario.transcript import StepRecord, Transcript
from matrix.verdicts import paired_ratios
from matrix.verdicts.comparison import Arm, ComparisonRun, MeasureResult, Sample, Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matrix.scenario.observations import Observations

Record = list[Any]
PERF = "/src/tools/perf"
ROOTS = {"/src": "source", "/out": "output", plan.GENERATED: "generated"}
EPOCH = 1_700_000_000.0


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep caches and runs of a test below a folder of its own, and return it."""
    monkeypatch.setenv("PERF_MATRIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path / "state"))
    return tmp_path


def image(name: str = "debian-trixie", **more: Any) -> Image:
    values = {"packages": ("gcc",), "toolchains": {"gcc": {}}, **more}
    return Image(name=name, summary=name, base=Base(pull="debian:trixie"), **values)


def build(name: str = "default", **more: Any) -> Build:
    return Build(name=name, summary=name, **more)


def tree(name: str = "7.3", **more: Any) -> Tree:
    return Tree(name=name, **{"source": "deb:linux-source-7.3@trixie", **more})


def cell(*, of: Image | None = None, toolchain: str = "gcc", what: Build | None = None,
         on: Tree | None = None) -> ModelCell:  # fmt: skip
    return ModelCell(image=of or image(), toolchain=toolchain, build=what or build(), tree=on or tree())


def file(path: str, content: str = "1", *, kind: str = "file", mode: int = 0o644, ino: int = 1,
         at: float = EPOCH, **more: Any) -> Record:  # fmt: skip
    """Return the agent's record of a file, by its path inside the cell."""
    top = next(top for top in ROOTS if path == top or path.startswith(f"{top}/"))
    facts = {"mode": mode, "size": len(content), "mtime_ns": int(at * 1e9), "ino": ino, "content": content, **more}
    return ["file", ROOTS[top], path.removeprefix(top).strip("/") or ".", {**facts, "type": kind}]


def process(index: int, *argv: str, parent: int | None = None, start: float = EPOCH - 1,
            end: float | None = EPOCH + 1, cwd: str = PERF, status: int | None = 0, **more: Any) -> Record:  # fmt: skip
    """Return the agent's record of a process; without words it is a fork that ran no program."""
    facts = {
        "parent": parent,
        "start": start,
        "end": end,
        "argvs": [list(argv)] if argv else [],
        "cwd": cwd,
        "cpu_ns": 0,
        "rss_kib": 0,
        "status": status,
        "threads": 1,
        **more,
    }
    return ["process", index, facts]


def command(label: str = "make", *argv: str, exit_status: int = 0, **more: Any) -> Record:
    facts = {
        "label": label,
        "argv": list(argv or ("make",)),
        "exit_status": exit_status,
        "began": EPOCH,
        "wall_s": 1.5,
        "user_s": 1.0,
        "system_s": 0.5,
        "rss_bytes": 1 << 20,
        "traced": True,
        "timed_out": False,
        "free_bytes": 1 << 30,
        "left_running": [],
        "log_dropped_bytes": 0,
        "output": None,
    }
    return ["command", {**facts, **more}]


def mention(path: str, *words: str) -> Record:
    _, root, relative, _ = file(path)
    return ["mention", root, relative, list(words)]


def end(*, oom_kills: int = 0, fork_failures: int = 0) -> Record:
    return ["end", {"oom_kills": oom_kills, "fork_failures": fork_failures}]


def records(given: Sequence[Record]) -> list[Record]:
    """Return the records of a whole step: with a command and an end where `given` has none of its own."""
    kinds = [record[0] for record in given]
    whole = list(given)
    if "command" not in kinds:
        processes = sorted(whole, key=lambda record: record[0] != "process")
        whole = [*processes[: kinds.count("process")], command(), *processes[kinds.count("process") :]]
    return whole if "end" in kinds else [*whole, end()]


def step(name: str, *given: Record, of: ModelCell | None = None, error: str = "",
         missing: tuple[str, ...] = ()) -> StepRecord:  # fmt: skip
    """Return one step of a cell's scenario as it is recorded."""
    planned = next(step for step in plan.scenario(of or cell()).steps if step.name == name)
    return StepRecord(step=planned, log=f"logs/{name}.log", error=error, records=records(given), missing=missing)


def observations(of: ModelCell | None = None, steps: Mapping[str, Sequence[Record]] | None = None, *,
                 errors: Mapping[str, str] | None = None, missing: Mapping[str, tuple[str, ...]] | None = None,
                 omit: Sequence[str] = (), **more: Any) -> Observations:  # fmt: skip
    """Return the observations of a cell whose steps left these records; the others ran and left nothing.

    They go through JSON, as those of a saved transcript do.
    """
    scenario = plan.scenario(of or cell())
    kept = [
        step(
            planned.name,
            *(steps or {}).get(planned.name, ()),
            of=of,
            error=(errors or {}).get(planned.name, ""),
            missing=(missing or {}).get(planned.name, ()),
        )
        for planned in scenario.steps
        if planned.name not in omit
    ]
    values = {"ignore": {}, "generator_has_pool": True, **more}
    base = values.pop("base", None)
    saved = Transcript(scenario=scenario, steps=kept, **values).model_dump(mode="json")
    return Transcript.model_validate_json(json.dumps(saved)).observations(base=base)


def elf(path: str = f"{PERF}/perf", *symbols: Symbol, **more: Any) -> dict[str, ElfFacts]:
    return {path: ElfFacts(path=path, **{"kind": "ET_DYN", "symbols": symbols, **more})}


def session(ratio: float = 1.0, *, name: str = "1", place: str = "i/gcc/b", measure: str = "build",
            base: str = "old", head: str = "7.3", **more: Any) -> ComparisonRun:  # fmt: skip
    """Return a session of six rounds in which the head took about `ratio` of the base's ten seconds."""
    noise = (1.0, 1.001, 0.999, 1.002, 0.998, 1.0005)
    base_s, again_s = [10 * one for one in noise], [10 * one for one in reversed(noise)]
    head_s = [10 * ratio * one for one in (*noise[3:], *noise[:3])]
    arms: dict[Arm, list[float]] = {"base": base_s, "again": again_s, "head": head_s}
    samples = tuple(
        Sample(measure=measure, round=number, arm=arm, wall_s=wall_s, user_s=wall_s, system_s=1.0, load=0.5)
        for arm, times in arms.items()
        for number, wall_s in enumerate(times)
    )
    came_to = paired_ratios.compare(measure, base_s, again_s, head_s)
    values = {
        "started": "2026-11-23T20:00:00Z", "tool_version": "0", "jobs": 2, "pairs": 6, "seed": 0, "limits": Limits(),
        "pinned": "", "host": {"cpus": "2"},
        "image": ImageIdentity(name="i", tag="t", digest="d", base="b"),
        "base": Side(tree=TreeIdentity(name=base, source=base, sha256="0", version="0", origin="o")),
        "head": Side(tree=TreeIdentity(name=head, source=head, sha256="1", version="1", origin="o")),
        "samples": samples,
        "measured": (MeasureResult(comparison=came_to, base_cpu_s=11.0, head_cpu_s=11.0 * ratio),),
        **more,
    }  # fmt: skip
    return ComparisonRun(name=name, place=place, **values)


def known(check: str, *findings: str, **more: Any) -> KnownFailure:
    values = {"trees": ("*",), "cells": ("*",), "why": "the tree's own fault", "evidence": "a log", **more}
    return KnownFailure(check=check, findings=findings, **values)


def result(name: str = "debian-trixie/gcc/default@7.3", verdict: Verdict = Verdict.PASS, **more: Any) -> CellResult:
    return CellResult(id=CellId(name), run="r1", tool_version="0", verdict=verdict, **more)
