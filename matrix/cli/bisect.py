"""bisect: the commit that made a check fail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.options import (
    Configs,
    Host,
    Jobs,
    Json,
    NoInstall,
    Number,
    Repository,
    engine_access,
    print_json,
    progress_console,
)
from matrix.config import load
from matrix.untrusted import message, one_line


def bisect(
    good: Annotated[str, typer.Option(help="A revision where the check did not fail.")],
    bad: Annotated[str, typer.Option(help="A later one where it does.")],
    select: Annotated[str, typer.Option("--select", "-s", help="The cell to run, as debian-trixie/gcc/static.")],
    check: Annotated[str, typer.Option(help="The check that fails.")],
    repo: Repository = None, configs: Configs = [], number: Number = 0, jobs: Jobs = 0, engine: Host = "",
    no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Find the commit that made a check fail, through `git bisect run`, in a repository of our own."""
    from matrix.series import bisect

    # Progress on standard error even without --json: git's own goes there, and the answer alone is the output.
    access = engine_access(engine, progress_console(json_output=True), no_install=no_install)
    request = bisect.BisectRequest(good, bad, select, check, (repo or Path()).resolve(), tuple(configs))
    found = bisect.first_bad_commit(request, load.load(configs), number, jobs, access)
    if json_output:
        names = {"run": found.run.name, "check": check}
        print_json({**names, "commit": found.commit, "author": found.author, "subject": found.subject})
        return
    commit = f'{found.commit[:12]} ("{found.subject}", {found.author})'
    typer.echo(one_line(f"{commit} is the first at which {check} newly fails in {found.place}"))
    typer.echo(one_line(f"run: {found.run.folder}"))


def bisect_step(
    run: Annotated[str, typer.Argument()],
    engine: Annotated[str, typer.Argument()] = "",
    no_install: NoInstall = False,
) -> None:
    """Tell `git bisect run` whether the commit at BISECT_HEAD is good (0), bad (1) or cannot be tested (125).

    The statuses are those of git-bisect(1); any other up to 127 would make the commit a bad one.
    """
    from matrix.reports.terminal import console
    from matrix.runs import store
    from matrix.series import bisect

    # `git bisect run` prints this program's standard output among its own, which the command above keeps to itself.
    progress = console(stderr=True, soft_wrap=True)
    try:
        access = engine_access(engine, progress, no_install=no_install)
        bisection = bisect.resume(store.find(run))
        status = bisect.status_at(bisection, bisect.bisected_commit(), access)
    except Exception as error:  # noqa: BLE001 - git takes any other end for a bad commit
        typer.echo(message(f"perf-matrix: {error}"), err=True)
        status = bisect.BisectStatus.STOP
    raise typer.Exit(status)
