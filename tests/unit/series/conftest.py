"""A repository with a series of patches, and fakes of the engine and of the runner: nothing here builds anything."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from matrix.model.result import CellResult, CheckResult, Finding, Predecessor, TreeIdentity, Verdict
from matrix.runs import completion
from matrix.runs.engine_access import EngineAccess
from matrix.trees import git, volumes
from matrix.trees.facts import TreeFacts
from matrix.trees.volumes import PreparedTree
from tests.unit.conftest import result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.model.cell_id import CellId
    from matrix.model.tree import Tree
    from matrix.runs.store import Run

FILES = {
    "base": {"tools/perf/MANIFEST": "tools/perf\n", "tools/perf/util/evsel.c": "int a;\n", "README": "one\n"},
    "Change a C source": {"tools/perf/util/evsel.c": "int a;\nint b;\n"},
    "Change the documentation": {"README": "one\ntwo\n"},
    "Change a makefile": {"tools/perf/Makefile.perf": "all:\n"},
    "Change the C source again": {"tools/perf/util/evsel.c": "int a;\nint b;\nint c;\n"},
}
SUBJECTS = tuple(FILES)[1:]


@dataclass(frozen=True)
class Repository:
    """A repository of the user's, with the commits of FILES in order."""

    folder: Path
    commits: tuple[str, ...]

    @property
    def series(self) -> str:
        return f"{self.commits[0]}..{self.commits[-1]}"


@pytest.fixture
def repository(tmp_path: Path, places: Path) -> Repository:
    del places
    folder = tmp_path / "linux"
    folder.mkdir()
    git.run(folder, "init", "-q")
    commits = []
    for subject, files in FILES.items():
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git.run(folder, "add", "-A", "-f")
        git.run(folder, "commit", "-q", "-m", subject)
        commits.append(git.commit(folder, "HEAD"))
    return Repository(folder, tuple(commits))


class FakeAccess(EngineAccess):
    """An access to no engine, which nothing is asked of."""

    def connect(self) -> Any:
        return object()

    @property
    def said(self) -> str:
        out = self.console.file
        assert isinstance(out, io.StringIO)
        return out.getvalue()


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> FakeAccess:
    def prepare(tree: Tree, *_: Any) -> PreparedTree:
        identity = TreeIdentity(name=tree.name, source=tree.source, sha256="5" * 64, version="7.3", origin="o")
        facts = TreeFacts(identity.sha256, identity.version, {}, {}, generator_has_pool=False)
        return PreparedTree(identity, (), facts)

    monkeypatch.setattr(volumes, "prepare", prepare)
    return FakeAccess(None, Console(file=io.StringIO()))


def outcome(cell_id: CellId, keys: tuple[str, ...], verdict: Verdict | None = None, on: str = "") -> CellResult:
    """Return a cell's result: its check `clean` fails with these subjects; `on` is the build that it went on with."""
    findings = tuple(Finding(kind="left", subject=key, expected="none", actual="one") for key in keys)
    check = CheckResult(check="clean", verdict=Verdict.FAIL if keys else Verdict.PASS, findings=findings, examined=1)
    gone_on = Predecessor(tree=on, touched=("a.c",)) if on else None
    tree = TreeIdentity(name=cell_id.tree, source="git:x", sha256="5" * 64, version="7.3", origin="o")
    return result(
        cell_id, verdict or check.verdict, checks=(check,), reason="why", gone_on=gone_on, tree=tree
    )  # fmt: skip


@dataclass
class FakeComplete:
    """Stands in for `completion.complete`: gives each cell without a result one, by the name of its tree.

    `broken` maps trees to what newly fails on them. `continued` maps trees to the tree whose build their first result
    goes on with, `hidden` those to what that result has in place of `broken`.
    """

    broken: dict[str, tuple[str, ...]] = field(default_factory=dict)
    continued: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    rounds: list[list[str]] = field(default_factory=list)

    def __call__(self, run: Run, number: int, access: EngineAccess, **_: Any) -> None:
        del number, access
        lacking = [cell_id for cell_id in run.settings().cells if run.result(cell_id) is None]
        self.rounds.append([cell_id.tree for cell_id in lacking])
        for cell_id in lacking:
            run.save(self.result(cell_id))

    def result(self, cell_id: CellId) -> CellResult:
        tree = cell_id.tree
        if tree in self.failed:
            return outcome(cell_id, (), Verdict.ERROR)
        on = self.continued.pop(tree, "")
        return outcome(cell_id, self.hidden[tree] if on else self.broken.get(tree, ()), on=on)


@pytest.fixture
def completes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeComplete]:
    def install(**facts: Any) -> FakeComplete:
        fake = FakeComplete(**facts)
        monkeypatch.setattr(completion, "complete", fake)
        return fake

    return install
