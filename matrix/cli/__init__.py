"""The command perf-matrix: its subcommands, and the end of every failure in a message and an exit status."""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matrix import __version__
from matrix.cli.on_demand import OnDemand
from matrix.errors import ExitStatus, MatrixError, UsageError, of_files
from matrix.untrusted import encodable, message, short

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="perf-matrix",
    cls=OnDemand,
    help="Prove that a change to the build of tools/perf is right: real kernel trees, real distro containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # main ends every error, an internal one in a traceback that a report can quote
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Print the version where --version asks for it."""
    if show:
        typer.echo(f"perf-matrix {__version__}")
        raise typer.Exit


def _print_any_text() -> None:
    """Have standard output and error take every text: what their encoding has no bytes for becomes an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_words_that_are_not_utf8(words: Sequence[str]) -> None:
    """Refuse words of the command line that no result could name, as results are JSON, which is UTF-8 (RFC 8259, 8.1).

    Raises:
        UsageError: a word has bytes that are not UTF-8; Python gives them as lone surrogates (PEP 383).

    """
    for word in words:
        if encodable(word) != word:
            raise UsageError(
                f"an argument is not UTF-8: {short(encodable(word))}", "Rename the file or folder, or link to it."
            )


def _refuse_folders_that_are_files() -> None:
    """Refuse a state or cache folder that the environment names and that is a file: it would look like an empty one.

    Raises:
        UsageError: one is.

    """
    for name in ("PERF_MATRIX_STATE", "PERF_MATRIX_CACHE"):
        if Path(os.environ.get(name) or ".").is_file():
            raise UsageError(f"{name} is a file: {short(os.environ[name])}", "Name a folder, or unset the variable.")


def _is_output_closed() -> bool:
    """Return whether nobody reads the output any more, as typer found; it ends with 1 then, which is for a failed cell.

    It puts an object of this class in the place of standard output (_main in typer/core.py).
    """
    return type(sys.stdout).__name__ == "PacifyFlushWrapper"


def main() -> None:
    """Run the command; every failure is a message and an exit status, with a traceback only for an internal error."""
    _print_any_text()
    try:
        _refuse_words_that_are_not_utf8(sys.argv[1:])
        _refuse_folders_that_are_files()
        app()
    except SystemExit:
        if _is_output_closed():
            sys.exit(ExitStatus.OUTPUT_CLOSED)
        raise
    except MatrixError as error:
        typer.echo(message(f"perf-matrix: {error.message}", error.hint), err=True)
        sys.exit(error.status)
    except KeyboardInterrupt:
        typer.echo("perf-matrix: interrupted", err=True)
        sys.exit(ExitStatus.INTERRUPTED)
    except OSError as error:  # of a path of the user's, mostly; no traceback for a full disk
        of_ours = of_files(error)
        typer.echo(message(f"perf-matrix: {of_ours.message}", of_ours.hint), err=True)
        sys.exit(ExitStatus.INFRASTRUCTURE)
    except Exception:  # noqa: BLE001 - Python's own status for it is 1, which says that cells failed
        typer.echo(message(traceback.format_exc()), err=True)
        typer.echo("perf-matrix: internal error\n  Report it as a bug, with the lines above.", err=True)
        sys.exit(ExitStatus.INFRASTRUCTURE)
