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
    """Return the files of the volume by their paths: the agent, and the agent again as a sitecustomize module.

    Python imports a module `sitecustomize` that is on its path at every start (documentation of the module `site`), so
    the agent can force a start method on a generator that knows nothing of it.
    """
    source = Path(__file__).parents[1].joinpath("agent.py").read_bytes()
    return {"agent.py": source, "start-method/sitecustomize.py": source}


def provide(engine: Engine) -> str:
    """Return the name of the volume, which is made now if it is not there.

    Raises:
        InfrastructureError: the engine could not make it.

    """
    files = content()
    # The name has the content's hash, so that a new version of the agent never runs in cells of an older one.
    name = f"pbm-agent-{hashlib.sha256(files['agent.py']).hexdigest()[:16]}"
    with cache.lock("agent"):
        engine.provide(name, "agent", lambda: iter([tar_of(files)]))
    return name
