"""The report for machines; its schema is docs/report.schema.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.reports.formats import Format
from matrix.untrusted import json_text

if TYPE_CHECKING:
    from matrix.reports import Report


def render(report: Report) -> str:
    """Return the report as JSON."""
    return json_text(report.model_dump(mode="json"))  # in lines, so that two reports can be diffed


FORMAT = Format(name="json", file_name="gate.json", render=render)
