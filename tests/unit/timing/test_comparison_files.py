from __future__ import annotations

import json
from typing import TYPE_CHECKING

from matrix.timing import comparison_files
from matrix.verdicts.comparison import ComparisonRun
from tests.unit.conftest import session

if TYPE_CHECKING:
    from pathlib import Path


def test_a_session_is_kept_and_found_newest_first_without_what_is_none(places: Path) -> None:
    assert list(comparison_files.comparisons()) == []
    for name in ("20261123T200000Z", "20261124T200000Z"):
        path = comparison_files.save(session(name=name))
        assert ComparisonRun.model_validate(json.loads(path.read_text()), strict=False).name == name
    path.with_name("3.json").write_text("{}")
    assert path.is_relative_to(places)
    assert [one.name for one in comparison_files.comparisons()] == ["20261124T200000Z", "20261123T200000Z"]
