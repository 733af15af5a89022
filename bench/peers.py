"""Compiles 5-qubit layers with LabOne Q and with QubiC's distproc, beside ours: `bench/compile.py --peers`.

Both come from PyPI into an environment of their own, `bench/.peers`, which git ignores. Each compiles the same layers
for its own instruments, as its documentation has it; medians in one run, printed as ratios to our bytes to Q1ASM.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import venv
from pathlib import Path

BENCH = Path(__file__).parent
ENVIRONMENT = BENCH / ".peers"
PACKAGES = ("laboneq", "distproc", "qubitconfig")
SCRIPTS = {"LabOne Q": "peer_laboneq.py", "QubiC distproc": "peer_distproc.py"}
DEPTHS = (10, 100, 1000)


def python() -> Path:
    """Give the interpreter of the peers' environment, made and filled the first time."""
    found = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "filled"
    if not stamp.exists():
        print(f"installing {', '.join(PACKAGES)} into {ENVIRONMENT}")
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        for package in PACKAGES:
            if subprocess.run([found, "-m", "pip", "install", "--quiet", package], check=False).returncode:
                raise SystemExit(f"{package} cannot be had from PyPI; what pip said stands above")
        stamp.touch()
    return found


def measured(script: str) -> dict[str, float]:
    """Give the milliseconds of each depth as a peer takes them."""
    command = [str(python()), str(BENCH / script), *map(str, DEPTHS)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def compare(ours: dict[int, float]) -> dict[tuple[str, int], float]:
    """Print both peers beside our milliseconds from bytes to Q1ASM, by depth; give theirs over ours."""
    theirs = {name: measured(script) for name, script in SCRIPTS.items()}
    print(f"{'depth':>5} {'ours, ms':>9}  " + "  ".join(f"{name + ', ms (ratio)':>28}" for name in SCRIPTS))
    ratios = {(name, depth): theirs[name][str(depth)] / ours[depth] for depth in DEPTHS for name in SCRIPTS}
    for depth in DEPTHS:
        told = [f"{theirs[name][str(depth)]:.1f} ({ratios[name, depth]:.1f})" for name in SCRIPTS]
        print(f"{depth:5} {ours[depth]:9.2f}  " + "  ".join(f"{text:>28}" for text in told))
    return ratios
