"""Errors of the emulated rack: its wiring file and the chip behind it."""

from __future__ import annotations

from qubitd.core.errors import InvalidInputError, QubitdError


class EmulatorError(QubitdError):
    """Base of what the emulator itself refuses; what an instrument refuses is an answer on its wire."""


class InvalidCablingError(EmulatorError, InvalidInputError):
    """A cabling file contradicts itself, physics or the modules in its slots; `problems` names every dotted path."""


class InvalidTableError(EmulatorError):
    """A table of played events breaks its contract: a fault of the emulated instrument, not of a user."""

    def __init__(self, *, column: str, row: int, limit: str, value: object) -> None:
        self.column = column
        self.row = row
        self.limit = limit
        self.value = value
        super().__init__(f"{column}[{row}] of the event table is {value}; it must be {limit}")


class ScpiError(EmulatorError):
    """What an instrument refuses: it becomes an entry of its error queue, and nothing else."""

    def __init__(self, code: int, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}" if detail else str(code))


class AssemblyError(EmulatorError):
    """A Q1ASM program that the assembler refuses; `log` holds its messages, one for each fault."""

    def __init__(self, log: str) -> None:
        self.log = log
        super().__init__(log)


class UnfollowedProgramError(EmulatorError):
    """A program is too long for the emulator; the instrument would run it."""

    def __init__(self, *, instructions: int) -> None:
        self.instructions = instructions
        super().__init__(
            f"the emulator gave a program up after {instructions} instructions that no loop sums up; "
            "an instrument would run on. Make its loops shorter"
        )


class SlowShotsError(EmulatorError):
    """Shots without a reset between them leave ever new states, each of which the emulator has to play by itself."""

    def __init__(self, *, shots: int, done: int, seconds: float, most_seconds: float) -> None:
        self.shots = shots
        self.done = done
        self.seconds = seconds
        self.most_seconds = most_seconds
        super().__init__(
            f"the emulator gave {shots} shots without a reset up: {done} took {seconds:.1f} s, all may take "
            f"{most_seconds:g} s, as qubits stay coherent from shot to shot. Ask for fewer, measure every qubit at the "
            "end, or begin with a reset"
        )


class SlowRunError(EmulatorError):
    """A run whose shots have to be followed one by one takes too long."""

    def __init__(self, *, shots: int, done: int, seconds: float, needed: float, most_seconds: float) -> None:
        self.shots = shots
        self.done = done
        self.seconds = seconds
        self.needed = needed
        self.most_seconds = most_seconds
        most_shots = max(1, int(0.8 * shots * most_seconds / needed))
        fitting = "1 shot" if most_shots == 1 else f"{most_shots} shots"
        super().__init__(
            f"the emulator gave a run up that it has to follow shot by shot, as too many outcomes act together or "
            f"decide when something happens: {done} of {shots} shots took {seconds:.1f} s, all would take "
            f"{needed:.0f} s and may take {most_seconds:g} s. Ask for {fitting} at most, or for fewer "
            "rounds: let fewer outcomes act together"
        )


class RunAbandonedError(EmulatorError):
    """All sequencers of a run were stopped by force before it was known what it does; nobody waits for that."""


class NoFreeAddressError(EmulatorError):
    """The instruments' ports are taken on every address that was tried."""
