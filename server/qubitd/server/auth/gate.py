"""Every call passes here: who calls, and whether they may. What is refused is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from qubitd.server.auth.accounts import Accounts, AccountSource
from qubitd.server.auth.certificates import is_daemons
from qubitd.server.auth.errors import DeniedError, UnauthenticatedError
from qubitd.server.auth.identity import LOCAL, Identity, calling
from qubitd.server.auth.rights import RIGHTS, allows

PASSED_ON = "qubitd-passed-on"
"""Metadata of a call that came through another daemon."""
SPEAKS_FOR = "qubitd-speaks-for"
"""Metadata in which a daemon names the caller whose certificate it has seen."""
_BEARER = "bearer "
Remember = Callable[[str, str], None]
"""Who, what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a caller shows of who they are."""

    token: str | None = None
    certificate: str | None = None
    """Name in the certificate that TLS has checked."""
    is_passed_on: bool = False
    """Whether the call came through another daemon, which let its caller in."""
    speaks_for: str | None = None
    """Name in the certificate of the caller for whom another daemon asks."""
    is_daemons: bool = False
    """Whether who speaks for another has a daemon's certificate: nobody else may."""


def shown(metadata: Iterable[tuple[str, str | bytes]], tls: Mapping[str, Iterable[bytes]]) -> Shown:
    """Read what came with a call: the header `authorization: Bearer TOKEN`, and what TLS proved."""
    metadata = tuple(metadata)
    headers = (value for key, value in metadata if key == "authorization" and isinstance(value, str))
    tokens = (value[len(_BEARER) :].strip() for value in headers if value.lower().startswith(_BEARER))
    names = (name.decode(errors="replace") for name in tls.get("x509_common_name", ()))
    is_passed_on = any(key == PASSED_ON for key, _ in metadata)
    meant = next((unquote(value) for key, value in metadata if key == SPEAKS_FOR and isinstance(value, str)), None)
    return Shown(
        token=next(tokens, None),
        certificate=next(names, None),
        is_passed_on=is_passed_on,
        speaks_for=meant,
        is_daemons=meant is not None and any(map(is_daemons, tls.get("x509_pem_cert", ()))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets callers in."""

    accounts: AccountSource | None
    """None on loopback without accounts: then everybody is `local`."""
    remember: Remember
    """Told of what is refused."""
    now: Callable[[], int] = time.time_ns

    @contextmanager
    def let_in(self, rpc: str, proof: Shown) -> Generator[None]:
        """Serve an RPC for its caller, and remember who is refused: at the door, or by what is done inside.

        Raises:
            UnauthenticatedError: nobody knows them.
            DeniedError: they may not call it, or not ask for this.
            AccountsError: the file of accounts cannot be read.
        """
        try:
            with calling(self.admit(rpc, proof)):
                yield
        except UnauthenticatedError:
            self.remember("unknown", f"refused at {rpc}")
            raise
        except DeniedError as denied:
            self.remember(denied.name, f"denied {rpc}: {denied.what}" if denied.what != rpc else f"denied {rpc}")
            raise

    def admit(self, rpc: str, proof: Shown) -> Identity:
        """Give the caller of an RPC.

        Raises:
            UnauthenticatedError: nobody knows them.
            DeniedError: they may not call it.
            AccountsError: the file of accounts cannot be read.
        """
        identity = self._identify(proof)
        if identity is None:
            raise UnauthenticatedError(_why(proof))
        if not allows(identity, rpc):
            wanted = RIGHTS[rpc].name.lower() if rpc in RIGHTS else "of nobody"
            raise DeniedError(identity=identity, what=rpc, wanted=wanted)
        return identity

    def _identify(self, proof: Shown) -> Identity | None:
        if self.accounts is None:
            # Whoever has an account elsewhere has no more rights here than there, where nobody can look.
            has_account = proof.token is not None or proof.speaks_for is not None
            return None if proof.is_passed_on and has_account else LOCAL
        return self._known(self.accounts.current, proof)

    def _known(self, accounts: Accounts, proof: Shown) -> Identity | None:
        now = self.now()
        if proof.speaks_for is not None:
            return accounts.by_certificate(proof.speaks_for, now_ns=now) if proof.is_daemons else None
        if proof.token is not None:
            return accounts.by_token(proof.token, now_ns=now)
        if proof.certificate is not None:
            return accounts.by_certificate(proof.certificate, now_ns=now)
        return None


def _why(proof: Shown) -> str:
    if proof.token is None and proof.certificate is None:
        return "this daemon wants a token, and looks at certificates only if it is started with --client-certificates"
    return f"the {'certificate' if proof.token is None else 'token'} is unknown, expired or revoked"
