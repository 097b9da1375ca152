"""The end of the command in an exit status."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from matrix import cli

if TYPE_CHECKING:
    from pathlib import Path


def test_an_internal_error_has_its_traceback_and_is_no_failed_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("\x1b[2Jbuild")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    written = capsys.readouterr().err
    assert ended.value.code == 3
    assert written.startswith("Traceback (most recent call last):\n")
    assert "KeyError" in written
    assert "\x1b" not in written
    assert written.endswith("perf-matrix: internal error\n  Report it as a bug, with the lines above.\n")


def test_a_word_that_is_not_utf8_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["perf-matrix", "list", "--tree", "dir:/tmp/caf\udce9"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("perf-matrix: an argument is not UTF-8: dir:/tmp/caf\\xe9\n")


@pytest.mark.parametrize("variable", ["PERF_MATRIX_STATE", "PERF_MATRIX_CACHE"])
def test_a_folder_of_ours_that_is_a_file_is_no_empty_one(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, f"{tmp_path}/file")
    monkeypatch.setattr(sys, "argv", ["perf-matrix", "runs"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"perf-matrix: {variable} is a file: {tmp_path}/file\n")


@pytest.mark.parametrize(
    "words", [["list", "--profile", "full"], ["list", "--json"], ["plan", "debian-trixie/gcc/minimal@7.3"]]
)
def test_output_that_nobody_reads_is_no_failed_cell(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:  # noqa: PTH123 - a descriptor
        done = subprocess.run(
            [sys.executable, "-m", "matrix", *words], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["run", "--durations", "x"], "--durations goes with --shard"),
        (["gate", "--base", "7.2", "--head", "7.3", "--durations", "x"], "--durations goes with --shard"),
        (["run", "--certificates", "/nowhere"], "--certificates goes with --scheduler"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    words: list[str], refusal: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["perf-matrix", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert refusal in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_text_that_the_terminals_encoding_lacks_is_printed_with_escapes(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["perf-matrix"])
    monkeypatch.setattr(cli, "app", lambda: print("\N{SNOWMAN} \udcff"))  # noqa: T201 - any text, in any way
    cli.main()
    out.flush()
    assert out.buffer.getvalue() == {"utf-8": b"\xe2\x98\x83 \\udcff\n"}.get(encoding, b"\\u2603 \\udcff\n")
