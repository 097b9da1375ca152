"""The plan of a cell: its image, its steps with their commands, and the environment of both containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.reports.tables import line, paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from matrix.scenario.plan import Scenario

UNSET = "(unset)"


def lines(planned: Scenario, dockerfile: str) -> Iterator[Text]:
    """Yield the lines of a plan; `dockerfile` is the text of the image's."""
    yield line(planned.cell.id)
    yield paragraph(f"image: {dockerfile}")
    for step in planned.steps:
        yield line(f"{step.name} ({step.place} container): {step.summary}")
        yield paragraph(f"  {step.text}")
    yield line("environment, and in the second container or the last step:")
    yield from _environments(planned)


def _environments(planned: Scenario) -> Iterator[Text]:
    first = planned.steps[0].environment
    # A cell with a start method has one container, and its last step forces the method.
    second = next((step for step in planned.steps if step.place == "second"), planned.steps[-1]).environment
    for name in sorted(first | second):
        yield line(_variable(name, first.get(name, UNSET), second.get(name, UNSET)))


def _variable(name: str, first: str, second: str) -> str:
    """Return the line of a variable: its value, or both where the second container has another."""
    if first == second:
        return f"  {name}={first}"
    return f"  {name}={first}  ->  {second}"
