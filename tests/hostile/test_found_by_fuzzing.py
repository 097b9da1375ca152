"""Inputs that fuzzing found to end a parser by no error of its own, or to take it too long."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from matrix.engine.backends.docker.engine import DockerEngine
from matrix.errors import InfrastructureError, UsageError
from matrix.runs.store import Run
from matrix.scenario import elf, listings, transcript
from matrix.trace import file_access, program_files, shell_script
from matrix.trees import download, tar_headers, transfer
from matrix.verdicts import requirement
from tests.fuzz.targets.steps import overlapping_sections
from tests.unit import conftest as make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HUGE = 10**400
"""An integer that no float has: a division of it is an OverflowError."""


def failure(*records: Any) -> str:
    return make.step("build", *records).facts().failure


@pytest.mark.parametrize("field", ["mtime_ns", "size", "ino", "mode", "ctime_ns"])
def test_a_number_of_a_file_has_64_bits(field: str) -> None:
    huge: dict[str, Any] = {field: HUGE}
    large: dict[str, Any] = {field: 2**63}
    assert "less than 18446744073709551616" in failure(make.file("/out/perf", **huge))
    assert not failure(make.file("/out/perf", **large))


def test_a_number_of_a_process_has_64_bits_and_a_time_is_one_of_a_clock() -> None:
    assert "is not as the agent writes it" in failure(make.process(0, "gcc", cpu_ns=HUGE))
    assert "is not as the agent writes it" in failure(make.process(0, "gcc", end=1e300))


LINES = {
    b'["x", NaN]': "line 1 of the step's facts is no JSON",
    b'["x", 1e999]': "line 1 of the step's facts is no JSON",
    b'["x", ' + b"[" * 300 + b"]" * 300 + b"]": "line 1 of the step's facts is no record",
    b'["x", ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"]": "line 1 of the step's facts is no record",
    b'["process", 0, {"argvs": [["gcc"]], "start": 1.5}]': "",
}


@pytest.mark.parametrize("line", LINES)
def test_a_record_can_be_written_into_a_transcript_and_read_again(line: bytes) -> None:
    assert transcript.records(line)[1] == LINES[line]


@pytest.mark.parametrize("record", [["listing"], ["listing", "a"], ["listing", [], []], ["listing", "a", [[]]]])
def test_a_listing_of_another_form_is_refused(record: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"listing|tuple"):
        listings.gone([record], {})


def test_a_process_without_an_index_is_refused() -> None:
    with pytest.raises(ValueError, match="is not as the agent writes it"):
        transcript.stacked([["process"]], [])


def test_sections_that_overlap_are_not_read_again_and_again() -> None:
    assert "its sections overlap" in elf.facts("perf", overlapping_sections(32_000)).error


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000])
def test_a_requirement_has_a_number(number: str) -> None:
    with pytest.raises(UsageError, match="the ratio of times must be above 0"):
        requirement.parse(f"build <= {number}")


def test_words_are_passed_through_a_pipe_a_bounded_number_of_times() -> None:
    script = "cat " + "a " * 10_000 + "| (" + "cat;" * 5_000 + ")"
    uses = list(file_access._uses(shell_script.commands(script)))
    assert sum(use.passed for use in uses) == file_access.MOST_PIPED


def test_names_and_folders_that_no_path_has_are_left_out() -> None:
    long = "b" * 5000 + "/"
    assert program_files.flows(("cp", "a", "c", long)) == [program_files.Flow(("a",)), program_files.Flow(("c",))]
    assert program_files.flows(("ln", "-s", "a", "c", long)) == []
    assert file_access._formatted("x" * 5000 + "%s", "a") == []


@pytest.mark.parametrize("since", [HUGE, "soon", None, [], {}])
def test_progress_that_is_none_is_left_out(since: Any, tmp_path: Path) -> None:
    folder = tmp_path / "cells" / "i/gcc/b@t"
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text(json.dumps({"step": "build", "since": since}))
    assert Run(tmp_path).at("i/gcc/b@t") is None


def test_a_size_in_other_digits_is_no_size() -> None:
    with pytest.raises(tar_headers.tarfile.ReadError, match="a number of a PAX header is damaged"):  # type: ignore[attr-defined] # its own import
        tar_headers._number("²")


@pytest.mark.parametrize("length", ["²", "9" * 5000, "-1", "", "3"])
def test_a_length_of_any_form_is_taken(length: str, tmp_path: Path) -> None:
    place = download._Place("https://kernel.example/a.tar", tmp_path / "a.tar")
    reply = mock.MagicMock()
    reply.__enter__.return_value = mock.Mock(
        headers=transfer.Headers(200, {"Content-Length": length}, (place.url,)), blocks=iter([b"abc"])
    )
    with mock.patch.object(transfer, "get", return_value=reply):
        found = download._download_rest(place, 0.0, may_be_plain=False)
    assert (found is None) == (length == "9" * 5000)


@pytest.fixture
def led_astray() -> Iterator[str]:
    """Give the address of a server whose answer leads to an address that is none."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://[")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a"
        server.shutdown()


def test_an_answer_that_leads_to_no_address_is_not_waited_for(led_astray: str) -> None:
    with (
        pytest.raises(InfrastructureError, match="Invalid IPv6 URL"),
        transfer.get(led_astray, {}, time.monotonic() + 60),
    ):
        pass


@pytest.mark.parametrize("answer", [{}, [], "x", None, {"Version": "24"}, {"Platform": "x"}])
def test_an_engine_that_answers_something_else_is_named(answer: Any) -> None:
    client = mock.Mock()
    client.info.return_value = client.version.return_value = answer
    with pytest.raises(InfrastructureError, match="is not of the Docker Engine API"):
        DockerEngine(client, "unix:///x", "s").describe()
