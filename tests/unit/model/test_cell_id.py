from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from matrix.model.cell_id import CellId, Place


def test_a_cells_id_has_a_place_and_a_tree() -> None:
    one = CellId("debian-trixie/gcc/static@7.3+edit")
    assert (one.place, one.tree) == ("debian-trixie/gcc/static", "7.3+edit")
    assert (one.place.image, one.place.toolchain, one.place.build) == ("debian-trixie", "gcc", "static")
    assert one.place.on("7.3+edit") == one


@pytest.mark.parametrize("text", ["", "a", "a/b", "a/b/c/d", "a//c", "a/b/c@7.3"])
def test_a_place_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="IMAGE/TOOLCHAIN/BUILD"):
        Place(text)


@pytest.mark.parametrize("text", ["", "a/b/c", "a/b/c@", "a/b/c@1@2", "a/b/c@../x", "a/b@7.3"])
def test_an_id_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="IMAGE/TOOLCHAIN/BUILD@TREE"):
        CellId(text)


def test_an_id_is_a_string_for_json() -> None:
    ids = TypeAdapter(CellId)
    read = ids.validate_json('"a/b/c@7.3"')
    assert isinstance(read, CellId)
    assert ids.dump_json(read) == b'"a/b/c@7.3"'
    assert ids.json_schema() == {"type": "string"}
    with pytest.raises(ValidationError):
        ids.validate_json('"lost"')
