"""Certificates for a scheduler, its workers and the commands that use it: whoever has the folder is one of them."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from matrix.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ROOT, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
DAYS = 366


def make(folder: Path) -> None:
    """Make a root, and a certificate that it has signed, with its key.

    The root's own key is in no file: nobody can sign another certificate, and a new folder ends the old one's use.

    Raises:
        UsageError: the folder has certificates already.

    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (ROOT, CERTIFICATE, KEY):
        if (folder / name).exists():
            raise UsageError(f"{folder / name} is there already", "Name a new folder, and give it to all machines.")
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    own_name, root_name = _name("perf-matrix"), _name("perf-matrix root")
    is_root = x509.BasicConstraints(ca=True, path_length=0)
    root = _unsigned(root_name, root_name, root_key).add_extension(is_root, critical=True)
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    own = _unsigned(own_name, root_name, key).add_extension(usages, critical=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / KEY, private)
    _write(folder / CERTIFICATE, own.sign(root_key, hashes.SHA256()).public_bytes(pem))
    _write(folder / ROOT, root.sign(root_key, hashes.SHA256()).public_bytes(pem))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _unsigned(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # a worker's clock may be behind
        .not_valid_after(now + dt.timedelta(days=DAYS))
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
