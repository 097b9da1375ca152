from __future__ import annotations

from typing import Any

import pytest

from matrix.engine import doctor, limits
from matrix.engine.api import SCRIPT_MEMORY_BYTES, SCRIPT_PIDS, Resource

ALL = f"memory {SCRIPT_MEMORY_BYTES}\nprocesses {SCRIPT_PIDS}\n"


class Engine:
    """An engine whose scripts print a text."""

    def __init__(self, text: str, status: int = 0, images: tuple[str, ...] = ("one:1",)) -> None:
        self.answer = (status, text.encode())
        self.images = images

    def script(self, image: str, _text: str, *, network: bool) -> tuple[int, bytes]:
        assert image == "one:1"
        assert not network
        return self.answer

    def resources(self) -> list[Resource]:
        return [Resource("volume", "v", "image", ""), *(Resource("image", name, "image", "") for name in self.images)]


@pytest.mark.parametrize(
    ("text", "status", "lacking"),
    [
        (ALL, 0, ()),
        ("memory max\nprocesses max\n", 0, ("memory", "processes")),
        (f"memory 9223372036854771712\nprocesses {SCRIPT_PIDS}\n", 0, ("memory",)),
        ("memory \nprocesses \n", 0, ("memory", "processes")),
        (ALL, 1, ("memory", "processes")),
    ],
)
def test_a_limit_is_enforced_where_the_kernel_has_it(text: str, status: int, lacking: tuple[str, ...]) -> None:
    engine: Any = Engine(text, status)
    assert limits.unenforced(engine) == lacking
    need = doctor._limits(engine)
    assert need.is_met == (not lacking)
    assert all(name in need.found for name in lacking)


def test_the_doctor_does_not_guess_at_limits_without_an_image() -> None:
    engine: Any = Engine(ALL, images=())
    assert limits.unenforced(engine) is None
    assert doctor._limits(engine).found == "looked at when the first image is there"
