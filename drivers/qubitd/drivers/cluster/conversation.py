"""Exchanges with one Cluster, each a question and what its answer means. One error check per batch of commands."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qubitd.drivers.cluster import protocol
from qubitd.drivers.cluster.assembly import SequencerLoad
from qubitd.drivers.cluster.json_value import JsonValue
from qubitd.drivers.cluster.protocol import SequencerState, sequencer
from qubitd.drivers.cluster.scope import ScopeLoad
from qubitd.drivers.cluster.waveforms import Waveform
from qubitd.drivers.cluster.wiring import SequencerAddress
from qubitd.drivers.errors import (
    InstrumentChangedError,
    InstrumentFaultError,
    MalformedAnswerError,
    WrongInstrumentError,
)
from qubitd.drivers.rack import ClusterInstrument
from qubitd.drivers.visa.link import Asked, Link, Repeated

log = logging.getLogger(__name__)

T = TypeVar("T")
_KEPT = 8
"""Different ones of a kind of exchange that are not put together anew."""
_LISTS = ("AWG:WLISt?", "ACQ:WLISt?")
"""Questions for what `_lists_of` gives of a sequencer."""
U32_BYTES = 4
I32 = np.dtype("<i4")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Acquired:
    """What a sequencer's acquisition holds."""

    trace: NDArray[np.complex128]
    """Sums over averages of both paths; empty unless one was stored."""
    averages: int
    bins: NDArray[np.void]
    """Of dtype `protocol.BIN`."""


Acquisitions = list[tuple[bytes, Acquired]]
"""A sequencer's, with their names."""


