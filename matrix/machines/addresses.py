"""The addresses of schedulers, the connections to them, and their certificates.

Without certificates only the same machine is spoken to.

Dask lets whoever connects run code on the workers: https://distributed.dask.org/en/stable/tls.html.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distributed import Client
from distributed.security import Security

from matrix.errors import InfrastructureError, UsageError
from matrix.machines.certificates import CERTIFICATE, KEY, ROOT

if TYPE_CHECKING:
    from pathlib import Path

CONNECT = "10s"
"""How long to wait for a scheduler's answer."""

_FORM = "An address is tcp://127.0.0.1:8786 on this machine, or tls://HOST:8786 with --certificates DIR."


def security(address: str, certificates: Path | None) -> Security:
    """Return Dask's settings of encryption for a scheduler's address.

    Raises:
        UsageError: the address has another form, or leads to another machine and there are no certificates.

    """
    scheme, host = _parts(address)
    if certificates is None:
        if scheme == "tls":
            raise UsageError(
                f"{address} needs its certificates",
                "--certificates DIR; `perf-matrix worker --make-certificates DIR` makes some.",
            )
        if not is_loopback(host):
            raise UsageError(
                f"{address} is reached without certificates by anybody, who could run code on every worker",
                "Make some once, `perf-matrix worker --make-certificates DIR`, and use tls:// with --certificates DIR.",
            )
        return Security()
    if scheme != "tls":
        raise UsageError(f"{address} takes no certificates", "Use tls:// with --certificates.")
    files = {name: certificates / name for name in (ROOT, CERTIFICATE, KEY)}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise UsageError(f"{missing[0]} is no file", "`perf-matrix worker --make-certificates DIR` makes it.")
    own = (str(files[CERTIFICATE]), str(files[KEY]))
    return Security(
        require_encryption=True, tls_ca_file=str(files[ROOT]),
        tls_client_cert=own[0], tls_client_key=own[1], tls_worker_cert=own[0], tls_worker_key=own[1],
        tls_scheduler_cert=own[0], tls_scheduler_key=own[1],
    )  # fmt: skip


def connected(address: str, certificates: Path | None) -> Client:
    """Return a connection to a scheduler.

    Raises:
        OSError: no scheduler answers.
        UsageError: as `security`.

    """
    return Client(address, security=security(address, certificates), timeout=CONNECT, set_as_default=False)


def silent(address: str, error: BaseException) -> InfrastructureError:
    """Return the error for a scheduler that does not answer."""
    return InfrastructureError(
        f"no scheduler answers at {address}: {error}",
        "Start one: `dask scheduler`; docs/many-machines.md has the options.",
    )


def _parts(address: str) -> tuple[str, str]:
    """Return the scheme and the host of an address."""
    try:
        parts = urlsplit(address)
        is_whole = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path
    except ValueError:  # of the port, or of brackets
        is_whole = False
    if not is_whole:
        raise UsageError(f"{address!r} is no scheduler's address", _FORM)
    return parts.scheme, str(parts.hostname)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself; a name may be anybody's, but for `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening_host(address: str) -> str | None:
    """Return the host on which a worker of this scheduler listens: the same machine's own address, or any."""
    host = _parts(address)[1]
    return host if is_loopback(host) else None
