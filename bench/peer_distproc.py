"""5-qubit layers by QubiC's distproc: gates resolved, scheduled and lowered to its assembly."""

from __future__ import annotations

from typing import Any

from distproc.compiler import Compiler, get_passes
from distproc.hwconfig import FPGAConfig
from peer_layers import QUBITS, angles, main, pairs
from qubitconfig.qchip import QChip


def pulse(line: str, frequency: str, amplitude: float, length: float) -> dict[str, Any]:
    """One pulse of a gate."""
    envelope = {"env_func": "cos_edge_square", "paradict": {"ramp_fraction": 0.25, "twidth": length}}
    found = {"freq": frequency, "phase": 0.0, "dest": line, "twidth": length, "t0": 0.0, "amp": amplitude}
    return {**found, "env": [envelope]}


def chip() -> QChip:
    """Five qubits in a line."""
    gates: dict[str, Any] = {}
    for i in range(QUBITS):
        name, tone = f"Q{i}", f"Q{i}.readfreq"
        gates[f"{name}X90"] = [pulse(f"{name}.qdrv", f"{name}.freq", 0.4, 40e-9)]
        gates[f"{name}read"] = [pulse(f"{name}.rdrv", tone, 0.1, 400e-9), pulse(f"{name}.rdlo", tone, 1.0, 400e-9)]
    for i in range(QUBITS - 1):
        gates[f"Q{i}Q{i + 1}CZ"] = [pulse(f"Q{i + 1}.qdrv", f"Q{i}.freq", 0.2, 80e-9)]
    qubits = {f"Q{i}": {"freq": 5e9 + i * 1e8, "readfreq": 6.5e9 + i * 1e8} for i in range(QUBITS)}
    return QChip({"Qubits": qubits, "Gates": gates})


def layers(depth: int) -> list[dict[str, Any]]:
    """The program, in its own words."""
    source = angles(depth)
    program: list[dict[str, Any]] = []
    for layer in range(depth):
        for qubit in range(QUBITS):
            for pulses in range(3):
                program.append({"name": "virtual_z", "qubit": [f"Q{qubit}"], "phase": next(source)})
                if pulses < 2:
                    program.append({"name": "X90", "qubit": [f"Q{qubit}"]})
        program += ({"name": "CZ", "qubit": [f"Q{first}", f"Q{first + 1}"]} for first in pairs(layer))
    return program + [{"name": "read", "qubit": [f"Q{qubit}"]} for qubit in range(QUBITS)]


CHIP = chip()


def compiled(program: list[dict[str, Any]]) -> object:
    """All passes, then the assembly."""
    compiler = Compiler(program)
    compiler.run_ir_passes(get_passes(FPGAConfig(), CHIP))
    return compiler.compile()


if __name__ == "__main__":
    main(layers, compiled)
