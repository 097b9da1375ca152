from __future__ import annotations

from typing import Any

import pytest

from matrix.engine import images

pytestmark = pytest.mark.usefixtures("places")


class FakeEngine:
    """An engine whose images have one package."""

    def script(self, *_: Any, **__: Any) -> tuple[int, bytes]:
        return 0, b"gcc 4:14.2.0-1\n"


def test_the_packages_of_an_image_are_listed_once_saying_so() -> None:
    engine: Any = FakeEngine()
    said: list[str] = []
    for _ in range(2):
        assert images._packages("tag:1", "sha256:4711", engine, said.append) == {"gcc": "4:14.2.0-1"}
    assert said == ["listing the packages of tag:1"]
