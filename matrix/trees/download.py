"""Downloads over http(s) into the cache; one that broke off is resumed by a range request (RFC 9110, section 14)."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
from filelock import FileLock

from matrix import files
from matrix.credentials import refuse_credentials, without_credentials
from matrix.engine import cache
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError, UsageError
from matrix.model.base import Frozen
from matrix.trees import transfer

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.trees.sources import Say
    from matrix.trees.transfer import Headers, Reply

TRIES = 3
TIME_S = 2 * 3600
"""The longest time of a download with all its tries: a tree of 160 MB in it needs 180 kbit/s."""
FILE_BYTES = 4 << 30
"""The largest file that is downloaded: an archive of a kernel tree that is not compressed has 1.8 GB."""
NAME_CHARS = 100


class Download(Frozen):
    """A file of the cache as it was fetched; with `is_plain` it came by plain http, at least a part of the way."""

    bytes: int
    sha256: str
    is_plain: bool


@dataclass(frozen=True)
class _Place:
    """The place of a download in the cache: the file, its record, the part of it that came, and that part's version.

    The version is what the server called it (ETag or Last-Modified).
    """

    url: str
    file: Path

    @property
    def record(self) -> Path:
        return self.file.with_name(f"{self.file.name}.json")

    @property
    def part(self) -> Path:
        return self.file.with_name(f"{self.file.name}.part")

    @property
    def version(self) -> Path:
        return self.file.with_name(f"{self.file.name}.version")

    def kept(self) -> Download | None:
        """Return the record of the file if the file exists and has the size and the SHA-256 of the record."""
        try:
            found = Download.model_validate(files.read_sealed_json(self.record))
            is_whole = self.file.stat().st_size == found.bytes
        except (OSError, ValueError):
            return None
        is_same = is_whole and files.sha256(self.file) == found.sha256
        return found if is_same else None

    def keep(self, *, is_plain: bool) -> Download:
        """Make the part, which is whole, the file."""
        found = Download(bytes=self.part.stat().st_size, sha256=files.sha256(self.part), is_plain=is_plain)
        self.part.replace(self.file)
        files.write_sealed(self.record, found.model_dump_json().encode())
        return found

    def forget(self) -> None:
        """Remove all that came."""
        for path in (self.record, self.file, self.part, self.version):
            path.unlink(missing_ok=True)


def download(url: str, expected: str, say: Say) -> tuple[Path, Download]:
    """Return the file at `url` in the cache, fetched now unless it is there whole; a part that is there is completed.

    `expected` is the SHA-256 that it must have, or empty; without one, a plain http address is told to the user.

    Raises:
        UsageError: the address has credentials, or leads from https to http and no SHA-256 is given.
        InfrastructureError: the file could not be fetched whole, or is another.

    """
    refuse_credentials(url)
    # A folder for each address: two addresses may end in the same name.
    folder = cache.folder(Part.DOWNLOADS) / hashlib.sha256(url.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    place = _Place(url, folder / _file_name(url))
    with FileLock(folder / "download.lock"):
        found = _kept(place, expected)
        if found is None:
            if place.file.exists():
                say(f"{place.file} is not what is expected: fetching it again")
            found = _fetched(place, expected, say)
    if found.is_plain and not expected:
        say(f"{url} comes by plain http, which anybody on the way can change; append #sha256=DIGEST to have it checked")
    return place.file, found


def _file_name(url: str) -> str:
    """Return a name for the file at an address: its last part, shortened, without characters of paths or first dots."""
    name = re.sub(r"[^\w.+-]", "_", url.rpartition("/")[2], flags=re.ASCII)[-NAME_CHARS:].lstrip(".")
    return name or "tree.tar"


def _kept(place: _Place, expected: str) -> Download | None:
    """Return the file's record if it is in the cache and is the expected one."""
    found = place.kept()
    return found if found and expected in ("", found.sha256) else None


def _fetched(place: _Place, expected: str, say: Say) -> Download:
    found = _download(place, say, may_be_plain=bool(expected))
    if expected and found.sha256 != expected:
        place.forget()  # or the next try would find it in the cache
        message = f"{place.url}: the sha256 of the download is {found.sha256}"
        raise InfrastructureError(message, "The download was removed; try again.")
    return found


