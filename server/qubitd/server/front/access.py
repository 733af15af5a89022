"""How a daemon lets people in: what its data directory holds of accounts and certificates decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from qubitd.server.auth.accounts import FILE, Accounts, AccountSource, GroupAccounts, KnownAccounts
from qubitd.server.auth.certificates import CA_CERTIFICATE, SERVER_CERTIFICATE, SERVER_KEY
from qubitd.server.auth.errors import CertificateError
from qubitd.server.front.serving import check_host, is_loopback

DIRECTORY = "auth"
"""Name of the directory of accounts and certificates in the data directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in, and whether the port is encrypted."""

    accounts: AccountSource | None
    """None: everybody on loopback is `local`."""
    credentials: grpc.ServerCredentials | None
    """None for a plain port."""
    calling: grpc.ChannelCredentials = field(default_factory=grpc.ssl_channel_credentials)
    """To call other daemons with: the lab's authority and this daemon's certificate, if there are any here."""


def find_access(
    data_dir: Path, *, host: str, wants_certificates: bool, shared: Callable[[], Accounts] | None = None
) -> Access:
    """Look at what there is.

    Loopback is plain, and asks for tokens once there are accounts; everything else is TLS and asks for them always.

    Args:
        data_dir: the daemon's.
        host: where it will serve.
        wants_certificates: whether every caller must come with a certificate, which makes loopback TLS, too.
        shared: gives the accounts that a group's daemons share; None for a daemon alone.

    Raises:
        BindRefusedError: the host is not this machine, and there are no certificates or no accounts.
        CertificateError: certificates are wanted and there are none.
    """
    directory = data_dir / DIRECTORY
    has_accounts = (directory / FILE).exists() or (shared is not None and bool(shared().accounts))
    has_certificate = (directory / SERVER_CERTIFICATE).exists()
    check_host(host, has_tls=has_accounts and has_certificate)
    if wants_certificates and not has_certificate:
        raise CertificateError(f"there is no certificate in {directory}; make one: qubitd auth init")
    return Access(
        accounts=_source(KnownAccounts(directory), shared) if has_accounts else None,
        credentials=_credentials(directory, wants_certificates)
        if wants_certificates or not is_loopback(host)
        else None,
        calling=_calling(directory) if has_certificate else grpc.ssl_channel_credentials(),
    )


def _source(own: KnownAccounts, shared: Callable[[], Accounts] | None) -> AccountSource:
    return own if shared is None else GroupAccounts(shared=shared, own=own, steady=time.monotonic)


def _credentials(directory: Path, wants_certificates: bool) -> grpc.ServerCredentials:
    authority, key, certificate = _files(directory)
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        root_certificates=authority if wants_certificates else None,
        require_client_auth=wants_certificates,
    )


def _calling(directory: Path) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(*_files(directory))


def _files(directory: Path) -> tuple[bytes, bytes, bytes]:
    """The lab's authority, this daemon's key and its certificate."""
    try:
        authority, key, certificate = (
            (directory / name).read_bytes() for name in (CA_CERTIFICATE, SERVER_KEY, SERVER_CERTIFICATE)
        )
    except OSError as error:
        raise CertificateError(
            f"{error.filename} cannot be read; make the certificates anew: qubitd auth init"
        ) from error
    return authority, key, certificate
