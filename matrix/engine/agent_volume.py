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
    """Return the volume's files by their paths: the agent as a program, and a module that every Python imports.

    Python imports a module `sitecustomize` that is on its path at every start (documentation of the module `site`), so
    the agent can force a start method on a generator that knows nothing of it.
    """
    folder = Path(__file__).parents[1] / "agent"
    modules = {path.name: path.read_bytes() for path in sorted(folder.glob("*.py"))}
    return {
        "agent/__main__.py": modules["__main__.py"],
        "agent/matrix/__init__.py": b"",
        **{f"agent/matrix/agent/{name}": source for name, source in modules.items()},
        "start-method/sitecustomize.py": modules["start_method.py"],
    }


def provide(engine: Engine) -> str:
    """Return the name of the volume, which is made now if it is not there.

    Raises:
        InfrastructureError: the engine could not make it.

    """
    files = content()
    archive = tar_of(files)
    # The name has the content's hash, so that a new version of the agent never runs in cells of an older one.
    name = f"pbm-agent-{hashlib.sha256(archive).hexdigest()[:32]}"
    with cache.lock("agent"):
        engine.provide(name, "agent", lambda: iter([archive]))
    return name
