"""doctor, engine and clean: the needs of the matrix, its private engine and its leftovers on this machine."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

import typer

from matrix.cli.options import Host, Json, NoInstall, forbid_install, print_json, print_parts
from matrix.errors import ExitStatus
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.engine.api import Resource

engine_app = typer.Typer(
    help="Start, stop or look at a container engine of the matrix's own.", no_args_is_help=True, add_completion=False
)


def doctor(engine: Host = "", json_output: Json = False) -> None:
    """List the matrix's needs of this machine, whether each is met, and what to do about one that is not."""
    from matrix.engine import doctor
    from matrix.reports.tables import machine
    from matrix.reports.terminal import console

    needs = doctor.examine(engine or None)
    if json_output:
        print_json([{"what": need.what, "ok": need.is_met, "found": need.found} for need in needs])
    else:
        console(soft_wrap=True).print(machine.needs(needs))
    _exit(all(need.is_met for need in needs))


def clean(
    everything: Annotated[bool, typer.Option("--all", help="Also the caches: images, trees, downloads.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the things that would be removed.")] = False,
    engine: Host = "", json_output: Json = False,
) -> None:  # fmt: skip
    """Remove the containers and volumes that ended runs left in the engine, after a list of them."""
    from matrix.engine import backends
    from matrix.runs import cleaning, ownership

    if everything and not dry_run:
        cleaning.refuse_beside_work()
    connected = backends.connect(engine or None, ownership.label())
    found = cleaning.removable(connected, caches=everything)
    _print_removals(found, dry_run=dry_run, json_output=json_output)  # before, as a removal may fail half-way
    if not dry_run:
        cleaning.remove(found, connected)


def _print_removals(found: Sequence[Resource], *, dry_run: bool, json_output: bool) -> None:
    from matrix.reports.tables import machine
    from matrix.reports.terminal import console

    if json_output:
        print_json(
            [
                {"kind": item.kind, "name": item.name, "purpose": item.purpose, "size_bytes": item.size_bytes}
                for item in found
            ]
        )
        return
    print_parts(machine.removals(found, dry_run=dry_run), console())
    typer.echo(count(len(found), "thing") if found else "nothing to remove", err=True)


@engine_app.command("up")
def engine_up(
    kind: Annotated[str, typer.Option(help="docker or podman; without it the first that is installed.")] = "",
    no_install: NoInstall = False,
) -> None:
    """Start a private dockerd or Podman unless it runs; as root on Debian, install it first, saying so."""
    from matrix.engine import private_engine

    forbid_install(no_install)
    now = private_engine.up(typer.echo, kind)
    typer.echo(f"running: DOCKER_HOST=unix://{now.socket} (process {now.pid}, data in {now.data})")


@engine_app.command("down")
def engine_down() -> None:
    """Stop the private engine, and nothing else."""
    from matrix.engine import private_engine

    was_running = private_engine.down(functools.partial(typer.echo, err=True))  # progress, beside the answer
    typer.echo("stopped" if was_running else "it was not running")


@engine_app.command("status")
def engine_status(json_output: Json = False) -> None:
    """Print whether the private engine runs, and where."""
    from matrix.engine import private_engine

    now = private_engine.status()
    running = now.pid is not None
    if json_output:
        print_json(
            {"running": running, "kind": now.name, "pid": now.pid, "socket": str(now.socket), "data": str(now.data)}
        )
    else:
        state = f"running {now.name} (process {now.pid})" if running else "not running"
        typer.echo(f"{state}\nsocket: {now.socket}\ndata: {now.data}\nlog: {now.log}")
    _exit(running)


def _exit(fine: bool) -> None:
    raise typer.Exit(ExitStatus.OK if fine else ExitStatus.INFRASTRUCTURE)
