"""Why somebody is not let in."""

from __future__ import annotations

from qubitd.core.errors import QubitdError
from qubitd.server.auth.identity import Identity, Role, caller


class AccountsError(QubitdError):
    """The file of accounts cannot be used, or holds nothing of the name."""


class CertificateError(QubitdError):
    """Certificates cannot be made or read."""


class UnauthenticatedError(QubitdError):
    """Nobody knows the caller."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; ask the lab's operator for a token (qubitd auth token)")


class DeniedError(QubitdError):
    """The caller is known and may not do this."""

    def __init__(self, *, identity: Identity, what: str, wanted: str) -> None:
        self.name = identity.name
        self.what = what
        super().__init__(
            f"{identity.name} has the role {identity.role.name.lower()}, and {what} asks for the role {wanted}; "
            f"ask the lab's operator"
        )


def require(role: Role, what: str) -> None:
    """Make sure that the caller of the RPC that is being served has a role.

    Raises:
        DeniedError: they do not.
    """
    identity = caller()
    if not identity.may(role):
        raise DeniedError(identity=identity, what=what, wanted=role.name.lower())
