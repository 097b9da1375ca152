"""The placement of cells: which workers can run a group of cells, and the reason where one cannot. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.verdicts.wording import count, cut

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from matrix.machines.messages import Machine, Needs

GIB = 1 << 30
SHOWN = 5


def obstacle(machine: Machine, needs: Needs, program: str) -> str:
    """Return the reason why a machine cannot run a group of cells with these needs; nothing where it can.

    `program` is the digest of the program that the run's command is.
    """
    if machine.program != program:
        return f"has another program ({machine.version})"
    if machine.architecture != needs.architecture:
        return f"is {machine.architecture}, not {needs.architecture}"
    if machine.memory_bytes < needs.memory_bytes:
        return f"has {machine.memory_bytes / GIB:.1f} GiB of memory, not {needs.memory_bytes / GIB:.1f}"
    if needs.btf and not machine.btf:
        return "has no type information of its kernel"
    return ""


def suitable(
    machines: Mapping[str, Machine], needs: Needs, program: str, without: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the addresses of the workers that can run a group of cells, without those that failed at it."""
    return tuple(
        address
        for address, machine in machines.items()
        if address not in without and not obstacle(machine, needs, program)
    )


def obstacles(machines: Mapping[str, Machine], needs: Needs, program: str) -> str:
    """Return the sentence on why none of the workers can run a group of cells."""
    if not machines:
        return "no worker is connected"
    reasons = sorted(f"{machine.name} {obstacle(machine, needs, program)}" for machine in machines.values())
    return f"none of {count(len(machines), 'worker')} can run one: {'; '.join(cut(reasons, SHOWN))}"
