"""Asks diffoscope, in a container without network, why two files differ."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from matrix.config import load
from matrix.engine import images
from matrix.engine.api import Resource
from matrix.errors import MatrixError
from matrix.files import tar_of

if TYPE_CHECKING:
    from matrix.engine.api import Engine

MAX_BYTES = 64 << 20
"""The size of a file above which diffoscope is not tried, as its time and memory grow with the file."""

# diffoscope ends with status 1 where the files differ, and timeout with 124: neither is a failure of the script, and
# the text so far is worth having.
_SCRIPT = (
    "timeout 300 diffoscope --no-progress --max-text-report-size 200000 --text - /volume/first /volume/second || true"
)


def difference(engine: Engine, path: str, first: bytes, second: bytes) -> str:
    """Return diffoscope's text on two contents of the file at `path`, or a line with the reason why there is none."""
    if max(len(first), len(second)) > MAX_BYTES:
        return f"{path} is too large for diffoscope: more than {MAX_BYTES >> 20} MiB\n"
    try:
        image = images.prepare(load.load().images["diffoscope"], engine, lambda _: None)
        # Both files keep the name: diffoscope takes its comparators by it, too.
        suffix = path.rpartition("/")[2]
        volume = f"pbm-diff-{uuid.uuid4().hex[:12]}"
        files = {f"first/{suffix}": first, f"second/{suffix}": second}
        try:
            engine.provide(volume, "script", lambda: iter([tar_of(files)]))
            _, output = engine.script(image.tag, _SCRIPT, network=False, volume=volume)
        finally:
            engine.remove(Resource("volume", volume, "", ""))
    except MatrixError as error:
        return f"diffoscope could not be run on {path}: {error}\n"
    return f"diffoscope of {path}\n{output.decode(errors='replace')}"
