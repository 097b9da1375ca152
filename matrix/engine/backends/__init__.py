"""Container engines: one module each, found by listing this folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from matrix.engine.api import Engine


def connect(host: str | None = None, session: str = "") -> Engine:
    """Return the first engine that answers: at `host`, or wherever the modules of this folder look.

    What it makes is labelled with `session`.

    Raises:
        InfrastructureError: none answers; it says where was looked and what to do.

    """
    tried: list[str] = []
    for module in pkgutil.iter_modules(__path__):
        found: Engine | None = importlib.import_module(f"{__name__}.{module.name}").connect(host, tried, session)
        if found is not None:
            return found
    looked = "; ".join(tried) or "nowhere"
    raise InfrastructureError(
        f"no container engine answers (looked at {looked})",
        "`perf-matrix engine up` starts one of its own; or set DOCKER_HOST.",
    )
