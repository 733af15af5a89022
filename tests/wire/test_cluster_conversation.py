"""Exact conversations with a Cluster that is another one, that reports faults, or that somebody else has touched."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.core.envelope import Square, sample_envelope
from qubitd.core.program import Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly, SequencerLoad
from qubitd.drivers.cluster.conversation import Acquired, ClusterConversation
from qubitd.drivers.cluster.known_settings import KnownSettings
from qubitd.drivers.cluster.protocol import BIN
from qubitd.drivers.cluster.scope import ScopeLoad
from qubitd.drivers.cluster.waveforms import Waveform
from qubitd.drivers.cluster.wiring import SequencerAddress
from qubitd.drivers.errors import (
    InstrumentChangedError,
    InstrumentFaultError,
    MalformedAnswerError,
    WrongInstrumentError,
)
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack_file import load_rack
from qubitd.drivers.visa.opening import open_link

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder
    from tests.wire.conftest import Peer

StartPeer = Callable[[Callable[["Peer", socket.socket], None]], "Peer"]
Speak = Callable[[Sequence[tuple[str, bytes]]], tuple[ClusterConversation, "Peer"]]

IDENTITY = b"Qblox,Cluster MM,00015_2134_003,fwVersion=0.7.0\r\n"
CLUSTER = replace(load_rack().instruments["cluster"], serial="00015_2134_003")
ADDRESS = SequencerAddress(slot=6, sequencer=0)


def block(data: bytes) -> bytes:
    return b"#%d%d" % (len(str(len(data))), len(data)) + data


def description(**changed: str) -> bytes:
    kinds = {str(slot.slot): slot.kind for slot in CLUSTER.slots} | changed
    modules = {
        slot: {"model": f"cluster_{kind.removesuffix('-RF').lower()}", "is_rf": kind.endswith("RF")}
        for slot, kind in kinds.items()
        if kind
    }
    return block(json.dumps({"modules": modules}).encode()) + b"\r\n"


def samples(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


@pytest.fixture
def speak(peer: StartPeer) -> Iterator[Speak]:
    """Start a peer that expects exactly these questions, and answers them. Its link is closed with the test."""
    with ExitStack() as links:

        def start(script: Sequence[tuple[str, bytes]]) -> tuple[ClusterConversation, Peer]:
            def behave(peer: Peer, connection: socket.socket) -> None:
                for question, answer in script:
                    line = peer.line(connection)
                    connection.sendall(answer if line == question + "\n" else b"unexpected\r\n")
                peer.released.wait()

            there = peer(behave)
            link = links.enter_context(closing(open_link(there.resource, timeout=5.0)))
            return ClusterConversation(link), there

        yield start


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (
            b"Qblox,Cluster MM,00099_9999_999,fwVersion=0.7.0\r\n",
            "its serial number is 00099_9999_999, the rack file says",
        ),
        (b"Qblox,Pulsar QCM,00015_2134_003,fwVersion=0.7.0\r\n", "Pulsar QCM.*not a Qblox Cluster"),
        (b"TEKTRONIX,AWG5208,B010101,FV:7.1\r\n", "AWG5208.*not a Qblox Cluster"),
        (b"hello\r\n", "no instrument that identifies itself"),
    ],
)
def test_wrong_instrument_is_asked_for_its_name_and_nothing_else(speak: Speak, identity: bytes, words: str) -> None:
    conversation, there = speak([("*IDN?", identity)])
    with pytest.raises(WrongInstrumentError, match=words):
        conversation.identify(CLUSTER)
    assert bytes(there.received) == b"*IDN?\n"


def test_right_instrument_is_described_module_by_module(speak: Speak) -> None:
    conversation, there = speak([("*IDN?", IDENTITY), ("*DESCribe?", description())])
    conversation.identify(CLUSTER)
    assert bytes(there.received) == b"*IDN?\n*DESCribe?\n"


def test_cluster_with_other_modules_is_refused_slot_by_slot(speak: Speak) -> None:
    conversation, _ = speak([("*IDN?", IDENTITY), ("*DESCribe?", description(**{"1": "QCM", "6": ""}))])
    with pytest.raises(WrongInstrumentError) as caught:
        conversation.identify(CLUSTER)
    assert caught.value.what == (
        "slot 1 holds QCM, the rack file says QCM-RF; slot 6 holds nothing, the rack file says QRM-RF"
    )


def test_description_of_another_form_is_no_cluster(speak: Speak) -> None:
    conversation, _ = speak([("*IDN?", IDENTITY), ("*DESCribe?", b"#12{}\r\n")])
    with pytest.raises(MalformedAnswerError, match="names no modules"):
        conversation.identify(CLUSTER)


def test_errors_left_over_reach_the_log_and_not_the_next_job(speak: Speak, caplog: pytest.LogCaptureFixture) -> None:
    conversation, _ = speak(
        [
            ("SYSTem:ERRor:COUNt?", b"1\r\n"),
            ("SYSTem:ERRor:NEXT?", b'-113,"Undefined header"\r\n'),
            ("STATus:GENeral:STATE?", b"RESOLVED;TEMPERATURE OUT-OF-RANGE,\r\n"),
            ("SYSTem:ERRor:COUNt?", b"0\r\n"),
        ]
    )
    conversation.check_health()
    conversation.refuse_errors("rest")
    assert "error left over in the instrument" in caplog.text


def test_cluster_that_reports_a_critical_state_is_refused_in_its_own_words(speak: Speak) -> None:
    conversation, _ = speak(
        [("SYSTem:ERRor:COUNt?", b"0\r\n"), ("STATus:GENeral:STATE?", b"CRITICAL;FPGA PLL UNLOCKED,SLOT 1 DC/DC,\r\n")]
    )
    with pytest.raises(InstrumentFaultError, match="it reports CRITICAL: FPGA PLL UNLOCKED; SLOT 1 DC/DC"):
        conversation.check_health()


def test_refused_batch_fails_with_every_error(speak: Speak) -> None:
    conversation, _ = speak(
        [
            ("SYSTem:ERRor:COUNt?", b"2\r\n"),
            ("SYSTem:ERRor:NEXT?", b'-200,"Execution error"\r\n'),
            ("SYSTem:ERRor:NEXT?", b'-222,"Data out of range"\r\n'),
        ]
    )
    with pytest.raises(InstrumentFaultError) as caught:
        conversation.refuse_errors("take a chunk")
    assert caught.value.words == ('-200,"Execution error"', '-222,"Data out of range"')


def test_count_of_errors_that_is_no_number_is_not_taken_for_zero(speak: Speak) -> None:
    conversation, _ = speak([("SYSTem:ERRor:COUNt?", b"OKAY\r\n")])
    with pytest.raises(MalformedAnswerError, match="'OKAY' when asked for the number of its errors"):
        conversation.refuse_errors("rest")


def test_state_of_another_form_is_an_error(speak: Speak) -> None:
    conversation, _ = speak([("SLOT6:SEQuencer0:STATE?", b"OKAY\r\n")])
    with pytest.raises(MalformedAnswerError, match="a sequencer's state reads 'OKAY'"):
        conversation.states([ADDRESS])


@pytest.mark.parametrize(
    ("held", "same"),
    [
        ([(b"w", 0, samples([0.5, 1.0]))], True),
        ([(b"w", 1, samples([0.5, 1.0]))], False),
        ([(b"x", 0, samples([0.5, 1.0]))], False),
        ([(b"w", 0, samples([0.5, 0.9]))], False),
        ([(b"w", 0, samples([0.5, 1.0])), (b"x", 1, samples([0.5]))], False),
        ([], False),
    ],
)
def test_waveforms_are_held_only_if_every_sample_is_read_back(
    speak: Speak, load: SequencerLoad, held: list[tuple[bytes, int, NDArray[np.float32]]], same: bool
) -> None:
    answer = block(struct.pack("<I", len(held)))
    for name, index, values in held:
        answer += block(name) + block(struct.pack("<I", index)) + block(values.tobytes())
    wanted = (Waveform(name="w", samples=samples([0.5, 1.0])),)
    conversation, _ = speak([("SLOT6:SEQuencer0:AWG:WLISt?", answer + b"\r\n")])
    assert conversation.look([], [replace(load, waveforms=wanted)]) == ({}, [same])
    waveforms = ("SLOT6:SEQuencer0:AWG:WLISt?", block(struct.pack("<I", 0)) + b"\r\n")
    conversation, _ = speak([waveforms, ("SLOT6:SEQuencer0:ACQ:WLISt?", answer + b"\r\n")])
    assert conversation.look([], [replace(load, waveforms=(), weights=wanted)]) == ({}, [same])


@pytest.fixture
def load(make_program: ProgramBuilder) -> SequencerLoad:
    program = make_program(
        lines=["q0.readout"],
        envelopes=[sample_envelope(Square(length=400))],
        acquisitions=[("q0.readout", 200, 400, 7.45e9, 0)],
        duration=1000,
    )
    chunk = Chunk(programs=(program,), first_program=0, first_shot=0, shots=3, reset=0)
    assembly = open_rack(load_rack()).assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    return assembly.sequencers[0]


def acquisitions(
    *,
    name: bytes = b"iq",
    counts: Sequence[int] = (1, 1, 1),
    valid: int = 1,
    paths: Sequence[bytes] = (b"", b""),
    averages: int = 0,
) -> bytes:
    bins = np.zeros(len(counts), dtype=BIN)
    bins["valid"], bins["count"], bins["real"] = valid, counts, np.arange(len(counts))
    scope = b"".join(block(path) + block(b"\0") + block(struct.pack("<I", averages)) for path in paths)
    return block(struct.pack("<I", 1)) + block(name) + block(struct.pack("<I", 0)) + scope + block(bins.tobytes())


def acquired(conversation: ClusterConversation, load: SequencerLoad) -> Acquired:
    (found,) = conversation.link.ask_each([conversation.acquisitions_of(load)])
    return conversation.of_one_run(load, found)


def test_bins_of_a_run_are_read_by_count(speak: Speak, load: SequencerLoad) -> None:
    conversation, _ = speak([("SLOT6:SEQuencer0:ACQ:ALISt?", acquisitions() + b"\r\n")])
    assert acquired(conversation, load).bins["real"].tolist() == [0, 1, 2]
    assert conversation.link.is_open


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (block(struct.pack("<I", 0)), r"slot6.seq0 \(q0.readout\) does not hold the 3 bins of this run"),
        (acquisitions(name=b"other"), "does not hold the 3 bins"),
        (acquisitions(counts=[1, 1]), "does not hold the 3 bins"),
        (acquisitions(counts=[1, 2, 1]), "filled 2 of 3 bins exactly once"),
        (acquisitions(counts=[1, 0, 0]), "filled 1 of 3 bins exactly once"),
        (acquisitions(valid=0), "filled 0 of 3 bins exactly once"),
    ],
)
def test_bins_that_are_not_those_of_one_whole_run_are_refused(
    speak: Speak, load: SequencerLoad, answer: bytes, words: str
) -> None:
    conversation, _ = speak([("SLOT6:SEQuencer0:ACQ:ALISt?", answer + b"\r\n")])
    with pytest.raises(InstrumentChangedError, match=words):
        acquired(conversation, load)


def test_count_of_another_size_is_an_error(speak: Speak, load: SequencerLoad) -> None:
    conversation, _ = speak([("SLOT6:SEQuencer0:ACQ:ALISt?", block(b"\1\0") + b"\r\n")])
    with pytest.raises(MalformedAnswerError, match="a number of 2 bytes"):
        acquired(conversation, load)


def test_a_trace_is_the_sum_of_both_paths(speak: Speak, load: SequencerLoad) -> None:
    paths = [np.array(path, dtype="<i4").tobytes() for path in ([1, -2, 3], [4, 5, 6])]
    conversation, _ = speak([("SLOT6:SEQuencer0:ACQ:ALISt?", acquisitions(paths=paths, averages=3) + b"\r\n")])
    found = acquired(conversation, load)
    assert found.trace.tolist() == [1 + 4j, -2 + 5j, 3 + 6j]
    assert found.averages == 3


@pytest.mark.parametrize(
    ("paths", "words"), [((b"123", b""), "a trace of 3 bytes"), ((b"1234", b""), "an acquisition of 1 and 0 samples")]
)
def test_a_trace_of_another_form_is_an_error(
    speak: Speak, load: SequencerLoad, paths: tuple[bytes, bytes], words: str
) -> None:
    conversation, _ = speak([("SLOT6:SEQuencer0:ACQ:ALISt?", acquisitions(paths=paths) + b"\r\n")])
    with pytest.raises(MalformedAnswerError, match=words):
        acquired(conversation, load)


@pytest.mark.parametrize(("averages", "samples"), [(2, 3), (3, 4)])
def test_a_trace_that_is_not_that_of_one_whole_run_is_refused(
    speak: Speak, load: SequencerLoad, averages: int, samples: int
) -> None:
    paths = [bytes(12), bytes(12)]
    conversation, _ = speak([("SLOT6:SEQuencer0:ACQ:ALISt?", acquisitions(paths=paths, averages=3) + b"\r\n")])
    scope = ScopeLoad(trigger=load.wired.address, triggers=1, programs=1, samples=samples, qubits=(0,))
    found = acquired(conversation, load)
    with pytest.raises(InstrumentChangedError, match=r"the trace of slot6\.seq0 has 3 samples of 3 shots"):
        conversation.require_trace(found, averages=averages, load=scope)


LO, CONFIGURATION = "SLOT1:STATus:QUEStionable:FREQuency:LO0", "SLOT1:SEQuencer0:CONFiguration"


def test_setting_that_somebody_changed_is_found_when_it_is_read_back(speak: Speak) -> None:
    before, after = block(b'{"sync_en": true}'), block(b'{"sync_en": false}')
    conversation, _ = speak(
        [
            (f"{LO}?", b"6250000000\r\n"),
            (f"{CONFIGURATION}?", before + b"\r\n"),
            (f"{LO}?", b"6250000000\r\n"),
            (f"{CONFIGURATION}?", before + b"\r\n"),
            (f"{LO}?", b"5000000000\r\n"),
            (f"{CONFIGURATION}?", after + b"\r\n"),
        ]
    )
    settings = KnownSettings(conversation)
    settings.adopt(numbers=[LO], values=[CONFIGURATION])
    settings.verify([LO, CONFIGURATION])
    with pytest.raises(InstrumentChangedError) as caught:
        settings.verify([LO, CONFIGURATION])
    assert caught.value.what.startswith(f'{LO} is 5000000000; {CONFIGURATION} is {{"sync_en": false}}, which is not')


@pytest.mark.parametrize(
    ("numbers", "values", "answer"), [([LO], [], b"five\r\n"), ([], [CONFIGURATION], block(b"{") + b"\r\n")]
)
def test_setting_of_another_form_is_an_error(
    speak: Speak, numbers: list[str], values: list[str], answer: bytes
) -> None:
    conversation, _ = speak([(f"{(numbers + values)[0]}?", answer)])
    with pytest.raises(MalformedAnswerError, match="a setting is no"):
        KnownSettings(conversation).adopt(numbers=numbers, values=values)
