"""The environments in which a cell's builds run, and Python's start method as one forces it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.scenario import perf

if TYPE_CHECKING:
    from matrix.model.cell import Cell

# Fixed, so that it is the same in every image: some set another in their own environment.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of_builds(cell: Cell) -> dict[str, dict[str, str]]:
    """Return the environment of the first build and that of the second, which differs in every circumstance it may.

    Keys are `first` and `second`. A build is reproducible where its bytes depend on none of these values.
    """
    first = {
        "PATH": PATH,
        "HOME": "/tmp/home",  # noqa: S108 - inside the cell
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",  # fixed: by default each process has another, and orders of sets differ by chance
    }
    # Without a prefix Makefile.config takes the home folder for it, and perf has its paths: it is no circumstance then.
    has_prefix = "prefix" in cell.make or "prefix" in cell.build.environment
    home = "/tmp/elsewhere" if has_prefix else first["HOME"]  # noqa: S108 - inside the cell
    second = {
        **first,
        "HOME": home,
        "LC_ALL": "fr_FR.UTF-8",
        "TZ": "XST-13:45",  # hours and minutes, and mostly another day
        "PYTHONHASHSEED": "4711",
    }
    if "faketime" in cell.image.packages:
        # $LIB is for ld.so(8): the folder of the library differs from distribution to distribution. 400 days are
        # another year, too. Make and Python wait by the monotonic clock and hang with a false one
        # (https://github.com/wolfcw/libfaketime/issues/390); the second name is that of older releases
        # (https://github.com/wolfcw/libfaketime/pull/49).
        second |= {
            "LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1",
            "FAKETIME": "+400d",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    if cell.build.output_word.startswith(".."):
        # tools/scripts/Makefile.include finds a relative O= from there; a shell sets it (POSIX.1-2017, XCU 2.5.3).
        first["PWD"] = second["PWD"] = perf.SOURCE
    return {name: {**env, **cell.build.environment} for name, env in (("first", first), ("second", second))}


def forced(environment: dict[str, str], start_method: str) -> dict[str, str]:
    """Return an environment in which Python's multiprocessing has a start method, whatever a program asks for."""
    return {**environment, "PYTHONPATH": "/agent/start-method", "PERF_MATRIX_START_METHOD": start_method}
