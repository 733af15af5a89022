"""Compiles the reader of circuits: `python -m qubitd.provider.accelerate`. Nothing else ever starts a compiler.

The result is kept in the user's cache directory, one for each version of Qiskit. Without it everything works the same,
at some 1.5 us per gate instead of 0.1.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import qiskit

from qubitd.provider.errors import ProviderError
from qubitd.provider.reader import NEEDED, Reader, library_path, source

_SECONDS = 120.0


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
    include, compiler = _include(), _compiler()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        _compile(compiler, include, made)
        Reader(made)
        made.replace(path)
    return path


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


def _compiler() -> str:
    wanted = [os.environ.get("CC"), (sysconfig.get_config_var("CC") or "cc").split()[0], "cc", "gcc", "clang"]
    found = next((path for name in wanted if name and (path := shutil.which(name))), None)
    if found is None:
        raise AccelerationError("no C compiler is here (cc, gcc, clang); install one, such as with `apt install gcc`")
    return found


def _compile(compiler: str, include: str, made: Path) -> None:
    text = made.with_suffix(".c")
    text.write_text(source(), encoding="utf-8")
    command = [compiler, "-O2", "-shared", "-fPIC", f"-I{include}", str(text), "-o", str(made)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        raise AccelerationError(f"{' '.join(command)} failed: {error.stderr.strip()[-500:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccelerationError(f"{' '.join(command)} did not end: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
