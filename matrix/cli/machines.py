"""worker: this machine takes cells of other machines' runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.options import Certificates, Host, NoInstall, Number, engine_access, machines, progress_console
from matrix.errors import UsageError


def worker(
    scheduler: Annotated[str, typer.Argument(metavar="[ADDRESS]", help="A scheduler of Dask's: tls://HOST:8786.")] = "",
    number: Number = 0,
    name: Annotated[str, typer.Option(help="The worker's name; its machine's and process's without.")] = "",
    certificates: Certificates = None,
    make_certificates: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only make certificates, for all machines, in a new folder.")
    ] = None,
    engine: Host = "", no_install: NoInstall = False,
) -> None:  # fmt: skip
    """Run cells of other machines' runs, which a scheduler gives out, until an interrupt."""
    if make_certificates:
        machines("certificates").make(make_certificates)
        typer.echo(f"certificates: {make_certificates}; whoever has this folder may run code on every worker")
        return
    if not scheduler:
        raise UsageError("a worker needs a scheduler's address", "As tcp://127.0.0.1:8786, of `dask scheduler`.")
    room = machines("worker")
    access = engine_access(engine, progress_console(json_output=False), no_install=no_install)
    room.serve(room.WorkerPlace(scheduler, certificates, name, number), access.host, access.say)
