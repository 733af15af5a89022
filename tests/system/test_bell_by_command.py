"""A Bell pair from a user's file through everything that is installed, whatever its versions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BELL = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[2];
creg c[2];
h q[0];
cx q[0], q[1];
measure q -> c;
"""


@pytest.mark.lowest
def test_bell_file_gives_mostly_00_and_11(tmp_path: Path) -> None:
    circuit = tmp_path / "bell.qasm"
    circuit.write_text(BELL)
    command = [sys.executable, "-m", "qubitd.cli", "run", str(circuit), "--shots", "1000", "--seed", "7", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    counts = json.loads(result.stdout)["counts"]
    assert sum(counts.values()) == 1000
    assert counts["00"] + counts["11"] > 850
    assert min(counts["00"], counts["11"]) > 400
