"""Compiles the reader of circuits: `python -m qubitd.provider.accelerate`. Nothing else here starts a compiler.

The result is kept in the user's cache directory, one for each version of Qiskit. Without it everything works the same,
at some 1 us per gate instead of 0.1.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import qiskit

from qubitd.core import native
from qubitd.core.native import NativeError
from qubitd.provider.errors import ProviderError
from qubitd.provider.reader import NEEDED, Reader, library_path, source


class AccelerationError(ProviderError):
    """The reader cannot be compiled here; circuits are read in Python."""


def build() -> Path:
    """Compile the reader and give its path; if it is there already, leave it as it is.

    Raises:
        AccelerationError: this Qiskit has no C API, there is no compiler, or it fails.
    """
    path = library_path()
    if path.exists():
        return path
    include = _include()
    try:
        return native.build(source(), path, check=Reader, include=[include])
    except NativeError as error:
        raise AccelerationError(str(error)) from error


def main() -> int:
    """Build, and say where it is or why not."""
    try:
        path = build()
    except AccelerationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"circuits are read by {path} from now on\n")
    return 0


def _include() -> str:
    """Find the headers of the C API."""
    try:
        api = importlib.import_module("qiskit.capi")
    except ImportError:
        api = None
    missing = [name for name in NEEDED if not hasattr(api, name)]
    if missing:
        raise AccelerationError(
            f"Qiskit {qiskit.__version__} has no {', '.join(missing)} in its C API; 2.6 and later have. "
            "Circuits are read in Python"
        )
    return str(api.get_include())  # type: ignore[union-attr]  # a module that has all of NEEDED


if __name__ == "__main__":
    sys.exit(main())
