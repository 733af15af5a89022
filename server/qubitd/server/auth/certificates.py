"""A certificate authority of the lab's own, the daemon's certificate, and those of callers who come without a token."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qubitd.server.auth.errors import CertificateError

CA_CERTIFICATE = "ca.pem"
CA_KEY = "ca.key"
SERVER_CERTIFICATE = "server.pem"
SERVER_KEY = "server.key"
_CA_DAYS = 3650
_DAYS = 825
_CLOCK_SLACK = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A certificate with its key, as PEM."""

    certificate: bytes
    key: bytes


def make_authority(directory: Path, *, name: str, now: dt.datetime) -> None:
    """Make the lab's authority. One that is there already is left alone.

    Raises:
        CertificateError: the files cannot be written.
    """
    if (directory / CA_CERTIFICATE).exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    certificate = (
        _builder(subject, subject, key, now, days=_CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(directory, CA_CERTIFICATE, CA_KEY, _signed(certificate, key))


def make_server_certificate(directory: Path, hosts: Sequence[str], *, now: dt.datetime) -> None:
    """Make the daemon's certificate for the hosts under which clients reach it, and to call other daemons with.

    Raises:
        CertificateError: there is no authority, or the files cannot be written.
    """
    usages = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    made = _issue(directory, hosts[0], now=now, usages=usages, names=[_host(host) for host in hosts])
    _write(directory, SERVER_CERTIFICATE, SERVER_KEY, made)


def issue_client_certificate(directory: Path, name: str, *, now: dt.datetime) -> Signed:
    """Make a certificate for a caller; its name is that of an account.

    Raises:
        CertificateError: there is no authority.
    """
    return _issue(directory, name, now=now, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,), names=[x509.DNSName("client")])


def is_daemons(certificate: bytes) -> bool:
    """Whether a certificate, as PEM, is one to serve with: those that callers get are not."""
    try:
        extensions = x509.load_pem_x509_certificate(certificate).extensions
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in usages


def write_private(path: Path, data: bytes) -> None:
    """Write a file that its owner alone can read; make its folder if need be.

    Raises:
        CertificateError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise CertificateError(f"{path} cannot be written: {error.strerror or error}") from error


def _issue(
    directory: Path,
    name: str,
    *,
    now: dt.datetime,
    usages: Sequence[x509.ObjectIdentifier],
    names: list[x509.GeneralName],
) -> Signed:
    authority, authority_key = _authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(name), authority.subject, key, now, days=_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _signed(certificate, key)


def _authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((directory / CA_CERTIFICATE).read_bytes())
        key = serialization.load_pem_private_key((directory / CA_KEY).read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"{directory} holds no authority that can be read; make one: qubitd auth init"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{directory / CA_KEY} is no elliptic-curve key; make another: qubitd auth init")
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, *, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _signed(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Signed:
    return Signed(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(directory: Path, certificate: str, key: str, made: Signed) -> None:
    write_private(directory / key, made.key)
    write_private(directory / certificate, made.certificate)
