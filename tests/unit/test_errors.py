from __future__ import annotations

import errno

import pytest

from matrix import paths
from matrix.errors import ExitStatus, InfrastructureError, MatrixError, UsageError, from_system, of_files


def test_an_error_says_what_and_what_to_do() -> None:
    assert str(UsageError("no tree 'x'", "Name one.")) == "no tree 'x'\n  Name one."
    assert str(UsageError("no tree 'x'")) == "no tree 'x'"


def test_an_error_ends_the_program_with_the_status_of_its_kind() -> None:
    assert (UsageError.status, ExitStatus.USAGE) == (2, 2)
    assert (InfrastructureError.status, ExitStatus.INFRASTRUCTURE) == (3, 3)
    assert issubclass(UsageError, MatrixError)


@pytest.mark.parametrize("name", ["cache", "state", "runtime"])
def test_a_variable_says_where_things_are_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"PERF_MATRIX_{name.upper()}", "/elsewhere")
    assert str(getattr(paths, name)()) == "/elsewhere"
    monkeypatch.setenv(f"PERF_MATRIX_{name.upper()}", "")
    assert getattr(paths, name)().name == "perf-build-matrix"


def test_the_engines_socket_is_in_the_folder_of_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", "/elsewhere")
    assert str(paths.engine_socket()) == "/elsewhere/engine.sock"


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOENT, UsageError), (errno.EACCES, UsageError), (errno.EIO, InfrastructureError), (None, UsageError)],
)
def test_a_path_is_its_users_and_a_broken_disk_the_machines(number: int | None, kind: type[MatrixError]) -> None:
    error = OSError(number, "words") if number else OSError("words")
    assert type(from_system("it cannot be read", "Mend it.", error)) is kind


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device\n  Free some for state, cache"),
        (OSError(errno.ENOSPC, "No space", "/state/x"), "No space left on device: /state/x\n  Free some for state,"),
        (OSError(errno.EROFS, "Read-only", "/state/x"), "[Errno 30] Read-only: '/state/x'\n  Check the path,"),
    ],
)
def test_a_full_disk_is_told_with_what_to_free(error: OSError, sentence: str) -> None:
    assert str(of_files(error)).startswith(sentence)
