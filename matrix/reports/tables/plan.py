"""The plan of a cell: its image, its steps with their commands, and the environment of both containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.plan import Scenario

UNSET = "(unset)"


def lines(planned: Scenario, dockerfile: str) -> Iterator[str]:
    """Yield the lines of a plan; `dockerfile` is the text of the image's."""
    yield planned.cell.id
    yield f"image: {dockerfile}"
    for step in planned.steps:
        yield f"{step.name} ({step.place} container): {step.summary}"
        yield f"  {step.text}"
    yield "environment, and in the second container:"
    yield from _environments(planned)


def _environments(planned: Scenario) -> Iterator[str]:
    first = planned.steps[0].environment
    second = next(step for step in planned.steps if step.place == "second").environment
    for name in sorted(first | second):
        before, after = first.get(name, UNSET), second.get(name, UNSET)
        yield f"  {name}={before}" if before == after else f"  {name}={before}  ->  {after}"