def _download(place: _Place, say: Say, *, may_be_plain: bool) -> Download:
    deadline = time.monotonic() + TIME_S
    failure = ""
    for attempt in range(1, TRIES + 1):
        say(f"downloading {place.url}" if attempt == 1 else f"downloading {place.url}, try {attempt}")
        try:
            headers = _download_rest(place, deadline, may_be_plain=may_be_plain)
        except InfrastructureError as error:
            failure = str(error).partition("\n")[0]
            continue
        if headers:
            return place.keep(is_plain=transfer.is_plain(headers.addresses))
        failure = "the connection ended early"
    message = f"{place.url} could not be downloaded: {failure}"
    raise InfrastructureError(message, "Try again: the next try continues this one.")


def _download_rest(place: _Place, deadline: float, *, may_be_plain: bool) -> Headers | None:
    """Fetch the bytes that the part lacks; return the answer's headers if it is whole now."""
    have_bytes, version = _resumable(place)
    # A server whose file has another version by now sends all of it: RFC 9110, section 13.1.5.
    asked = {"Range": f"bytes={have_bytes}-", "If-Range": version} if have_bytes else {}
    with transfer.get(place.url, asked, deadline) as answer:
        headers = answer.headers
        _check_addresses(place.url, headers.addresses, may_be_plain=may_be_plain)
        # The part is longer than the file, or of another version than the rest: the next try begins anew.
        if _is_of_another_version(headers, have_bytes, version):
            place.forget()
            return None
        if headers.status not in (requests.codes.ok, requests.codes.partial_content):
            raise InfrastructureError(f"{place.url} is answered with status {headers.status}")
        if headers.status == requests.codes.ok:
            _begin(place, _version(headers))
            have_bytes = 0
        _append(answer, place, have_bytes)
    coming_bytes = headers.fields.get("Content-Length", "")
    # requests ends a body that is cut short without an error: https://github.com/psf/requests/issues/4956
    # Only ASCII's digits: `²` is a digit for str.isdigit, and no number for int.
    is_known = coming_bytes.isascii() and coming_bytes.isdigit()
    is_whole = not is_known or coming_bytes == str(place.part.stat().st_size - have_bytes)
    return headers if is_whole else None


def _resumable(place: _Place) -> tuple[int, str]:
    """Return the size of the part and its version; a part of no known version counts as none."""
    version = files.read_sealed(place.version)
    if not version or not place.part.is_file():
        return 0, ""
    return place.part.stat().st_size, version.decode()


def _version(headers: Headers) -> str:
    """Return the name of a file's version, which a server never gives to two: a strong ETag, or its date."""
    tag = headers.fields.get("ETag", "")
    return tag if tag.startswith('"') else headers.fields.get("Last-Modified", "")


def _is_of_another_version(headers: Headers, have_bytes: int, version: str) -> bool:
    if headers.status == requests.codes.requested_range_not_satisfiable:
        return True
    if headers.status != requests.codes.partial_content:
        return False
    begins = headers.fields.get("Content-Range", "").startswith(f"bytes {have_bytes}-")
    return not begins or _version(headers) != version


def _check_addresses(url: str, addresses: tuple[str, ...], *, may_be_plain: bool) -> None:
    """Refuse a way from https to plain http, unless the file's SHA-256 is known."""
    is_led_astray = not transfer.is_plain((url,)) and transfer.is_plain(addresses)
    if is_led_astray and not may_be_plain:
        last = without_credentials(addresses[-1])
        hint = "Append #sha256=DIGEST, so that it is checked."
        raise UsageError(f"{url} leads to plain http, which anybody on the way can change: {last}", hint)


def _begin(place: _Place, version: str) -> None:
    place.part.unlink(missing_ok=True)
    place.version.unlink(missing_ok=True)
    if version:
        files.write_sealed(place.version, version.encode())


def _append(answer: Reply, place: _Place, have_bytes: int) -> None:
    with place.part.open("ab") as file:
        for block in answer.blocks:
            have_bytes += len(block)
            if have_bytes > FILE_BYTES:
                place.forget()
                raise UsageError(f"{place.url} has more than {FILE_BYTES >> 30} GiB", "No kernel tree's archive has.")
            file.write(block)
