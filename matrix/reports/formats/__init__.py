"""The formats of a run's report: one module each, found by listing this folder. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.registry import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.reports import Report


@dataclass(frozen=True)
class Format:
    """A format of reports: each module of this folder makes one, under the name `FORMAT`."""

    # Its name for `perf-matrix report --format`: that of its module.
    name: str

    # The name of the file that `perf-matrix gate --output` writes it into.
    file_name: str

    # The whole report as text that ends in a newline. Every text in a report may come from a cell or from another
    # machine: what it shows of them goes through the function of matrix.untrusted for such a format first.
    render: Callable[[Report], str]


def registry() -> dict[str, Format]:
    """Return every format by its name, in the order of the names."""
    return {report_format.name: report_format for report_format in load(__name__, "FORMAT", Format).values()}
