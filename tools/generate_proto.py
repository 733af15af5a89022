"""Writes the Python of proto/qubitd/v1 with the pinned generator; --check says whether the committed code is current.

The generator lives in its own environment, since it would pull protobuf back in the main one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
PACKAGE = PROTO / "qubitd" / "v1"
GENERATOR = ROOT / ".venv-gen" / "bin"
GENERATED = ("*_pb2.py", "*_pb2_grpc.py", "*_pb2.pyi", "*_pb2_grpc.pyi")


def main() -> int:
    """Generate, or check; the exit code is 1 when the committed code is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the committed code is stale")
    check = parser.parse_args().check
    if subprocess.run(["sh", ROOT / "tools" / "setup_environment.sh", "gen"], check=False).returncode:
        return 1
    fresh = generate()
    stale = stale_files(fresh)
    if not check:
        write(fresh, stale)
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is stale; type: python tools/generate_proto.py\n")
    return 1 if stale else 0


def generate() -> dict[Path, bytes]:
    """Return the code that belongs beside the protos, by the path where it should be."""
    protos = sorted(PACKAGE.glob("*.proto"))
    if not protos:
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([*generator_command(Path(scratch)), *protos], check=True)
        written = Path(scratch) / PACKAGE.relative_to(PROTO)
        return {PACKAGE / path.name: path.read_bytes() for path in written.iterdir()}


def generator_command(target: Path) -> list[str | Path]:
    """Return the compiler's command line without the protos; plugins are named by path, not found by PATH."""
    return [
        GENERATOR / "python",
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTO}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--plugin=protoc-gen-mypy={GENERATOR / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={GENERATOR / 'protoc-gen-mypy_grpc'}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
    ]


def stale_files(fresh: Mapping[Path, bytes]) -> list[Path]:
    """Return what differs from the fresh code, is missing, or belongs to no proto any more."""
    present = {path for pattern in GENERATED for path in PACKAGE.glob(pattern)}
    return sorted(path for path in present | fresh.keys() if not is_current(path, fresh.get(path)))


def is_current(path: Path, content: bytes | None) -> bool:
    return content is not None and path.exists() and path.read_bytes() == content


def write(fresh: Mapping[Path, bytes], stale: list[Path]) -> None:
    for path in stale:
        if path in fresh:
            path.write_bytes(fresh[path])
        else:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