class ClusterConversation:
    """Speaks with the Cluster at the other end of a link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._looking = lru_cache(maxsize=_KEPT)(self._looking_at)
        self._starting = lru_cache(maxsize=_KEPT)(self._starting_of)
        self._asking = lru_cache(maxsize=_KEPT)(self._asking_for)
        self._compared: tuple[list[Any], tuple[str, ...], list[bool]] = ([], (), [])
        """What was read back last, digests of what it was held against, and what that gave."""

    def identify(self, instrument: ClusterInstrument) -> None:
        """Make sure of who is there; nothing but `*IDN?` is sent until that is certain.

        Raises:
            WrongInstrumentError: another maker, model, serial number, or other modules than the rack file states.
        """
        identity = protocol.parse_identity(self.link.ask(protocol.IDENTITY))
        if identity is None or (identity.maker, identity.model) != ("Qblox", "Cluster MM"):
            self._wrong(f"this is {identity or 'no instrument that identifies itself'}, not a Qblox Cluster")
        elif instrument.serial and identity.serial != instrument.serial:
            self._wrong(f"its serial number is {identity.serial}, the rack file says {instrument.serial}")
        modules = protocol.parse_modules(self.link.ask_blocks([protocol.DESCRIPTION])[0])
        if modules is None:
            raise self._malformed("its description names no modules")
        wrong = [
            f"slot {slot.slot} holds {modules.get(slot.slot, 'nothing')}, the rack file says {slot.kind}"
            for slot in instrument.slots
            if modules.get(slot.slot) != slot.kind
        ]
        if wrong:
            self._wrong("; ".join(wrong))

    def check_health(self) -> None:
        """Refuse a Cluster that reports an error of its own; leftovers in its error queue only reach the log.

        Raises:
            InstrumentFaultError: it reports ERROR or CRITICAL.
        """
        for words in self.drain_errors():
            log.warning("error left over in the instrument", extra={"instrument": self.link.resource, "words": words})
        status, _, flags = self.link.ask(protocol.SYSTEM_STATE).partition(";")
        if status.strip() in ("ERROR", "CRITICAL"):
            raise self._fault(f"it reports {status.strip()}", [flag for flag in flags.split(",") if flag.strip()])

    def drain_errors(self, *, after: Sequence[str] = ()) -> list[str]:
        """Send commands, if there are any, and empty the error queue after them."""
        (count,) = self.link.ask_after(after, protocol.ERROR_COUNT)
        return self._errors(count)

    def _errors(self, count: str) -> list[str]:
        if not count.strip().isdecimal():
            raise self._malformed(f"it answers {count[:40]!r} when asked for the number of its errors")
        return self.link.ask_all([protocol.NEXT_ERROR] * int(count))

    def refuse_errors(self, what: str, *, commands: Sequence[str] = (), uploaded: Sequence[SequencerLoad] = ()) -> None:
        """End a batch of commands.

        Args:
            what: what the batch was for.
            commands: the rest of the batch, sent with the question.
            uploaded: whose programs were sent in it.

        Raises:
            InstrumentFaultError: the instrument refused something.
        """
        words = self.drain_errors(after=commands)
        if words:
            raise self._fault(f"it refused to {what}", [*words, *self._assembler_words(uploaded)])

    def start(
        self, addresses: Sequence[SequencerAddress], *, arming: Sequence[str] = ()
    ) -> Mapping[SequencerAddress, SequencerState]:
        """Start sequencers, and ask how they are then.

        Args:
            addresses: the sequencers.
            arming: commands that arm them, if they are not armed yet.

        Raises:
            InstrumentFaultError: one cannot be armed or started.
        """
        commands, questions = self.starting(addresses)
        _, answers = self.link.ask_again(questions, after=[*arming, *commands])
        return self.started(addresses, answers)

    def starting(self, addresses: Sequence[SequencerAddress]) -> tuple[Sequence[str], Repeated[str]]:
        """Give the commands that start sequencers, and the questions after them, whose answers `started` reads."""
        return self._starting(tuple(addresses))

    def started(
        self, addresses: Sequence[SequencerAddress], answers: Sequence[str]
    ) -> Mapping[SequencerAddress, SequencerState]:
        """Say how sequencers are that were started.

        Raises:
            InstrumentFaultError: one cannot be armed or started.
        """
        count, *states = answers
        words = self._errors(count)
        if words:
            raise self._fault("it refused to start", words)
        return {address: self._state(answer) for address, answer in zip(addresses, states, strict=True)}

    def _starting_of(self, addresses: tuple[SequencerAddress, ...]) -> tuple[list[str], Repeated[str]]:
        commands = [sequencer(address, "START") for address in addresses]
        questions = [protocol.ERROR_COUNT, *(sequencer(address, "STATE?") for address in addresses)]
        return commands, Repeated(list(map(self.link.line_of, questions)))

    def states(self, addresses: Sequence[SequencerAddress]) -> Mapping[SequencerAddress, SequencerState]:
        """Ask how sequencers are."""
        return self.look(addresses, [])[0]

    def look(
        self, addresses: Sequence[SequencerAddress], loads: Sequence[SequencerLoad]
    ) -> tuple[Mapping[SequencerAddress, SequencerState], list[bool]]:
        """Ask how sequencers are; and read sequencers' waveforms back, and the weights of those that need any, and
        compare: for each, if it has what it needs.
        """
        wanted = tuple((load.wired.address, len(_lists_of(load))) for load in loads)
        _, answers = self.link.ask_again(self._looking(tuple(addresses), wanted))
        states = {address: self._state(answer) for address, answer in zip(addresses, answers, strict=False)}
        digests = tuple(load.digest for load in loads)
        if self._compared[0] is not answers or self._compared[1] != digests:
            self._compared = answers, digests, _holds(loads, answers[len(addresses) :])
        return states, self._compared[2]

    def _looking_at(
        self, addresses: tuple[SequencerAddress, ...], wanted: tuple[tuple[SequencerAddress, int], ...]
    ) -> Repeated[Any]:
        lists = [sequencer(address, question) for address, count in wanted for question in _LISTS[:count]]
        asked: list[Asked[Any]] = [self.link.line_of(sequencer(address, "STATE?")) for address in addresses]
        asked += [self.link.blocks_of(question, self._named_samples) for question in lists]
        return Repeated(asked)

    def settings(
        self,
        numbers: Sequence[str],
        values: Sequence[str],
        *,
        commands: Sequence[str] = (),
        after: Sequence[Asked[T]] = (),
    ) -> tuple[list[T], list[str | bytes]]:
        """Ask for settings by their headers, those that are numbers, then those that are JSON; after commands and other
        questions.

        Gives the answers to these, and the settings as they came: the same list if they came so last time.
        """
        return self.link.ask_again(self._asking(tuple(numbers), tuple(values)), after=commands, first=after)

    def _asking_for(self, numbers: tuple[str, ...], values: tuple[str, ...]) -> Repeated[str | bytes]:
        asked: list[Asked[Any]] = [self.link.line_of(f"{header}?") for header in numbers]
        asked += [self.link.block_of(f"{header}?") for header in values]
        return Repeated(asked)

    def number(self, text: str | bytes) -> float:
        """Read a setting that is a number."""
        try:
            return float(text)
        except ValueError as error:
            raise self._malformed(f"a setting is no number: {error}") from error

    def value(self, text: str | bytes) -> JsonValue:
        """Read a setting that is JSON."""
        try:
            return JsonValue.decode(text)
        except ValueError as error:
            raise self._malformed(f"a setting is no JSON: {error}") from error

    def upload_waveforms(self, load: SequencerLoad) -> None:
        """Replace the waveforms of a sequencer, and the weights if it has any."""
        self._upload_list(sequencer(load.wired.address, "AWG:WLISt:WAVeform"), load.waveforms)
        if load.weights:
            self._upload_list(sequencer(load.wired.address, "ACQ:WLISt:WEIght"), load.weights)

    def upload_program(self, load: SequencerLoad) -> None:
        """Replace the program of a sequencer, and its acquisition if it has one."""
        if load.bins:
            head = sequencer(load.wired.address, "ACQ:ALISt:ACQuisition")
            self.link.write(
                f'{head}:DELete "all"',
                f'{head}:NEW "{protocol.ACQUISITION}",{load.bins}',
                f'{head}:INDex "{protocol.ACQUISITION}",0',
            )
        self.link.write_block(sequencer(load.wired.address, "PROGram"), load.program)

    def _upload_list(self, head: str, waveforms: Sequence[Waveform]) -> None:
        self.link.write(f'{head}:DELete "all"')
        for index, waveform in enumerate(waveforms):
            self.link.write(f'{head}:NEW "{waveform.name}",{len(waveform.samples)},0')
            self.link.write_block(f'{head}:DATA "{waveform.name}",', waveform.samples.tobytes())
            self.link.write(f'{head}:INDex "{waveform.name}",{index}')

    def _named_samples(self) -> dict[bytes, tuple[int, bytes]]:
        """Read a list of waveforms: index and samples by name."""
        return {bytes(self.link.next_block()): (self._u32(), bytes(self.link.next_block())) for _ in range(self._u32())}

    def store_traces(self, addresses: Sequence[SequencerAddress]) -> None:
        """Put what the scopes of sequencers' modules recorded into the sequencers' acquisitions.

        Raises:
            InstrumentFaultError: one cannot.
        """
        if addresses:
            command = f'ACQ:ALISt:ACQuisition:DATA "{protocol.ACQUISITION}"'
            commands = [sequencer(address, command) for address in addresses]
            self.refuse_errors("store what its scope recorded", commands=commands)

    def acquisitions_of(self, load: SequencerLoad, room: bytearray | None = None) -> Asked[Acquisitions]:
        """Give the question for what a sequencer acquired, which is to be held against its run by `of_one_run`.

        Args:
            load: the sequencer's.
            room: that its bins may take, as `room_of` gives it; nobody else's from now on.
        """
        read = partial(self._acquisitions, room)
        return self.link.blocks_of(sequencer(load.wired.address, "ACQ:ALISt?"), read)

    def _acquisitions(self, room: bytearray | None) -> Acquisitions:
        """Read a list of acquisitions with their names; there is room for the bins of one."""
        return [
            (bytes(self.link.next_block()), self._acquisition(None if index else room)) for index in range(self._u32())
        ]

    def of_one_run(self, load: SequencerLoad, acquisitions: Acquisitions) -> Acquired:
        """Make sure that a run acquired something: every bin filled exactly once, those of conditional acquisitions at
        most once.

        Raises:
            InstrumentChangedError: the bins are not those of one whole run.
        """
        name, found = acquisitions[0] if len(acquisitions) == 1 else (b"", None)
        if found is None or name != protocol.ACQUISITION.encode("ascii") or len(found.bins) != load.bins:
            raise self._changed(f"{load.wired.name} does not hold the {load.bins} bins of this run")
        filled = np.count_nonzero(_is_whole(found.bins, load.conditional))
        if filled != load.bins:
            raise self._changed(f"{load.wired.name} filled {filled} of {load.bins} bins exactly once in this run")
        return found

    def require_trace(self, acquired: Acquired, *, averages: int, load: ScopeLoad) -> None:
        """Make sure that a trace is that of one whole run.

        Raises:
            InstrumentChangedError: it is another's.
        """
        if acquired.averages != averages or len(acquired.trace) < load.samples:
            found = f"{len(acquired.trace)} samples of {acquired.averages} shots"
            raise self._changed(f"the trace of {load.trigger} has {found}, this run {load.samples} of {averages}")

    def _assembler_words(self, loads: Sequence[SequencerLoad]) -> list[str]:
        """Find out which programs do not assemble, by sending them once more: a module keeps only its last log."""
        words = []
        for load in loads:
            slot = load.wired.address.slot
            self.link.write_block(sequencer(load.wired.address, "PROGram"), load.program)
            if self.link.ask(protocol.assembler_success(slot)).strip() != "1":
                (text,) = self.link.ask_blocks([protocol.assembler_log(slot)])
                words.append(f"{load.wired.name}: {text.decode('utf-8', errors='replace').strip()}")
        if loads:
            self.drain_errors()
        return words

    def _acquisition(self, room: bytearray | None) -> Acquired:
        """Read one acquisition after its name: index, both paths of a trace, bins."""
        self.link.next_block()
        (real, averages), (imag, _) = self._path(), self._path()
        bins = self.link.next_block(room)
        if len(real) != len(imag) or len(bins) % protocol.BIN.itemsize:
            raise self._malformed(f"an acquisition of {len(real)} and {len(imag)} samples, {len(bins)} bytes of bins")
        return Acquired(trace=real + 1j * imag, averages=averages, bins=np.frombuffer(bins, dtype=protocol.BIN))

    def _path(self) -> tuple[NDArray[np.int32], int]:
        """Read one path of a trace: samples, whether they were out of range, averages."""
        samples = self.link.next_block()
        if len(samples) % I32.itemsize:
            raise self._malformed(f"a trace of {len(samples)} bytes")
        self.link.next_block()
        return np.frombuffer(samples, dtype=I32), self._u32()

    def _u32(self) -> int:
        block = self.link.next_block()
        if len(block) != U32_BYTES:
            raise self._malformed(f"a number of {len(block)} bytes where 4 are due")
        return int.from_bytes(block, "little")

    def _state(self, answer: str) -> SequencerState:
        state = protocol.parse_state(answer)
        if state is None:
            raise self._malformed(f"a sequencer's state reads {answer[:80]!r}")
        return state

    def _wrong(self, what: str) -> None:
        raise WrongInstrumentError(resource=self.link.resource, what=what)

    def _malformed(self, what: str) -> MalformedAnswerError:
        return MalformedAnswerError(resource=self.link.resource, what=what)

    def _changed(self, what: str) -> InstrumentChangedError:
        return InstrumentChangedError(
            resource=self.link.resource, what=f"{what}: somebody else controls it, or it restarted"
        )

    def _fault(self, what: str, words: Sequence[str]) -> InstrumentFaultError:
        return InstrumentFaultError(resource=self.link.resource, what=what, words=words)


def room_of(load: SequencerLoad) -> bytearray:
    """Make room for the bins that a sequencer is to fill."""
    return bytearray(load.bins * protocol.BIN.itemsize)


def _holds(loads: Sequence[SequencerLoad], listed: Sequence[object]) -> list[bool]:
    """Tell which sequencers hold what they need, by their lists of waveforms, and of weights where they need any."""
    wanted = [(i, waveforms) for i, load in enumerate(loads) for waveforms in _lists_of(load)]
    lacking = {i for (i, waveforms), found in zip(wanted, listed, strict=True) if found != _as_listed(waveforms)}
    return [i not in lacking for i in range(len(loads))]


def _lists_of(load: SequencerLoad) -> tuple[Sequence[Waveform], ...]:
    """Give what is read back of a sequencer: its waveforms, and its weights if it needs any."""
    return (load.waveforms, load.weights) if load.weights else (load.waveforms,)


def _as_listed(waveforms: Sequence[Waveform]) -> dict[bytes, tuple[int, bytes]]:
    """Give waveforms as a sequencer lists them."""
    return {wave.name.encode("ascii"): (index, wave.samples.tobytes()) for index, wave in enumerate(waveforms)}


def _is_whole(bins: NDArray[np.void], conditional: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which bins are as one whole run leaves them."""
    filled = (bins["valid"] != 0) & (bins["count"] == 1)
    if filled.all():
        return np.asarray(filled)
    empty = (bins["valid"] == 0) & (bins["count"] == 0)
    return np.asarray(filled | (empty & np.tile(conditional, len(bins) // len(conditional))))
