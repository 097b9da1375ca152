"""The volume that every cell has the agent from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.engine import cache
from matrix.files import tar_of

if TYPE_CHECKING:
    from matrix.engine.api import Engine


def content() -> dict[str, bytes]:
    """Return what goes into it: the agent, twice, once under the name that Python imports."""
    source = Path(__file__).parents[1].joinpath("agent.py").read_bytes()
    return {"agent.py": source, "start-method/sitecustomize.py": source}


def provide(engine: Engine) -> str:
    """Return the volume's name, the volume made now if it is not there."""
    files = content()
    name = f"pbm-agent-{hashlib.sha256(files['agent.py']).hexdigest()[:16]}"
    with cache.lock("agent"):
        engine.provide(name, "agent", lambda: iter([tar_of(files)]))
    return name
