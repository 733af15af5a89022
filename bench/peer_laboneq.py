"""5-qubit layers by LabOne Q, for an emulated SHFQC: a pulse or a section per gate, virtual Z as phase increments."""

from __future__ import annotations

import logging

from laboneq.simple import (
    SHFQC,
    AveragingMode,
    DeviceSetup,
    Experiment,
    ExperimentSignal,
    ModulationType,
    Oscillator,
    Session,
    SignalCalibration,
    create_connection,
    pulse_library,
)
from peer_layers import QUBITS, angles, main, pairs

X = pulse_library.gaussian(uid="x", length=40e-9, amplitude=0.4)
CZ = pulse_library.const(uid="cz", length=80e-9, amplitude=0.3)


def device_setup() -> DeviceSetup:
    """Five drive lines."""
    setup = DeviceSetup("layers")
    setup.add_dataserver(host="localhost", port="8004")
    setup.add_instruments(SHFQC(uid="shfqc", address="DEV12001", device_options="SHFQC/QC6CH"))
    for i in range(QUBITS):
        line = create_connection(to_signal=f"q{i}/drive", ports=f"SGCHANNELS/{i}/OUTPUT")
        setup.add_connections("shfqc", line)
        tone = Oscillator(frequency=1e7 * (i + 1), modulation_type=ModulationType.HARDWARE)
        signal = setup.logical_signal_groups[f"q{i}"].logical_signals["drive"]
        signal.calibration = SignalCalibration(oscillator=tone, local_oscillator=Oscillator(frequency=5e9), range=5)
    return setup


SETUP = device_setup()


def layers(depth: int) -> Experiment:
    """The experiment, in its own words."""
    source = angles(depth)
    groups = SETUP.logical_signal_groups
    signals = [ExperimentSignal(f"q{i}", map_to=groups[f"q{i}"].logical_signals["drive"]) for i in range(QUBITS)]
    experiment = Experiment("layers", signals=signals)
    with experiment.acquire_loop_rt(count=1, averaging_mode=AveragingMode.CYCLIC):
        for layer in range(depth):
            for qubit in range(QUBITS):
                with experiment.section(uid=f"turns {layer} {qubit}"):
                    for _ in range(2):
                        experiment.play(signal=f"q{qubit}", pulse=X, increment_oscillator_phase=next(source))
            for first in pairs(layer):
                with experiment.section(uid=f"cz {layer} {first}"):
                    experiment.reserve(f"q{first}")
                    experiment.play(signal=f"q{first + 1}", pulse=CZ, increment_oscillator_phase=next(source))
    return experiment


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    session = Session(SETUP)
    session.connect(do_emulation=True)
    main(layers, session.compile)
