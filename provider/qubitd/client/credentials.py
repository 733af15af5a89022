"""What a connection shows and wants to see: nothing on one's own machine, TLS for every other, or wherever it is asked
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from qubitd.client.addresses import Address
from qubitd.client.errors import AddressError


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Files of a TLS connection, each in PEM form; none of them for the system's authorities and no certificate."""

    ca: str | None = None
    """The lab's authority (`qubitd auth init` says where it is)."""
    cert: str | None = None
    """One's own certificate, where the daemon wants one."""
    key: str | None = None
    """Of that certificate."""

    def channel_credentials(self, address: Address) -> grpc.ChannelCredentials | None:
        """Give what gRPC needs; None for a plain connection.

        Raises:
            AddressError: a file cannot be read, or a certificate comes without its key.
        """
        if address.is_local and self == Credentials():
            return None
        if (self.cert is None) != (self.key is None):
            raise AddressError("cert and key belong together; give both, or neither")
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca), private_key=_read(self.key), certificate_chain=_read(self.cert)
        )


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except (OSError, TypeError, ValueError) as error:  # what is no path at all is told as well
        raise AddressError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
