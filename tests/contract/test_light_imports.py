"""What runs on a user's machine loads no instrument library, values load next to nothing, an emulated rack little."""

from __future__ import annotations

import subprocess
import sys

import pytest

INSTRUMENTS = ["pyvisa", "serial", "qubitd.drivers", "qubitd.emulator", "qubitd.compiler", "qubitd.server"]
LIBRARIES = [*INSTRUMENTS, "qiskit", "scipy", "matplotlib", "rich"]


def loaded_by(module: str) -> set[str]:
    program = f"import {module}, sys; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("qubitd.provider", INSTRUMENTS),
        ("qubitd.calibration", INSTRUMENTS),
        ("qubitd.client", LIBRARIES),
        ("qubitd.wire", LIBRARIES),
        ("qubitd.core", [*LIBRARIES, "grpc", "google.protobuf"]),
        ("qubitd.compiler", [*LIBRARIES[:4], "qiskit", "matplotlib", "grpc", "google.protobuf"]),
        ("qubitd.emulator.__main__", ["qiskit", "scipy", "matplotlib", "grpc", "pyvisa"]),
        ("qubitd.cli.__main__", ["qiskit", "scipy", "matplotlib", "grpc", "pyvisa"]),
    ],
)
def test_importing_a_module_loads_nothing_heavy(module: str, heavy: list[str]) -> None:
    assert loaded_by(module).isdisjoint(heavy)
