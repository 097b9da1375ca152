"""The product: every check on every selected cell, on real trees in real containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.runs.assertion import assert_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.model.cell import Cell
    from matrix.model.result import CellResult


@pytest.mark.cell
def test_cell(cell_check: tuple[Cell, str], run_cell: Callable[[Cell], CellResult]) -> None:
    cell, check = cell_check
    assert_check(run_cell(cell), check)
