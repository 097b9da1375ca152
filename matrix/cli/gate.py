"""gate: the findings that a tree has and its base has not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matrix.cli.options import (
    Certificates,
    Configs,
    Durations,
    Exclude,
    Fresh,
    Host,
    Jobs,
    Json,
    NoInstall,
    Number,
    ProfileName,
    Resume,
    Scheduler,
    Select,
    ShardWords,
    access_of,
    print_report,
    progress_console,
    results_of,
    resumed,
    selection,
)
from matrix.config import load
from matrix.errors import UsageError

TREE = "A tree: 7.3, git:PATH@REV, dir:PATH, tar:FILE-or-URL, deb:PACKAGE@SUITE."


def gate(
    base: Annotated[str, typer.Option("--base", help=TREE)] = "",
    head: Annotated[str, typer.Option("--head", help=TREE)] = "",
    select: Select = [], exclude: Exclude = [], profile: ProfileName = "gate", configs: Configs = [],
    timing: Annotated[bool, typer.Option(help="Measure for the profile's requirements on times, too.")] = True,
    pairs: Annotated[int, typer.Option(help="Rounds that are measured.", min=1)] = 20,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write every report there, too.")] = None,
    number: Number = 0, jobs: Jobs = 0, shard: ShardWords = "", durations: Durations = "", fresh: Fresh = False,
    resume: Resume = "", scheduler: Scheduler = "", certificates: Certificates = None,
    engine: Host = "", no_install: NoInstall = False, json_output: Json = False,
) -> None:  # fmt: skip
    """Fail for the findings that HEAD has and BASE has not; list those that both have, and those that are mended."""
    from matrix.runs import locks, run_report
    from matrix.series import gate

    console = progress_console(json_output=json_output)
    access = access_of(engine, console, scheduler, certificates, jobs, no_install=no_install)
    _refuse_no_folder(output)  # now, and not after the hours of the run
    config = None
    if resume:
        this = resumed(resume, "gate")
    else:
        if not (base and head):
            raise UsageError("a gate needs --base and --head", "As --base git:.@v7.1 --head git:.@my-branch.")
        asked = selection(configs, select, exclude, profile, [head], base)
        config = load.load(configs)
        this = gate.begin(
            asked, config, pairs if timing else 0, number, jobs, shard=shard, earlier=results_of(durations, shard)
        )
    with locks.doing(this):
        if fresh:
            this.reuse_nothing()
        gate.complete(this, number, access, config)
    report = run_report.of_run(this)
    if output:
        gate.write_reports(report, output)
        access.say(f"reports: {output}")
    print_report(report, console, json_output=json_output)


def _refuse_no_folder(output: Path | None) -> None:
    if output and output.exists() and not output.is_dir():
        raise UsageError(f"{output} is no folder", "--output names the folder for the reports.")
