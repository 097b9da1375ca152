"""The report for machines; its schema is docs/report.schema.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from matrix.reports.formats import Format

if TYPE_CHECKING:
    from matrix.reports import Report


def render(report: Report) -> str:
    """Return the report as JSON."""
    return json.dumps(report.model_dump(mode="json"), indent=2) + "\n"  # indented, so that two reports can be diffed


FORMAT = Format(name="json", file_name="gate.json", render=render)
