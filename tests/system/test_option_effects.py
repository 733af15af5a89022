"""Every option of a run does what it says, through daemon, rack and chip; where the effect is shown elsewhere, it says
so.

`dd` is shown in test_lab_of_its_own.py, where idle qubits lose their phase; traces and heralds in
test_readout_options.py; `max_iterations` and `initial_reset` in test_provider_dynamic.py; `urgency` in
test_sessions_service.py; `equivalent_backends` in test_two_fridges.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.providers import JobError

from qubitd.cli.daemon_process import DaemonProcess
from qubitd.provider import JobRefusedError, QubitdBackend, QubitdProvider, QubitdSession

pytestmark = pytest.mark.lowest

PASSIVE_RESET = 210e-6
SHOTS = 200


def seconds_per_shot(backend: QubitdBackend, circuit: QuantumCircuit, **options: Any) -> float:
    """Time between the beginnings of two shots on the emulated instruments."""
    few, many = (backend.run(circuit, shots=shots, **options) for shots in (1, 1 + SHOTS))
    assert few.result().success
    assert many.result().success
    return (many.usage() - few.usage()) / SHOTS


def test_shots_are_how_often_a_circuit_runs(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    counts = [backend.run(flip, shots=shots).result().get_counts() for shots in (1, 77)]
    assert [sum(one.values()) for one in counts] == [1, 77]


def test_memory_keeps_every_shot(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    kept, not_kept = (backend.run(flip, shots=20, memory=memory).result().data() for memory in (True, False))
    assert len(kept["memory"]) == 20
    assert set(kept["memory"]) <= {"0x0", "0x1"}
    assert "memory" not in not_kept


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"meas_level": 0, "meas_return": "avg"}, (1, 480)),
        ({"meas_level": 1}, (30, 1)),
        ({"meas_level": 1, "meas_return": "avg"}, (1,)),
    ],
)
def test_levels_and_returns_give_arrays_of_their_shapes(
    backend: QubitdBackend, flip: QuantumCircuit, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    result = backend.run(flip, shots=30, **options).result()
    assert np.shape(result.get_memory()) == shape
    assert result.results[0].meas_level == options["meas_level"]
    assert result.results[0].meas_return == options.get("meas_return", "single")


def test_a_seed_repeats_what_the_chip_does(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    first, again, other = (
        backend.run(flip, shots=30, meas_level=1, seed_simulator=seed).result().get_memory() for seed in (4, 4, 5)
    )
    assert (first == again).all()
    assert (first != other).all()


def test_both_kinds_of_tags_find_a_job_again(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    job = backend.run(flip, shots=1, tags=["effects"], job_tags=["of options"])
    for tags in (["effects"], ["of options"], ["of options", "effects"]):
        assert [found.job_id() for found in backend.provider.jobs(tags=tags)] == [job.job_id()]
    assert backend.provider.jobs(tags=["effects", "of nothing"]) == []


def test_a_higher_priority_goes_first(
    provider: QubitdProvider, daemon: DaemonProcess, backend: QubitdBackend, flip: QuantumCircuit
) -> None:
    with QubitdSession(backend) as session:
        session.run(flip, shots=1).result()
        waiting = {priority: backend.run(flip, shots=1, priority=priority) for priority in (-1, 0, 7)}
    for job in waiting.values():
        job.result(timeout=60)
    started = {priority: job.metrics()["timestamps"]["running"] for priority, job in waiting.items()}
    assert sorted(started, key=started.__getitem__) == [7, 0, -1]


def test_rep_delay_is_the_time_between_shots_and_shortens_no_reset(
    backend: QubitdBackend, flip: QuantumCircuit
) -> None:
    usual = seconds_per_shot(backend, flip)
    assert PASSIVE_RESET < usual < PASSIVE_RESET + 2e-6
    assert seconds_per_shot(backend, flip, rep_delay=1e-3) == pytest.approx(usual - PASSIVE_RESET + 1e-3, abs=1e-9)
    assert seconds_per_shot(backend, flip, rep_delay=1e-4) == pytest.approx(usual, abs=1e-9)
    (line,) = backend.run(flip, shots=1, rep_delay=1e-4).logs()
    assert line.startswith("rep_delay: 0.0001 s is within the passive reset of 0.00021 s")
    assert backend.run(flip, shots=1, rep_delay=1e-3).logs() == ()


def test_rep_delay_comes_before_an_active_reset(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    usual, slow = (
        seconds_per_shot(backend, flip, initial_reset="active", rep_delay=delay) for delay in (None, PASSIVE_RESET / 2)
    )
    assert usual < 4e-6
    assert PASSIVE_RESET / 2 < slow < PASSIVE_RESET / 2 + usual


def test_as_soon_as_possible_measures_a_qubit_before_it_decays(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.cz(0, 1)
    circuit.delay(60, 1, unit="us")
    circuit.measure([0, 1], [0, 1])
    ones = {
        kind: backend.run(circuit, shots=500, scheduling=kind, seed_simulator=3).result().get_counts().get("01", 0)
        for kind in ("asap", "alap")
    }
    assert ones["asap"] > 450
    assert ones["alap"] < 300


def test_each_round_of_a_reset_measures_once_more(backend: QubitdBackend) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.reset(0)
    circuit.measure(0, 0)
    one, two, five = (backend.explain(circuit, reset_rounds=rounds).programs[0].duration for rounds in (1, 2, 5))
    assert two - one > backend.target["measure"][0,].duration
    assert five - two == pytest.approx(3 * (two - one), abs=1e-12)
    assert backend.run(circuit, shots=500, reset_rounds=2).result().get_counts()["0"] > 480


def test_without_a_reset_a_shot_begins_where_the_last_one_ended(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    """Each flip turns what the one before has left: 1, 0, 1, 0, unless it falls while it waits for the next shot."""

    def changes(**options: Any) -> float:
        result = backend.run(flip, shots=4000, memory=True, seed_simulator=3, **options).result()
        bits = np.array([int(bit) for bit in result.get_memory()])
        return float((bits[1:] != bits[:-1]).mean())

    assert changes() < 0.12
    at_once, later, much_later = (changes(init_qubits=False, rep_delay=delay) for delay in (0.0, 28e-6, 1e-3))
    assert at_once > 0.88
    # A chain of two levels: after 0 comes 1, and after 1 comes 0 unless it fell (T1 = 28 us, and 0.7 us of readout).
    stays = np.exp(-1 - 0.7 / 28)
    assert later == pytest.approx(2 * stays / (1 + stays), abs=0.06)
    assert much_later < 0.12


def test_without_a_reset_what_needs_one_is_refused_by_name(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    with pytest.raises(JobRefusedError, match=r"init_qubits=False asks for no reset before a shot; leave one of them"):
        backend.run(flip, init_qubits=False, initial_reset="active")
    with pytest.raises(JobError, match="averages shots that are not alike"):
        backend.run(flip, init_qubits=False, meas_level=0, meas_return="avg").result()


def test_a_revision_policy_decides_over_the_calibration(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    for policy in ("latest", "exact", "pinned"):
        assert backend.run(flip, shots=1, revision_policy=policy).result().revision == backend.revision


def test_a_misspelt_option_that_is_kept_warns_at_every_run(backend: QubitdBackend, flip: QuantumCircuit) -> None:
    backend.options.shotz = 7  # which Qiskit lets anybody do
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"no option shotz, which is ignored; did you mean shots\?") as caught:
            backend.run(flip, shots=1)
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("shots", ["many", None])
def test_what_is_no_number_is_refused_by_name_when_an_option_is_kept(backend: QubitdBackend, shots: Any) -> None:
    with pytest.raises(JobRefusedError, match=r"option shots: is .*; give a whole number from 1 to 100000"):
        backend.set_options(memory=True, shots=shots)
    assert not backend.options.memory
