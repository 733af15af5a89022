"""The maker's own client, unmodified, connects to the emulated Cluster, uploads, runs and reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from qblox_instruments import Cluster, SequencerStates, SequencerStatuses
from qblox_instruments.types import DebugLevel

PROGRAM = """
      move      {shots},R0
      move      0,R1
      set_mrk   2
      wait_sync 4
shot: reset_ph
      set_awg_gain 6000,6000
      upd_param 100
      play      0,0,120
      {acquire}
      add       R1,1,R1
      loop      R0,@shot
      set_mrk   0
      upd_param 4
      stop
"""
SQUARE = "acquire   0,R1,3000"
WEIGHED = "acquire_weighed 1,R1,R2,R2,3000"


@pytest.fixture
def cluster(address: str) -> Iterator[Any]:
    opened = Cluster("cluster", address, debug=DebugLevel.ERROR_CHECK)
    opened.reset()
    yield opened
    opened.close()


@pytest.fixture
def readout(cluster: Any) -> Any:
    """A QRM-RF whose LO is on the feedline's, far from any resonator."""
    module = cluster.module6
    module.out0_in0_lo_freq(7.28e9)
    module.out0_in0_lo_en(True)
    module.out0_att(10)
    return module


def prepare(sequencer: Any, *, acquire: str = SQUARE, shots: int = 20) -> None:
    sequencer.sequence(
        {
            "waveforms": {"square": {"data": [0.5] * 900, "index": 0}},
            "weights": {"flat": {"data": [1.0] * 400, "index": 0}},
            "acquisitions": {"a": {"num_bins": 100, "index": 0}, "b": {"num_bins": shots, "index": 1}},
            "program": PROGRAM.format(shots=shots, acquire=acquire),
        }
    )
    sequencer.sync_en(True)
    sequencer.mod_en_awg(True)
    sequencer.demod_en_acq(True)
    sequencer.nco_freq(-60e6)
    sequencer.integration_length_acq(400)


def run(sequencer: Any) -> Any:
    sequencer.arm_sequencer()
    sequencer.start_sequencer()
    return sequencer.get_sequencer_status(1)


def test_it_finds_the_modules(cluster: Any) -> None:
    present = [module for module in cluster.modules if module.present()]
    assert [(m.slot_idx, m.is_qrm_type, m.is_rf_type) for m in present] == [
        (1, False, True),
        (2, False, True),
        (3, False, True),
        (4, False, False),
        (5, False, False),
        (6, True, True),
    ]
    assert cluster.get_idn()["manufacturer"] == "qblox"
    assert cluster.get_system_status().status.name == "OKAY"


def test_it_runs_a_sequence_and_reads_the_acquisition(readout: Any) -> None:
    sequencer = readout.sequencer0
    prepare(sequencer)
    status = run(sequencer)
    assert (status.status, status.state) == (SequencerStatuses.OKAY, SequencerStates.STOPPED)
    assert sequencer.get_acquisition_status(1)
    bins = sequencer.get_acquisitions()["a"]["acquisition"]["bins"]
    assert bins["avg_cnt"][:20] == [1] * 20
    assert all(math.isnan(value) for value in bins["integration"]["path0"][20:])
    points = [
        complex(*point) / 400 for point in zip(bins["integration"]["path0"], bins["integration"]["path1"], strict=True)
    ]
    assert all(0.001 < abs(point) < 1 for point in points[:20])


def test_weighed_and_square_integrations_agree(readout: Any) -> None:
    means = []
    for number, acquire in ((0, SQUARE), (1, WEIGHED)):
        sequencer = readout.sequencers[number]
        prepare(sequencer, acquire=acquire)
        assert run(sequencer).status == SequencerStatuses.OKAY
        sequencer.sync_en(False)
        name = "b" if acquire == WEIGHED else "a"
        integration = sequencer.get_acquisitions()[name]["acquisition"]["bins"]["integration"]
        means.append(
            sum(complex(i, q) for i, q in zip(integration["path0"][:20], integration["path1"][:20], strict=True)) / 20
        )
    assert abs(means[0] - means[1]) < 0.2 * abs(means[0])


def test_thresholds_are_counted(readout: Any) -> None:
    sequencer = readout.sequencer0
    prepare(sequencer)
    sequencer.thresholded_acq_threshold(-1e6)
    run(sequencer)
    assert sequencer.get_acquisitions()["a"]["acquisition"]["bins"]["threshold"][:20] == [1] * 20


def test_a_program_that_does_not_assemble_is_an_error_of_the_client(readout: Any) -> None:
    with pytest.raises(RuntimeError, match="Assembly failed"):
        readout.sequencer0.sequence({"waveforms": {}, "weights": {}, "acquisitions": {}, "program": "play 0,0,3\nstop"})
    assert "out of range (4,65535)" in readout.get_assembler_log()


def test_it_wires_drive_and_flux_outputs(cluster: Any) -> None:
    drive, flux = cluster.module1, cluster.module4
    drive.disconnect_outputs()
    drive.sequencer0.connect_out1("IQ")
    drive.out1_lo_freq(5e9)
    drive.out1_lo_en(True)
    assert drive.out1_lo_freq() == 5e9
    flux.disconnect_outputs()
    flux.sequencer3.connect_out2("I")
    assert flux.sequencer3.get_sequencer_status().state == SequencerStates.IDLE


def test_it_reads_what_the_scope_recorded(readout: Any) -> None:
    readout.scope_acq_sequencer_select(0)
    readout.scope_acq_avg_mode_en_path0(True)
    readout.scope_acq_avg_mode_en_path1(True)
    sequencer = readout.sequencer0
    prepare(sequencer)
    run(sequencer)
    sequencer.store_scope_acquisition("a")
    scope = sequencer.get_acquisitions()["a"]["acquisition"]["scope"]
    for path in ("path0", "path1"):
        assert scope[path]["avg_cnt"] == 20
        assert not scope[path]["out-of-range"]
        assert len(scope[path]["data"]) == 16384
        assert 0.001 < max(map(abs, scope[path]["data"][:400])) < 1
