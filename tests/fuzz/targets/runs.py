"""Files of run directories, results and bundles, which come from older versions, other machines and damaged disks."""

from __future__ import annotations

import gzip
import json
from xml.etree import ElementTree as ET

from matrix import credentials, reports, untrusted
from matrix.config import load
from matrix.errors import UsageError
from matrix.model.cell_id import CellId
from matrix.model.globs import matches_any
from matrix.model.result import CellResult
from matrix.reports import formats
from matrix.repro import adoption, bundle, consistency, redaction
from matrix.runs import store, transcripts
from matrix.scenario.transcript import Transcript
from matrix.timing import trace
from matrix.timing.recording import Recorded
from matrix.verdicts import judgement, requirement
from matrix.verdicts.comparison import ComparisonRun
from tests.fuzz import samples
from tests.fuzz.target import Target
from tests.unit import conftest as make
from tests.unit.results import done

ID = CellId(samples.CELL)


def _run(name: str, data: bytes) -> store.Run:
    run = store.Run(samples.folder() / "run")
    samples.written(f"run/{name}", data)
    return run


def _of_cell(name: str, data: bytes) -> store.Run:
    return _run(f"cells/{ID}/{name}", data)


def _settings(data: bytes) -> None:
    _run("run.json", data).settings()


def _required(data: bytes) -> None:
    _run("required.json", data).required()


def _result(data: bytes) -> None:
    _of_cell("result.json", data).result(ID)


def _progress(data: bytes) -> None:
    at = _of_cell("progress.json", data).at(ID)
    if at:
        f"{at[0]} {1e9 - at[1]:.0f}"


def _transcript(data: bytes) -> None:
    transcripts.read(samples.written("transcript.json.gz", data))


def _judged(data: bytes) -> None:
    """Judge a transcript, and draw a trace of it; the child that does so in a run takes its own RecursionError."""
    try:
        read = Transcript.model_validate_json(data)  # as transcripts.read does, which has a target of its own
    except ValueError:
        return
    observations = read.observations()
    list(judgement.parts(observations, [make.known("clean", "*")]))


def _traced(data: bytes) -> None:
    try:
        read = Transcript.model_validate_json(data)
    except ValueError:
        return
    for record in read.steps:
        facts = record.facts()
        if facts.processes and not facts.failure:
            trace.of_recording(Recorded("c", facts, read.databases))


def _bundle(data: bytes) -> None:
    bundle.unpack(data)


def _forged(data: bytes) -> None:
    found = bundle.unpack(samples.forged(data))
    redaction.result(found.result, ("/home/a",))


def _stranger(data: bytes) -> None:
    bundle.parse_result(data)


def _adopted(data: bytes) -> None:
    """Take a stranger's result for a cell of this machine."""
    result = bundle.parse_result(data)
    adoption.adopted(result, consistency.definition(result), CONFIG, "", has_patch=True)


def _reported(data: bytes) -> None:
    """Report a result of a run directory in every format; XML and JSON must be well-formed."""
    try:
        result = CellResult.model_validate_json(data)
    except ValueError:
        return
    report = reports.build("r", "/r", ["7.3"], [result.id], [result])
    texts = {name: one.render(report) for name, one in formats.registry().items()}
    json.loads(texts["json"])
    ET.fromstring(texts["junit"])  # noqa: S314 - our own
    assert all(text.encode() for text in texts.values())


def _comparison(data: bytes) -> None:
    try:
        found = ComparisonRun.model_validate_json(data)
    except ValueError:
        return
    for one in found.measured:
        wanted = requirement.Requirement(measure=one.comparison.measure, at_most=0.95)
        requirement.verdict_on(wanted, one.comparison)


def _requirement(data: bytes) -> None:
    requirement.parse(data.decode("utf-8", "replace"))


def _glob(data: bytes) -> None:
    text, _, glob = data.decode("utf-8", "replace").partition("\0")
    matches_any(text, [glob])


def _id(data: bytes) -> None:
    CellId(data.decode("utf-8", "replace"))


SHOWN = (
    untrusted.one_line, untrusted.short, untrusted.plain, untrusted.message, untrusted.markdown_code, untrusted.html,
    untrusted.perfetto_value, untrusted.mail_line, untrusted.mail_beginning, untrusted.json_text,
)  # fmt: skip


