"""The demo's jobs, in order: each is followed from status to status, judged, and drawn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile

from qubitd.cli.demo_rack import DemoRack
from qubitd.cli.display import Display, block_character
from qubitd.cli.histogram_text import histogram_lines
from qubitd.cli.pictures.histogram import Outcomes, draw_histograms
from qubitd.cli.pictures.iq import QubitClouds, draw_iq
from qubitd.cli.pictures.pulses import PlayedLine, draw_pulses
from qubitd.cli.played import played_lines
from qubitd.compiler.agreement import agrees, hellinger_fidelity
from qubitd.compiler.device_file import load_device
from qubitd.compiler.expected import expected, ideal
from qubitd.core.discriminator import discriminator_of
from qubitd.core.snapshot import Snapshot
from qubitd.drivers.rack_file import load_rack
from qubitd.provider import QubitdBackend, QubitdJob, QubitdProvider
from qubitd.provider.encode import Encoder

LEAST_P_VALUE = 1e-3
"""Of all circuits together: each must reach its share."""
_FIRST_JOB, _EACH_JOB, _DRAWING = 0.3, 0.2, 0.9
"""What of the whole is done by then, for the bar."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tour:
    """What one run of the demo works with."""

    display: Display
    rack: DemoRack
    provider: QubitdProvider
    seed: int
    shots: int

    def run(self, backend: QubitdBackend, folder: Path) -> bool:
        """Run everything, write the pictures into a folder; give whether all counts are as expected."""
        snapshot = self.provider.client.snapshot(backend.info.name, backend.revision)
        self.display.state("transpiling", 0.2)
        bell, ghz = self._transpiled(backend, _bell()), self._transpiled(backend, _ghz(backend.num_qubits))
        outcomes = [self._outcomes(backend, bell, "Bell pair", snapshot, number=0)]
        lines = self._played(snapshot)
        outcomes.append(self._outcomes(backend, ghz, f"GHZ on {backend.num_qubits} qubits", snapshot, number=1))
        clouds = self._clouds(backend, ghz, snapshot, number=2)
        agreed = judge(outcomes, self.display, seed=self.seed)
        self.display.state("drawing", _DRAWING)
        self._save(folder, "pulses.png", draw_pulses(lines, title="One shot of the Bell pair, as the rack played it"))
        self._save(folder, "iq.png", draw_iq(clouds, experiment="GHZ circuit"))
        self._save(folder, "histogram.png", draw_histograms(outcomes, source=_source(backend)))
        return agreed

    def _transpiled(self, backend: QubitdBackend, circuit: QuantumCircuit) -> QuantumCircuit:
        made: QuantumCircuit = transpile(circuit, backend, optimization_level=2, seed_transpiler=self.seed)
        return made

    def _outcomes(
        self, backend: QubitdBackend, circuit: QuantumCircuit, title: str, snapshot: Snapshot, *, number: int
    ) -> Outcomes:
        job = backend.run(circuit, shots=self.shots, seed_simulator=self.seed + number)
        self._follow(job, title, number)
        batch = Encoder(backend.info).encode([circuit]).batch
        device = load_device(backend.info.name).device
        return Outcomes(
            title=title,
            counts=dict(job.result().get_counts()),
            ideal=ideal(device, snapshot, batch)[0],
            expected=expected(device, snapshot, batch)[0],
        )

    def _follow(self, job: QubitdJob, title: str, number: int) -> None:
        """Show each change of state when it is pushed."""
        done = _FIRST_JOB + _EACH_JOB * number
        self.display.say(f"{title}: job {job.job_id()}")
        began = time.monotonic()
        for status in job.statuses():
            self.display.state(f"{title}: {status.name}", done)
            self.display.say(f"  {(time.monotonic() - began) * 1e3:6.0f} ms  {status.name}")

    def _played(self, snapshot: Snapshot) -> tuple[PlayedLine, ...]:
        """Ask the rack what it just played."""
        wiring = load_rack()
        frequencies = {name: frequency for name in wiring.lines if (frequency := _carrier(snapshot, name))}
        return played_lines(self.rack.last_played(), wiring, frequencies)

    def _clouds(
        self, backend: QubitdBackend, ghz: QuantumCircuit, snapshot: Snapshot, *, number: int
    ) -> list[QubitClouds]:
        """Ask for IQ points instead of bits: all qubits in 0, all in 1, and the GHZ circuit."""
        circuits = [_prepared(backend.num_qubits, excited=False), _prepared(backend.num_qubits, excited=True), ghz]
        job = backend.run(
            circuits, shots=self.shots, meas_level=1, meas_return="single", seed_simulator=self.seed + number
        )
        self._follow(job, "IQ points", number)
        result = job.result()
        ground, excited, experiment = (
            _by_qubit(circuit, np.asarray(result.get_memory(i), dtype=np.complex64))
            for i, circuit in enumerate(circuits)
        )
        return [
            QubitClouds(
                qubit=f"q{i}",
                discriminator=discriminator_of(snapshot, f"q{i}"),
                ground=ground[i],
                excited=excited[i],
                experiment=experiment[i],
            )
            for i in range(backend.num_qubits)
        ]

    def _save(self, folder: Path, name: str, figure: Figure) -> None:
        figure.savefig(folder / name, dpi=150)
        self.display.say(f"picture: {folder / name}")


def judge(outcomes: Sequence[Outcomes], display: Display, *, seed: int) -> bool:
    """Show counts beside predictions, and give whether all agree with what the calibration predicts."""
    width = shutil.get_terminal_size((100, 24)).columns
    lines = histogram_lines(outcomes, width=width, block=block_character())
    for line in ("", *lines, ""):
        display.say(line)
    least = LEAST_P_VALUE / len(outcomes)
    p_values = [agrees(one.counts, one.expected, seed=seed) for one in outcomes]
    for one, p in zip(outcomes, p_values, strict=True):
        display.say(
            f"{one.title}: Hellinger fidelity {hellinger_fidelity(one.counts, one.ideal):.4f} to ideal, "
            f"{hellinger_fidelity(one.counts, one.expected):.4f} to expected; "
            f"{'as expected' if p >= least else 'NOT as expected'} (p = {p:.2g}, at least {least:g})"
        )
    return min(p_values) >= least


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def _ghz(num_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits, name="ghz")
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def _prepared(num_qubits: int, *, excited: bool) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits, name="all 1" if excited else "all 0")
    if excited:
        circuit.x(range(num_qubits))
    circuit.measure_all()
    return circuit


def _by_qubit(circuit: QuantumCircuit, memory: NDArray[np.complex64]) -> dict[int, NDArray[np.complex64]]:
    """Sort the columns of IQ data, one per classical bit, by the qubit that was measured into it."""
    measured = [step for step in circuit.data if step.operation.name == "measure"]
    return {
        circuit.find_bit(step.qubits[0]).index: memory[:, circuit.find_bit(step.clbits[0]).index] for step in measured
    }


def _carrier(snapshot: Snapshot, line: str) -> float:
    """Give the frequency of the tones on a line, 0 for one without."""
    qubit, _, kind = line.partition(".")
    names = {"drive": f"{qubit}.frequency", "readout": f"{qubit}.readout.frequency"}
    return snapshot.value(names[kind]) if kind in names else 0.0


def _source(backend: QubitdBackend) -> str:
    return f"{backend.info.name}, calibration revision {backend.revision}, {backend.revision_time:%Y-%m-%d %H:%M} UTC"
