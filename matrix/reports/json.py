"""The report for machines; its schema is docs/report.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.reports import Report


def render(report: Report) -> str:
    """Return the report as JSON."""
    return report.model_dump_json(indent=2) + "\n"
