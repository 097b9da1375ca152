"""README and docs/: each command is one that the program takes, each link has its file, each picture is small.

Commands that need no engine are run to their end.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from matrix.cli import app
from matrix.config import load, selection
from matrix.model.cell_id import CellId
from matrix.model.result import Verdict
from matrix.runs.run_settings import RunSettings
from matrix.runs.store import Run
from matrix.trees import git
from tests.in_process import perf_matrix
from tests.unit.results import done

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)
NO_SUBJECT = re.compile(r"(?:^|[.:!?|]\s+|^[-*] )(?:What|That|It)\b.{0,40}", re.M)
"""A sentence that begins with a word in place of its subject."""

LONGEST_README = 150
LARGEST_PICTURE_BYTES = 200_000
CELL = "debian-trixie-min/gcc/minimal@7.3"
HOME = re.compile(r"(~|\$HOME)/linux")
NO_ENGINE = 3


def commands(page: Path) -> list[str]:
    return [line for block in BLOCK.findall(page.read_text()) for line in block.splitlines()]


COMMANDS = sorted({command for page in PAGES for command in commands(page)})


def as_perf_matrix(command: str) -> list[str] | None:
    """Return the words after perf-matrix that a line comes to; `tox -e matrix -- ARGS` is `run ARGS`."""
    words = shlex.split(command)
    if words[0] == "perf-matrix":
        return words[1:]
    if words[:3] == [".venv/bin/tox", "-e", "matrix"]:
        return ["run", *words[4:]]
    return None


def run_name(words: list[str]) -> str:
    return next((word for word in words if re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", word)), "20261101T000000Z-0000")


def recorded(run: Run) -> None:
    """Leave a run with one result, and one that it lacks."""
    run.save_settings(
        RunSettings(
            run=run.name,
            started="",
            tool_version="0",
            trees=("7.3",),
            cells=(CellId(CELL), CellId("i/t/other@7.3")),
            jobs=2,
        )
    )
    loaded = load.load()
    [cell] = selection.select(selection.every(loaded, [loaded.trees["7.3"]]), [CELL])
    run.save(done(of=cell, run=run.name, verdict=Verdict.PASS, checks=()))


def repository(folder: Path) -> Path:
    """Return a repository with the names of the pages: v7.1, my-branch, and v7.mbx beside them."""
    linux = folder / "linux"
    linux.mkdir()
    git.run(linux, "init", "-q", "-b", "my-branch")
    for text in ("one", "two"):
        (linux / "file").write_text(f"{text}\n")
        git.run(linux, "add", ".")
        git.run(linux, "commit", "-q", "-m", text)
    git.run(linux, "tag", "v7.1", "HEAD~1")
    (linux / "v7.mbx").write_bytes(git.run(linux, "format-patch", "--stdout", "-1"))
    return linux


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No engine, and folders of its own."""
    variables = {f"PERF_MATRIX_{name.upper()}": str(tmp_path / name) for name in ("cache", "state", "runtime")}
    return {**os.environ, **variables, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}


def test_the_readme_is_short_and_has_the_two_commands() -> None:
    words = " && ".join(commands(README))
    assert len(README.read_text().splitlines()) <= LONGEST_README
    assert "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox -e matrix" in words
    assert ".venv/bin/tox" in commands(README)


def test_the_readme_has_an_example_of_each_use() -> None:
    firsts = {words[0] for command in commands(README) if (words := as_perf_matrix(command))}
    assert firsts >= {"run", "gate", "bundle", "repro"}


def test_the_pages_have_commands() -> None:
    assert len([command for command in COMMANDS if as_perf_matrix(command)]) >= 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_has_its_file(page: Path) -> None:
    targets = [target for target, _ in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_sentence_of_a_page_has_a_subject(page: Path) -> None:
    assert NO_SUBJECT.findall(CODE.sub("`code`", page.read_text())) == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [README]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = [(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text())]
        waiting += [target for target in targets if target.suffix == ".md" and target not in {*reached, *waiting}]
    assert reached >= set(PAGES)


def test_every_command_is_in_the_page_on_using() -> None:
    page = (ROOT / "docs" / "using.md").read_text()
    commands = getattr(typer.main.get_command(app), "commands", {})
    names = {name for name, command in commands.items() if not command.hidden}
    assert "run" in names
    assert {name for name in names if f"`perf-matrix {name}`" not in page} == set()


def test_every_picture_is_shown_and_small() -> None:
    shown = {(page.parent / target).resolve() for page in PAGES for target, _ in LINK.findall(page.read_text())}
    pictures = [path for path in (ROOT / "docs").iterdir() if path.suffix in (".png", ".svg")]
    assert pictures
    for picture in pictures:
        assert picture in shown
        assert picture.stat().st_size < LARGEST_PICTURE_BYTES


@pytest.mark.parametrize("command", [command for command in COMMANDS if as_perf_matrix(command) is not None])
def test_perf_matrix_takes_it(command: str, environment: dict[str, str]) -> None:
    linux = repository(Path(environment["PERF_MATRIX_STATE"]).parent)
    words = [HOME.sub(str(linux), word) for word in as_perf_matrix(command) or []]
    recorded(Run(Path(environment["PERF_MATRIX_STATE"]) / "runs" / run_name(words)))
    if words[:2] == ["repro", "--from"]:
        assert perf_matrix(("bundle", run_name(words), CELL, "-o", words[2]), environment, linux).status == 0
    ended = perf_matrix(tuple(words), environment, linux)
    needs_engine = words[0] not in ("list", "runs", "plan", "bundle") and "--list" not in words
    assert ended.status == (NO_ENGINE if needs_engine else 0), ended.err
    assert "Traceback" not in ended.err


def test_the_tox_environments_are_there() -> None:
    listed = subprocess.run([sys.executable, "-m", "tox", "list"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"lint", "tests", "matrix"} <= set(re.findall(r"^(\w+) +->", listed.stdout, re.M))


def test_cells_can_be_collected_by_hand(environment: dict[str, str]) -> None:
    [command] = [command for command in COMMANDS if command.startswith("pytest ")]
    words = [word for word in shlex.split(command)[1:] if word not in ("-n", "2")]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--collect-only", "-q"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "test_cell[debian-trixie/gcc/static@7.3:no-op]" in ended.stdout
