from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.machines import addresses, certificates

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tcp://127.9.9.9:1"]
)
def test_this_machine_needs_no_certificates(address: str) -> None:
    assert not addresses.security(address, None).require_encryption
    assert addresses.listening_host(address)


def test_an_encrypted_address_needs_certificates() -> None:
    with pytest.raises(UsageError, match=r"tls://127\.0\.0\.1:1 needs its certificates"):
        addresses.security("tls://127.0.0.1:1", None)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://10.0.0.1:8786",
        "tcp://host:8786",
        "tcp://0.0.0.0:1",
        "tcp://localhost.evil.example:1",
    ],
)
def test_any_other_machine_needs_certificates(address: str) -> None:
    with pytest.raises(UsageError, match="without certificates by anybody"):
        addresses.security(address, None)


@pytest.mark.parametrize(
    "address", ["", "host:8786", "http://x:1", "tcp://x", "tcp://x:y", "tcp://x:1/path", "tcp://[x:1"]
)
def test_another_address_is_refused(address: str, tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(UsageError, match="is no scheduler's address"):
            addresses.security(address, folder)


def test_certificates_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "certificates"
    certificates.make(folder)
    found = addresses.security("tls://10.0.0.1:8786", folder)
    assert found.require_encryption
    assert addresses.listening_host("tls://10.0.0.1:8786") is None
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    for role in ("client", "worker", "scheduler"):
        context = found.get_connection_args(role)["ssl_context"]
        assert context.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(UsageError, match="is there already"):
        certificates.make(folder)


def test_certificates_that_are_not_used_or_not_there_are_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no certificates"):
        addresses.security("tcp://127.0.0.1:1", tmp_path)
    with pytest.raises(UsageError, match=r"ca\.pem is no file"):
        addresses.security("tls://127.0.0.1:1", tmp_path)
