"""Documents of the configuration, and answers of the engine."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace
from typing import Any

from matrix.config import documents, strict_yaml
from matrix.engine import package_lists
from matrix.engine.backends.docker.engine import DockerEngine
from matrix.errors import InfrastructureError, MatrixError
from matrix.model.build import Build
from matrix.model.claim import Claim
from matrix.model.edit import Edit
from matrix.model.image import Image
from matrix.model.profile import Profile
from matrix.model.tree import Tree
from tests.fuzz import samples
from tests.fuzz.target import Target

KINDS: tuple[type[Any], ...] = (Image, Build, Tree, Edit, Claim, Profile)


def _document(data: bytes) -> None:
    """Read a file as a document of every kind; mistakes are lines of a list, and no error."""
    path = samples.written("configs/a.yaml", data)
    found = strict_yaml.read(path)
    with samples.replaced(strict_yaml, "read", lambda _: copy.deepcopy(found)):  # read once, and not for each kind
        for kind in KINDS:
            documents.read(kind, [path.parent], [])


def _described(data: bytes) -> None:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    client = SimpleNamespace(info=lambda: answer, version=lambda: answer)
    DockerEngine(client, "unix://", "s").describe()


def _built(data: bytes) -> None:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    api = SimpleNamespace(build=lambda **_: iter(answer if isinstance(answer, list) else [answer]))
    client = SimpleNamespace(api=api)
    DockerEngine(client, "unix://", "s").build("FROM x", "t", lambda _: None)


def _packages(data: bytes) -> None:
    engine: Any = SimpleNamespace(script=lambda *_, **__: (0, data))
    package_lists._listed("t", engine)


CLAIM = b"summary: a\npatch: 1\ndecided_by: {check: build, cell: a/b/c, refuted_by: ['*']}\n"
EDIT = b"""summary: a
trees: ['*']
each:
  x: {file: a.c}
changes:
- file: '@file@'
  find: |
    a
  replace: b
"""
BUILD = b"summary: a\nextends: b\nmake: {NO_X: '1'}\nenvironment: {}\n"
DESCRIBED = (
    b'{"Version": "24", "ApiVersion": "1.43", "Platform": {"Name": "x"}, "KernelVersion": "6",'
    b' "Architecture": "x86_64", "Driver": "overlay2", "CgroupVersion": "2", "NCPU": 2, "MemTotal": 1}'
)

TARGETS = (
    Target(
        "document",
        _document,
        (CLAIM, EDIT, BUILD),
        own=(MatrixError,),
        cost=3,
        growing={
            "keys": lambda size: b"".join(b"k%d: 1\n" % number for number in range(size // 8)),
            "lists": lambda size: b"a: [" + b"[]," * (size // 3) + b"]\n",
            "aliases": lambda size: b"a: &a [1]\nb: [" + b"*a," * (size // 3) + b"]\n",
            "brackets": lambda size: b"[" * size,
            "anchors": lambda size: b"".join(b"k%d: &k%d [1]\n" % (number, number) for number in range(size // 16)),
            "an open string": lambda size: b'a: "' + b"\\\n" * (size // 2),
            "a word": lambda size: b"a: " + b"a " * (size // 2),
            "dashes": lambda size: b"- " * (size // 2),
            "questions": lambda size: b"? " * (size // 2),
            "comments": lambda size: b"# a\n" * (size // 4),
            "items": lambda size: b"summary: a\neach:\n" + b"".join(b" k%d: {}\n" % n for n in range(size // 9)),
            "keys of one item": lambda size: (
                b"summary: a\neach:\n k:\n" + b"".join(b"  k%d: a\n" % n for n in range(size // 9))
            ),
            "words of a template": lambda size: b"each: {x: {a: b}}\nsummary: '" + b"@a@" * (size // 3) + b"'\n",
            "unknown keys": lambda size: b"summary: a\n" + b"".join(b"make%d: 1\n" % n for n in range(size // 9)),
        },
        words=(
            b"!!int x",
            b"!!float x",
            b"!!bool x",
            b"!!timestamp x",
            b"!!binary x",
            b"!!set {a}",
            b"!!null x",
            b"&a ",
            b"*a",
            b"<<: *a\n",
            b"? ",
            b": ",
            b"- ",
            b"[",
            b"{",
            b"each: ",
            b"extends: a\n",
            b".inf",
            b".nan",
            b"0x_",
            b"1:99",
            b"\n  ",
            b"%YAML 1.1\n---\n",
            b"2020-01-01",
            b"@name@",
            b"|\n",
        ),
    ),
    Target("engine-description", _described, (DESCRIBED,), is_json=True, own=(InfrastructureError,)),
    Target(
        "engine-build", _built, (b'[{"stream": "a\\n"}, {"error": "x"}]',), is_json=True, own=(InfrastructureError,)
    ),
    Target("package-list", _packages, (b"gcc 14\nmake 4.4\n",), own=(InfrastructureError,)),
)
