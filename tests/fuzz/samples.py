"""Inputs as this program writes them, for seeds, and a folder for parsers that take a path."""

from __future__ import annotations

import atexit
import contextlib
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.repro import bundle
from tests.unit.results import done

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "data" / "fake-run"
CELL = "debian-trixie-min/gcc/fake@good"
KEPT = DATA / "cells" / CELL


@cache
def folder() -> Path:
    """Return a folder of this process, on a file system in memory where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - a new folder in it
    found = Path(tempfile.mkdtemp(prefix="perf-matrix-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


def written(name: str, data: bytes) -> Path:
    """Return the path of a file with this content."""
    path = _place(name)
    path.write_bytes(data)
    return path


@cache
def _place(name: str) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def replaced(module: Any, name: str, value: object) -> Iterator[None]:
    """Put another function in the place of a module's, in less time than `mock.patch` takes."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def transcript() -> bytes:
    """Return the JSON of a transcript of a whole cell."""
    return gzip.decompress((KEPT / "transcript.json.gz").read_bytes())


def short_transcript(most: int = 4, steps: tuple[str, ...] = ()) -> bytes:
    """Return the JSON of a transcript with at most `most` records of each kind a step, for mutations that matter.

    With `steps`, those alone were run.
    """
    data = json.loads(transcript())
    data["steps"] = [step for step in data["steps"] if not steps or step["step"]["name"] in steps]
    for step in data["steps"]:
        kept: dict[str, list[Any]] = {}
        for record in step["records"]:
            kept.setdefault(record[0], []).append(record)
        step["records"] = [record for records in kept.values() for record in records[:most]]
        step["records"].sort(key=lambda record: {"process": 0, "command": 1}.get(record[0], 2))
    data["lower"] = dict(list(data["lower"].items())[:4])
    return json.dumps(data).encode()


def records(name: str = "build") -> bytes:
    """Return the records of a step as the agent writes them."""
    step = next(step for step in json.loads(transcript())["steps"] if step["step"]["name"] == name)
    return b"".join(json.dumps(record).encode() + b"\n" for record in step["records"])


def members(packed: bytes) -> dict[str, bytes]:
    """Return the contents of the files of an archive."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr] # all are files


@cache
def packed() -> bytes:
    """Return a bundle."""
    return bundle.pack(done(), {"build.log": b"# build: make\n"}, None)


@cache
def _members() -> dict[str, bytes]:
    return members(packed())


def forged(result: bytes) -> bytes:
    """Return a bundle with another result, which its list and its recipe agree with."""
    files = {**_members(), bundle.RESULT: result}
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        files[bundle.RECIPE] = json.dumps(json.loads(result)["definition"]["image"]).encode()
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != bundle.MANIFEST}
    manifest = {"schema_version": 1, "tool_version": "0", "members": listed}
    return gzip.compress(plain_tar({**files, bundle.MANIFEST: json.dumps(manifest).encode()}), 1, mtime=0)


def plain_tar(files: dict[str, bytes], *headers: tarfile.TarInfo, form: Any = tarfile.USTAR_FORMAT) -> bytes:
    """Return an archive of files, and of headers without content before them."""
    blocks = [header.tobuf(form) for header in headers]
    for name, content in files.items():
        info = tarfile.TarInfo(name)
        info.size = len(content)
        blocks += [info.tobuf(form), content, bytes(-len(content) % 512)]
    return b"".join(blocks) + bytes(1024)
