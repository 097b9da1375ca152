"""Kinds of container engines: one module each, found by listing this folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from matrix import registry
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.engine.api import Engine


@runtime_checkable
class Backend(Protocol):
    """A kind of container engine; a module of this folder has one as BACKEND."""

    def hosts(self) -> Iterable[str]:
        """Return the addresses, as `unix:///run/engine.sock`, where such an engine may answer on this machine."""

    def connect(self, host: str, session: str) -> Engine | None:
        """Return the engine at an address, or nothing where none of this kind answers.

        Each container and volume that it makes is labelled with `session` (see Engine).
        """


def connect(host: str | None = None, session: str = "") -> Engine:
    """Return the first engine that answers: at `host`, or wherever each kind of engine may be.

    Raises:
        InfrastructureError: none answers; the message names the addresses that were tried.
        EngineSilentError: one accepts connections, and does not answer.

    """
    tried: dict[str, str] = {}
    # mypy wants a concrete class here: https://github.com/python/mypy/issues/4717. The modules' instances are asked.
    kinds = registry.load(__name__, "BACKEND", Backend)  # type: ignore[type-abstract] # its modules are asked, not it
    for backend in kinds.values():
        for address in dict.fromkeys([host] if host else backend.hosts()):
            tried[address] = _looked_at(address)
            found = backend.connect(address, session)
            if found is not None:
                return found
    looked = "; ".join(tried.values()) or "nowhere"
    raise InfrastructureError(
        f"no container engine answers (looked at {looked})",
        _hint(host),
    )


def _hint(host: str | None) -> str:
    if not host and os.environ.get("DOCKER_HOST"):
        return (
            "DOCKER_HOST names the only engine that is tried: correct it (unix:///PATH, tcp://HOST:PORT) or unset it."
        )
    return "`perf-matrix engine up` starts one of its own; or set DOCKER_HOST."


def _looked_at(address: str) -> str:
    """Return an address for the list of those that were tried, with the reason where this user may not use it."""
    scheme, _, path = address.partition("://")
    if scheme != "unix" or not os.access(path, os.F_OK) or os.access(path, os.R_OK | os.W_OK):
        return address
    return f"{address}, which this user may not use: join the group of that file"
