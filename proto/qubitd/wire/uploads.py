"""Uploads: a request that is too big for one message goes ahead in pieces, and is then named by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from qubitd.v1 import jobs_pb2
from qubitd.wire.parsing import check_count, check_text

MAX_UNARY_BYTES = 4 * 2**20
"""Bytes of a request in one message; a bigger one is uploaded."""
PIECE_BYTES = 2**18
"""Bytes of one piece of an upload: big enough to be fast, small enough that many at once take little memory."""
MAX_PIECE_BYTES = 2**20
MAX_UPLOAD_BYTES = 64 * 2**20
_MAX_ID = 128
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A request that goes, or went, ahead."""

    upload_id: str
    """Made by the client: whoever sends it again goes on where it was."""
    size: int
    """Bytes of all pieces together."""
    sha256: bytes
    """Of all pieces together."""


def encode_upload(upload: Upload) -> jobs_pb2.Upload:
    """Give the message that names an upload."""
    return jobs_pb2.Upload(upload_id=upload.upload_id, size=upload.size, sha256=upload.sha256)


def decode_upload(message: jobs_pb2.Upload) -> Upload:
    """Read the message that names an upload.

    Raises:
        MalformedMessageError: a field is outside its limits.
    """
    check_count(len(message.sha256), where="upload, bytes of sha256", least=_HASH_BYTES, most=_HASH_BYTES)
    return Upload(
        upload_id=check_text(message.upload_id, where="upload_id", least=1, most=_MAX_ID),
        size=check_count(message.size, where="upload, size", least=1, most=MAX_UPLOAD_BYTES),
        sha256=message.sha256,
    )


def upload_of(data: bytes, upload_id: str) -> Upload:
    """Name what is to be uploaded."""
    return Upload(upload_id=upload_id, size=len(data), sha256=hashlib.sha256(data).digest())


def upload_messages(upload: Upload, data: bytes, *, first: int) -> Iterator[jobs_pb2.UploadRequest]:
    """Give the messages of an upload that goes on behind its first bytes."""
    yield jobs_pb2.UploadRequest(upload=encode_upload(upload))
    for offset in range(first, len(data), PIECE_BYTES):
        yield jobs_pb2.UploadRequest(piece=jobs_pb2.Piece(offset=offset, data=data[offset : offset + PIECE_BYTES]))
