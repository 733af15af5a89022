"""Requests that are too big for one message, as files that grow piece by piece until somebody names them.

Only the file says how far an upload has come, so it goes on after a cut, or in the next daemon. Nothing of it stays in
memory.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qubitd.core.errors import Problem
from qubitd.server.auth.identity import LOCAL
from qubitd.server.errors import InvalidRequestError, TooBusyError, UnknownUploadError, UploadRefusedError
from qubitd.server.failpoints import failpoint
from qubitd.wire.uploads import MAX_PIECE_BYTES, Upload

_log = logging.getLogger(__name__)
DIRECTORY = "uploads"
"""Name of the folder in the data directory."""
LIFETIME = 600.0
"""Seconds after its last piece, or after the daemon's start, for which an upload is kept."""
MOST_AT_ONCE = 8
"""Uploads that are under way; each holds a few pieces in memory."""
TOGETHER_BYTES = 2**20
"""Bytes of pieces that are written together."""
LEAST_PIECE_BYTES = 1024
"""As which a smaller piece counts among those that are written together."""
MOST_OF_ONE = 2
"""Of one project, unless it is the machine's own."""


class Uploads:
    """The folder of uploads."""

    def __init__(self, directory: Path, *, steady: Callable[[], float] = time.monotonic) -> None:
        """Keep uploads in a folder; `steady` gives seconds on a clock that nobody sets."""
        self._directory = directory
        self._steady = steady
        self._left: dict[Path, float] = {}
        self._open: Counter[str] = Counter()
        self._busy: set[Path] = set()
        self._opened: dict[Path, int] = {}
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def under_way(self, owner: str, upload: Upload) -> Generator[Growing]:
        """Let an upload grow; one at a time for each.

        Raises:
            TooBusyError: too many are under way.
        """
        path = self.path(owner, upload)
        if path in self._busy:
            raise TooBusyError(what=f"upload {upload.upload_id!r} is under way already, in another call", limit=1)
        if self._open.total() >= MOST_AT_ONCE:
            raise TooBusyError(what=f"{self._open.total()} uploads are under way already", limit=MOST_AT_ONCE)
        if owner != LOCAL.project and self._open[owner] >= MOST_OF_ONE:
            raise TooBusyError(what=f"{MOST_OF_ONE} uploads of {owner} are under way already", limit=MOST_OF_ONE)
        if not path.exists():
            self._opened[path] = time.time_ns()
        self._open[owner] += 1
        self._busy.add(path)
        try:
            yield Growing(path, upload)
        finally:
            self._open[owner] -= 1
            self._busy.discard(path)
            self._left[path] = self._steady()

    def opened_ns(self, owner: str, upload: Upload) -> int | None:
        """Give when an upload was opened, ns since 1970-01-01 UTC; None if an earlier daemon saw that."""
        return self._opened.get(self.path(owner, upload))

    def drop(self, owner: str, upload: Upload) -> None:
        """Remove an upload that nobody needs any more."""
        self._remove(self.path(owner, upload))

    def tidy(self) -> None:
        """Remove those to which nothing was added for a while."""
        now = self._steady()
        self._opened = {path: at for path, at in self._opened.items() if path.exists()}
        self._left = {path: self._left.get(path, now) for path in self._directory.iterdir()}
        for path in [path for path, at in self._left.items() if now - at > LIFETIME]:
            if path not in self._busy:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        self._opened.pop(path, None)
        path.unlink(missing_ok=True)

    def path(self, owner: str, upload: Upload) -> Path:
        """Give the file of an upload; other content under the same id is another upload."""
        name = hashlib.sha256(f"{owner}\0{upload.upload_id}\0{upload.size}\0".encode() + upload.sha256)
        return self._directory / name.hexdigest()


class Growing:
    """An upload that is under way."""

    def __init__(self, path: Path, upload: Upload) -> None:
        self._path = path
        self._upload = upload

    @property
    def received(self) -> int:
        """Bytes that are here."""
        return self._path.stat().st_size if self._path.exists() else 0

    def add(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        """Add pieces, each with its offset; what is here already is not written again.

        Raises:
            InvalidRequestError: a piece is too big, leaves a gap, or reaches beyond the end.
            UploadRefusedError: the disk did not take it.
        """
        try:
            self._append(pieces)
        except OSError as error:
            _log.error("the disk refused a piece of an upload", extra={"path": str(self._path), "cause": str(error)})
            cause = error.strerror or type(error).__name__
            raise UploadRefusedError(upload_id=self._upload.upload_id, cause=cause) from error
        failpoint("upload.piece")

    def _append(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        received = self.received
        with self._path.open("ab") as file:
            for offset, data in pieces:
                wrong = _wrong(offset, data, received, self._upload.size)
                if wrong:
                    where = f"upload {self._upload.upload_id}, offset {offset}"
                    raise InvalidRequestError([Problem(where=where, what=wrong)])
                received += file.write(data[received - offset :])


def read_whole(path: Path, upload: Upload) -> bytes:
    """Give a whole upload from its file, which stays.

    Raises:
        UnknownUploadError: it is not here, or not whole.
        InvalidRequestError: it is not what its hash says; it is removed.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnknownUploadError(upload_id=upload.upload_id, received=0, size=upload.size) from error
    if len(data) < upload.size:
        raise UnknownUploadError(upload_id=upload.upload_id, received=len(data), size=upload.size)
    if hashlib.sha256(data).digest() != upload.sha256:
        path.unlink(missing_ok=True)
        what = "is not what was announced: the SHA-256 differs; send it again"
        raise InvalidRequestError([Problem(where=f"upload {upload.upload_id}", what=what)])
    return data


def read_part(path: Path, upload: Upload, part: slice) -> bytes:
    """Give some bytes of an upload that was read whole before.

    Raises:
        UnknownUploadError: it was removed meanwhile: a job came of it in another call.
    """
    try:
        with path.open("rb") as file:
            received = file.seek(0, os.SEEK_END)
            file.seek(part.start)
            data = file.read(part.stop - part.start)
    except FileNotFoundError as error:
        raise UnknownUploadError(upload_id=upload.upload_id, received=0, size=upload.size) from error
    if received < upload.size:  # it is being sent again
        raise UnknownUploadError(upload_id=upload.upload_id, received=received, size=upload.size)
    return data


def _wrong(offset: int, data: bytes, received: int, size: int) -> str:
    if len(data) > MAX_PIECE_BYTES:
        return f"has {len(data)} bytes in one piece; the limit is {MAX_PIECE_BYTES}"
    if offset > received:
        return f"leaves a gap: {received} bytes are here"
    return f"reaches beyond the {size} bytes that were announced" if offset + len(data) > size else ""
