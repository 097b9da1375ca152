from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.runs import cleaning, locks, store
from tests.unit import conftest as make

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("places")


def a_run() -> contextlib.AbstractContextManager[None]:
    return locks.doing(store.begin([make.cell()], ["7.3"], [], 1))


@pytest.mark.parametrize("work", [a_run, locks.busy, locks.measuring])
def test_caches_are_not_removed_beside_work_that_needs_them(
    work: Callable[[], contextlib.AbstractContextManager[object]],
) -> None:
    with work(), pytest.raises(UsageError, match=r"which needs the caches\n  Wait until it has ended; without --all"):
        cleaning.refuse_beside_work()
    cleaning.refuse_beside_work()
