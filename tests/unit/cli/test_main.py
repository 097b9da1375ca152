"""The end of the command in an exit status."""

from __future__ import annotations

import io
import sys

import pytest

from matrix import cli


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