def _shown(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for show in SHOWN:
        show(text).encode()
    credentials.without_credentials(text)
    untrusted.quotation(text, 10)
    credentials.has_credentials(text)


def _redacted(data: bytes) -> None:
    redaction.log(data, ("/home/somebody/linux", "/srv/a"))


CONFIG = load.load()
RESULT = done().model_dump_json().encode()
KEPT = (samples.KEPT / "result.json").read_bytes()

TARGETS = (
    Target("run.json", _settings, ((samples.DATA / "run.json").read_bytes(),), own=(UsageError,), is_json=True, cost=2),
    Target(
        "required.json", _required, (b'{"build <= 0.9": ["PASS", "it took 0.8"]}',), own=(UsageError,), is_json=True
    ),
    Target("result.json", _result, (KEPT,), own=(UsageError,), is_json=True, cost=4),
    Target("progress.json", _progress, (b'{"step": "build", "since": 1764111111.5}',), is_json=True),
    Target("transcript-file", _transcript, (gzip.compress(samples.short_transcript()),), own=(UsageError,), cost=4),
    Target("judged-transcript", _judged, (samples.short_transcript(2),), own=(RecursionError,), is_json=True, cost=24),
    Target(
        "traced-transcript",
        _traced,
        (samples.short_transcript(6, ("build",)),),
        own=(UsageError, RecursionError),
        is_json=True,
        cost=24,
    ),
    Target("bundle", _bundle, (samples.packed(),), own=(UsageError,), cost=4),
    Target("bundled-result", _forged, (RESULT,), own=(UsageError,), is_json=True, cost=12),
    Target("stranger's-result", _stranger, (RESULT,), own=(UsageError,), is_json=True, cost=6),
    Target("adopted-result", _adopted, (RESULT,), own=(UsageError,), is_json=True, cost=6),
    Target("reported-result", _reported, (KEPT,), is_json=True, cost=12),
    Target("comparison", _comparison, (make.session().model_dump_json().encode(),), own=(), is_json=True, cost=4),
    Target(
        "requirement",
        _requirement,
        (b"build at least 5 % faster", b"no-op no slower than 2 %", b"build <= 0.95"),
        own=(UsageError,),
        words=(b" at least ", b" % faster", b" no slower than ", b"<= "),
        growing={
            "digits": lambda size: b"build <= " + b"1" * size,
            "words": lambda size: b"build at least 1" * (size // 16),
        },
    ),
    Target(
        "glob",
        _glob,
        (b"left:/src/a.o\0left:*.o", b"a[b\0a[[]b"),
        words=(b"*", b"?", b"[!", b"[z-a]", b"]", b"[["),
        growing={
            "stars": lambda size: b"a" * (size // 2) + b"\0" + b"*a" * (size // 8) + b"b",
            "questions": lambda size: b"a" * (size // 2) + b"\0" + b"*?" * (size // 8) + b"b",
            "brackets": lambda size: b"a\0" + b"[" * size,
            "classes": lambda size: b"a\0" + b"[]" * (size // 2),
            "no classes": lambda size: b"a\0" + b"[!" * (size // 2) + b"]",
        },
    ),
    Target(
        "cell-id",
        _id,
        (samples.CELL.encode(),),
        own=(ValueError,),
        words=(b"/", b"@", b"*", b"["),
        growing={"parts": lambda size: b"a" * size, "slashes": lambda size: b"a/" * (size // 2)},
    ),
    Target(
        "shown-text",
        _shown,
        (b"verdict: PASS\n::error::x\n##[x] https://u:p@h/?token=1 @you `a` | <b>",),
        words=(b"://", b"@", b"::a ::", b"##[", b"verdict:", b"?token=", b"\x1b["),
        growing={
            "commands": lambda size: b"::a " * (size // 8) + b"b" * (size // 2),
            "marks": lambda size: b"?" * size,
            "secrets": lambda size: b"?a-" * (size // 3),
            "addresses": lambda size: b"://" * (size // 3),
            "lines": lambda size: b"\n" * size,
            "hashes": lambda size: b"#" * size,
        },
    ),
    Target(
        "redacted-log",
        _redacted,
        (b"gcc /home/somebody/linux/a.c /root/x /Users/y/z\n",),
        words=(b"/home/", b"/root", b"/", b"/srv/a"),
        growing={
            "folders": lambda size: b"/home/a" * (size // 7),
            "slashes": lambda size: b"/" * size,
            "parts": lambda size: b"/home/" + b"a/" * size,
        },
    ),
)
