from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.engine import backends
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from pathlib import Path


def test_where_no_engine_answers_it_says_where_was_looked_and_what_to_do(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/no.sock"
    with pytest.raises(InfrastructureError, match=r"(?s)no container engine answers.*engine up") as caught:
        backends.connect(host)
    assert host in str(caught.value)
