"""The end of the command in an exit status."""

from __future__ import annotations

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
