from __future__ import annotations

import os

import pytest

from matrix.errors import UsageError
from matrix.timing import prediction


def test_a_list_of_numbers_of_jobs_is_read() -> None:
    assert prediction.numbers("1, 2,64") == (1, 2, 64)


@pytest.mark.parametrize("text", ["", "0", "1,", "-1", "1.5", "a", "4097"])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no list of numbers from 1 to 4096"):
        prediction.numbers(text)


@pytest.mark.parametrize(
    ("step", "measured", "message"),
    [
        ("rebuild", (1,), "--measure builds from scratch"),
        ("build", (1, 4096), f"--measure 1,4096: there are {os.cpu_count()} processors"),
        ("biuld", (), "no step 'biuld' to replay; did you mean 'build'"),
    ],
)
def test_what_cannot_be_replayed_or_measured_is_refused(step: str, measured: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prediction.refuse_impossible(step, measured)


def test_what_can_be_replayed_and_measured_is_let_be() -> None:
    prediction.refuse_impossible("rebuild", ())
    prediction.refuse_impossible("build", (1,))
