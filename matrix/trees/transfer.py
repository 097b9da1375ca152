"""A transfer from an http(s) address, with a bound on its whole time however slowly the other side answers.

The timeouts of `requests` are for one wait on a socket: a byte now and then holds a read of a block, or of a header,
for ever. So a thread of its own reads, and whoever waits for its blocks has a deadline.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import requests
from urllib3.exceptions import HTTPError

from matrix.credentials import without_credentials
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WAIT_S = 60
"""The longest time without a byte, in seconds."""
BLOCK_BYTES = 1 << 18
_BLOCKS = 8
_POLL_S = 1.0


class Headers(NamedTuple):
    """An answer's status and headers; the addresses that were asked on the way to it, the last one answered."""

    status: int
    fields: Mapping[str, str]
    addresses: tuple[str, ...]


@dataclass
class Reply:
    """An answer whose content is still to come, in `blocks`."""

    headers: Headers
    blocks: Iterator[bytes]


class _Reader:
    """The thread that reads an answer, and the queue of its headers, its blocks, and None or an error at the end."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._read: queue.Queue[Headers | bytes | Exception | None] = queue.Queue(_BLOCKS)
        self._unwanted = threading.Event()

    def begin(self) -> None:
        # A daemon, as nothing ends a thread that waits for a socket: it must not keep the process.
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        """Have the thread end at its next block."""
        self._unwanted.set()

    def next(self, deadline: float) -> Headers | bytes | None:
        """Return the headers or the next block of the answer, None at its end.

        Raises:
            TimeoutError: the deadline passed before.
            requests.RequestException, HTTPError: the transfer failed.

        """
        try:
            item = self._read.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(item, Exception):
            raise item
        return item

    def _run(self) -> None:
        try:
            with requests.get(self._url, headers=self._headers, stream=True, timeout=WAIT_S) as response:
                addresses = (*(one.url for one in response.history), response.url)
                self._put(Headers(response.status_code, response.headers, addresses))
                for block in response.raw.stream(BLOCK_BYTES, decode_content=False):
                    self._put(block)
            self._put(None)
        except _Unwanted:
            pass
        except (requests.RequestException, HTTPError) as error:
            self._put_last(error)
        except Exception as error:  # noqa: BLE001 - a server's Location may be no address: urllib's ValueError
            self._put_last(requests.RequestException(f"the answer cannot be read: {error!r}"))

    def _put_last(self, error: Exception) -> None:
        with contextlib.suppress(_Unwanted):
            self._put(error)

    def _put(self, item: Headers | bytes | Exception | None) -> None:
        while not self._unwanted.is_set():
            with contextlib.suppress(queue.Full):
                self._read.put(item, timeout=_POLL_S)
                return
        raise _Unwanted


class _Unwanted(Exception):  # noqa: N818 - nothing failed: it ends the thread
    """Nobody waits for the rest of an answer."""


@contextlib.contextmanager
def get(url: str, headers: Mapping[str, str], deadline: float) -> Iterator[Reply]:
    """Ask for an address; the content comes as it is sent, compressed if it is sent so.

    Args:
        url: an http or https address.
        headers: those of the request.
        deadline: the time of `time.monotonic` until which all must have come.

    Raises:
        InfrastructureError: the address gives no answer, or not all of it until the deadline.

    """
    reader = _Reader(url, headers)
    reader.begin()
    try:
        first = reader.next(deadline)
        assert isinstance(first, Headers)
        yield Reply(first, _blocks(reader, deadline))
    except TimeoutError as error:
        raise InfrastructureError(f"{without_credentials(url)} is too slow", "Try again, or name a file.") from error
    except (requests.RequestException, HTTPError) as error:
        reason = without_credentials(f"{url} could not be fetched: {error}")
        raise InfrastructureError(reason, "Try again.") from error
    finally:
        reader.end()


def _blocks(reader: _Reader, deadline: float) -> Iterator[bytes]:
    while (block := reader.next(deadline)) is not None:
        assert isinstance(block, bytes)
        yield block


def is_address(text: str) -> bool:
    """Return whether a text is an http or https address."""
    return text.lower().startswith(("http://", "https://"))


def is_plain(addresses: tuple[str, ...]) -> bool:
    """Return whether one of the addresses on the way to an answer was plain http, which anybody between can change."""
    return any(address.lower().startswith("http://") for address in addresses)
