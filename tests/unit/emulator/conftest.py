"""An emulated Cluster without sockets: messages in, answers out, every output wired back to every input."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from qubitd.emulator.clock import InstrumentClock, VirtualClock
from qubitd.emulator.cluster.bins import BIN
from qubitd.emulator.cluster.frame_commands import frame_commands
from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.cluster.module_commands import module_commands
from qubitd.emulator.cluster.profile import Profile
from qubitd.emulator.digitiser import Digitiser
from qubitd.emulator.events import EventTable
from qubitd.emulator.loopback import Loopback
from qubitd.emulator.scpi.reader import MessageReader
from qubitd.emulator.scpi.session import Session

SLOTS = {1: "QCM-RF", 4: "QCM", 6: "QRM-RF"}
READ = """
    move 0,R1
    move {shots},R0
    set_mrk 2
    wait_sync 4
shot: reset_ph
    set_awg_gain 16384,16384
    upd_param 100
    play 0,0,4
    acquire 0,R1,1996
    add R1,1,R1
    loop R0,@shot
    set_mrk 0
    upd_param 4
    stop
"""
MODULATED = {
    "seq_proc.sync_en": True,
    "awg.0.mixer.en": True,
    "awg.0.nco.freq_hz": 80e6,
    "acq.0.demod.en": True,
    "acq.0.th_acq.non_weighed_integration_len": 400,
}


class Bench:
    """Talks to a Cluster through its main port."""

    READ: ClassVar = READ
    """A tone of half of full scale, listened to while it is played, in a loop of `{shots}` shots of 2100 ns."""
    MODULATED: ClassVar = MODULATED
    """Changes to the configuration that it needs."""

    def __init__(
        self,
        slots: Mapping[int, str],
        *,
        digitiser: Digitiser | None = None,
        profile: Profile | None = None,
        clock: InstrumentClock | None = None,
        patience: float = 60.0,
    ) -> None:
        self.cluster = Cluster(
            slots,
            digitiser=digitiser or Loopback(),
            clock=clock or VirtualClock(),
            rng=np.random.default_rng(1),
            profile=profile,
            patience=patience,
        )
        modules = {slot: module_commands(self.cluster, module) for slot, module in self.cluster.modules.items()}
        self._frame = Session(
            commands=frame_commands(self.cluster, modules), status=self.cluster.status, terminator=b"\r\n"
        )
        self._modules = {
            slot: Session(commands=table, status=self.cluster.modules[slot].status, terminator=b"\r\n")
            for slot, table in modules.items()
        }

    def ask(self, text: str, *blocks: bytes, port: int | None = None) -> bytes:
        """Send one message, blocks at its end; gives the answer without its terminator. A port is a module's slot."""
        data = text.encode() + b",".join(block_of(block) for block in blocks) + b"\n"
        reader = MessageReader()
        reader.feed(data)
        session = self._frame if port is None else self._modules[port]
        answers = b""
        while (message := reader.take()) is not None:
            answers += session.execute(message)
        return answers.removesuffix(b"\r\n")

    def text(self, text: str, *blocks: bytes) -> str:
        """Ask and decode."""
        return self.ask(text, *blocks).decode()

    def errors(self) -> str:
        """Empty the error queue of the main port."""
        return self.text("SYST:ERR:ALL?")

    def upload(
        self,
        where: str,
        program: str,
        *,
        waves: Sequence[NDArray[Any]] = (),
        weights: Sequence[NDArray[Any]] = (),
        bins: int = 0,
    ) -> None:
        """Give a sequencer, named `<slot>.<number>`, all it needs to run."""
        head = header(where)
        self.ask(f"{head}PROG ", program.encode())
        for root, samples in (("AWG:WLIS:WAV", waves), ("ACQ:WLIS:WEI", weights)):
            for i, wave in enumerate(samples):
                self.ask(f'{head}{root}:NEW "w{i}",{len(wave)},0')
                self.ask(f'{head}{root}:DATA "w{i}",', wave.astype("<f4").tobytes())
                self.ask(f'{head}{root}:IND "w{i}",{i}')
        if bins:
            self.ask(f'{head}ACQ:ALIS:ACQ:NEW "acq",{bins}')
            self.ask(f'{head}ACQ:ALIS:ACQ:IND "acq",0')

    def configure(self, where: str, changes: Mapping[str, object]) -> None:
        """Change a configuration at dotted paths, reading it first as a client does."""
        document = content(self.ask(f"{header(where)}CONF?"))
        configuration = json.loads(document)
        for path, value in changes.items():
            *steps, last = path.split(".")
            place = configuration
            for step in steps:
                place = place[int(step)] if step.isdigit() else place[step]
            place[int(last) if last.isdigit() else last] = value
        self.ask(f"{header(where)}CONF ", json.dumps(configuration).encode())

    def readout(self, *, shots: int = 3, program: str = READ, bins: int = 100) -> None:
        """Prepare sequencer 6.0 to play and listen."""
        self.upload("6.0", program.format(shots=shots), waves=[np.ones(1000)], bins=bins)
        self.configure("6.0", MODULATED)

    def blocks(self, text: str, port: int | None = None) -> list[bytes]:
        """Ask for blocks that follow each other."""
        return contents(self.ask(text, port=port))

    def run(self, *sequencers: str) -> list[str]:
        """Arm all, start all; gives the answer to `STATE?` of each."""
        for command in ("ARM", "START"):
            for where in sequencers:
                self.ask(f"{header(where)}{command}")
        return [self.state(where) for where in sequencers]

    def state(self, where: str) -> str:
        """Ask for a sequencer's state."""
        return self.text(f"{header(where)}STATE?")

    def bins(self, where: str) -> NDArray[np.void]:
        """Download the bins of the acquisition that `upload` made."""
        blocks = contents(self.ask(f'{header(where)}ACQ:ALIS:ACQ:DATA? "acq"'))
        return np.frombuffer(blocks[-1], dtype=BIN)

    def points(self, where: str, length: int) -> NDArray[np.complex128]:
        """Give the mean of every bin as a fraction of full scale."""
        bins = self.bins(where)
        scale = np.maximum(bins["count"], 1) * 2.0**22 * length
        points: NDArray[np.complex128] = (bins["path0"] + 1j * bins["path1"]) / scale
        return points

    @property
    def table(self) -> EventTable:
        """The only table of the last run."""
        (table,) = self.cluster.played
        return table


def header(where: str) -> str:
    slot, number = where.split(".")
    return f"SLOT{slot}:SEQ{number}:"


def block_of(data: bytes) -> bytes:
    count = str(len(data))
    return f"#{len(count)}{count}".encode() + data


def contents(answer: bytes) -> list[bytes]:
    """Unwrap blocks that follow each other."""
    found: list[bytes] = []
    while answer:
        digits = int(answer[1:2])
        size = int(answer[2 : 2 + digits])
        found.append(answer[2 + digits : 2 + digits + size])
        answer = answer[2 + digits + size :]
    return found


def content(answer: bytes) -> bytes:
    """Unwrap a single block."""
    (only,) = contents(answer)
    return only


@pytest.fixture
def bench() -> Bench:
    """A Cluster with a QCM-RF in slot 1, a QCM in slot 4 and a QRM-RF in slot 6; the LOs are on."""
    made = Bench(SLOTS)
    made.ask("*CLS;SLOT1:LO0:ENA 1;:SLOT1:LO1:ENA 1;:SLOT6:LO1:ENA 1")
    return made


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Make a Cluster of one's own."""
    return Bench
