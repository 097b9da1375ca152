from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from matrix.reports import Report, build, formats
from tests.unit.conftest import result

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "report.schema.json"


def test_the_schema_in_the_repository_is_that_of_the_report() -> None:
    assert json.loads(SCHEMA.read_text()) == Report.model_json_schema()


def test_a_report_for_machines_follows_the_schema() -> None:
    report = build("r1", "/r", ["7.3"], ["a/b/c@7.3", "lost"], [result("a/b/c@7.3")])
    data = json.loads(formats.registry()["json"].render(report))
    jsonschema.validate(data, json.loads(SCHEMA.read_text()))
    assert (data["run"], data["tree"], data["missing"]) == ("r1", "7.3", ["lost"])
    assert data["cells"][0]["id"] == "a/b/c@7.3"
    assert {"image", "verdict", "steps", "checks"} <= data["cells"][0].keys()
