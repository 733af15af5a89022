"""Loops in C beside the same ones in NumPy, for a machine on which somebody had them compiled.

A package that has such loops keeps their source beside its modules and says so with a `NativeSource`. The result is
kept in the user's cache directory under the digest of the source, so another version of qubitd never loads an old one.
No compiler is started unless `NativeSource.build` is called. Without a library everything is the same, but later.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qubitd.core.errors import QubitdError

_log = logging.getLogger(__name__)

OFF = "QUBITD_NUMPY_ONLY"
"""Environment variable; if it is set and not empty, no compiled loop is loaded."""
_addressof = ctypes.addressof
_first_of: Callable[[Any], ctypes.c_char] = ctypes.c_char.from_buffer
_KINDS = (np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float64)
_DTYPES: Mapping[type[np.generic], np.dtype[np.generic]] = {kind: np.dtype(kind) for kind in _KINDS}
"""Of most arrays, each the only one of its kind."""
_SECONDS = 120.0
_FLAGS = ("-O3", "-fno-math-errno", "-ffp-contract=off", "-fwrapv", "-shared", "-fPIC")
"""No multiplication is fused with an addition, and integers wrap: numbers are to be those of NumPy, to the last bit."""


class NativeError(QubitdError):
    """Loops cannot be compiled here; NumPy's are used."""


@dataclass(slots=True, eq=False)
class NativeSource:
    """Some loops in C, and the library that they were compiled to, if they were."""

    package: str
    """That has the source."""
    name: str
    """Of the source, without `.c`."""
    functions: Mapping[str, Sequence[str]]
    """Kinds of arguments of each function: `p` an array's address, `n` an integer."""
    _library: ctypes.CDLL | None = field(default=None, init=False)
    _is_asked: bool = field(default=False, init=False)

    @property
    def text(self) -> str:
        """C."""
        return files(self.package).joinpath(f"{self.name}.c").read_text(encoding="utf-8")

    @property
    def path(self) -> Path:
        """Say where the library for this source and this machine is kept, whether or not it is there."""
        return library_path(self.name, self.text)

    @property
    def library(self) -> ctypes.CDLL | None:
        """Give the loops; None if there are none, or none are wanted."""
        if not self._is_asked:
            self._is_asked = True
            self._library = None if os.environ.get(OFF) else self._load()
        return self._library

    def build(self) -> Path:
        """Compile the loops, unless that was done, and use them from now on.

        Raises:
            NativeError: there is no compiler, or it fails.
        """
        path = build(self.text, self.path, check=self._open)
        self._library, self._is_asked = self._open(path), True
        return path

    @contextmanager
    def left_out(self) -> Generator[None]:
        """Do without for a while, to compare."""
        kept, asked = self._library, self._is_asked
        self._library, self._is_asked = None, True
        try:
            yield
        finally:
            self._library, self._is_asked = kept, asked

    def _load(self) -> ctypes.CDLL | None:
        try:
            path = self.path
            found = self._open(path) if path.exists() else None
        except (OSError, AttributeError, RuntimeError) as error:  # damaged, of another machine, or there is no home
            _log.warning("compiled loops cannot be loaded", extra={"loops": self.name, "cause": str(error)})
            return None
        _log.info("loops are in C" if found else "loops are NumPy's", extra={"loops": self.name})
        return found

    def _open(self, path: Path) -> ctypes.CDLL:
        library = ctypes.CDLL(str(path))
        kinds = {"p": ctypes.c_void_p, "n": ctypes.c_int64}
        for name, arguments in self.functions.items():
            function = getattr(library, name)
            function.argtypes, function.restype = [kinds[kind] for kind in arguments], ctypes.c_int64
        return library


def address(array: NDArray[np.generic], kind: type[np.generic]) -> int:
    """Give where an array's numbers begin, for a loop that takes this kind of them one after another.

    Raises:
        TypeError: the array is of another kind, or its numbers do not follow each other.
    """
    is_meant = array.dtype is _DTYPES.get(kind) or array.dtype == kind  # one look mostly does
    if is_meant and array.flags.writeable:
        try:
            return _addressof(_first_of(array))  # a fifth of the time that NumPy needs to tell
        except (TypeError, ValueError):  # not in a row, or there is no first one
            pass
    if not (is_meant and array.flags.c_contiguous):
        raise TypeError(
            f"an array of {array.dtype} with strides {array.strides} where {kind.__name__} in a row is meant"
        )
    found: int = array.__array_interface__["data"][0]
    return found


def ints(array: NDArray[np.int64]) -> int:
    """Give where whole numbers begin; as `address`."""
    return address(array, np.int64)


def floats(array: NDArray[np.float64]) -> int:
    """Give where numbers begin; as `address`."""
    return address(array, np.float64)


def room(count: int) -> NDArray[np.int64]:
    """Give an array for a loop to write whole numbers to."""
    return np.empty(count, dtype=np.int64)


def build(text: str, path: Path, *, check: Callable[[Path], object], include: Sequence[str] = ()) -> Path:
    """Compile C, unless that was done, and put the library where it belongs once it can be loaded.

    Args:
        text: the source.
        path: of the library.
        check: loads it, and raises what is wrong with it.
        include: folders of headers.

    Raises:
        NativeError: there is no compiler, or it fails.
    """
    if path.exists():
        return path
    compiler = _compiler()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        _compile(compiler, text, made, include)
        check(made)
        made.replace(path)
    return path


def library_path(name: str, text: str, *about: str) -> Path:
    """Say where the library of a source is kept on this machine, and for whatever else it is about."""
    digest = hashlib.sha256("\0".join((text, *_FLAGS)).encode()).hexdigest()[:12]
    parts = "-".join((name, digest, *about, platform.system(), platform.machine()))
    return cache_directory() / "accelerator" / f"{parts.lower()}.so"


def cache_directory(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Give the folder where the platform keeps what qubitd can make again."""
    environment = os.environ if environment is None else environment
    if platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(environment.get("XDG_CACHE_HOME", ""))
        base = base if base.is_absolute() else Path.home() / ".cache"
    return base / "qubitd"


def _compiler() -> str:
    wanted = [os.environ.get("CC"), (sysconfig.get_config_var("CC") or "cc").split()[0], "cc", "gcc", "clang"]
    found = next((path for name in wanted if name and (path := shutil.which(name))), None)
    if found is None:
        raise NativeError("no C compiler is here (cc, gcc, clang); install one, such as with `apt install gcc`")
    return found


def _compile(compiler: str, text: str, made: Path, include: Sequence[str]) -> None:
    source = made.with_suffix(".c")
    source.write_text(text, encoding="utf-8")
    command = [compiler, *_FLAGS, *(f"-I{folder}" for folder in include), str(source), "-o", str(made), "-lm"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        raise NativeError(f"{' '.join(command)} failed: {error.stderr.strip()[-500:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeError(f"{' '.join(command)} did not end: {error}") from error
