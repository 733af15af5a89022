"""The passes' inner loops in C (`passes.c`), where somebody had them compiled: see `qubitd.core.native`.

Each gives what the NumPy of the module that calls it gives, to the last bit, or None where that has to do the work:
there is no library, the columns are so short that NumPy is as fast, or this is one of the rare cases that only NumPy
knows. Columns are those of circuits side by side; what has an axis of cases in front is NumPy's, too, but for
`loudest`.

A loop gets addresses, which keep no array alive: whatever it reads or writes has a name here until it is done.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qubitd.core.native import NativeSource, address, floats, ints, room
from qubitd.core.program import HIDDEN, Acquisitions, Plays

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEW = 128
"""Operations up to which NumPy is as fast."""

_Columns: TypeAlias = tuple[tuple[str, type[np.generic]], ...]
_PLAYED: _Columns = (("line", np.uint16), ("start", np.int64), ("length", np.int64), ("envelope", np.int32))
_VARYING: _Columns = (("amplitude", np.float64), ("phase", np.float64), ("frequency", np.float64))
_ACQUIRED: _Columns = (
    ("line", np.uint16),
    ("start", np.int64),
    ("length", np.int64),
    ("clbit", np.int32),
    ("kernel", np.int32),
)
"""Columns that are verified, and of what; cases may differ in the varying ones."""

PASSES = NativeSource(
    package="qubitd.compiler",
    name="passes",
    functions={
        "qubitd_starts": "npnpp",
        "qubitd_codes": "npnpppnnnppp",
        "qubitd_wires": "npppnnpppp",
        "qubitd_schedule_late": "npppnpnppp",
        "qubitd_frames": "npppnnppnppnpppp",
        "qubitd_total": "npp",
        "qubitd_lay_out": "npnppppnppppp",
        "qubitd_plays": "npnppppppppnpppppnppnppppppppppppp",
        "qubitd_verify": "nn" + "p" * 10 + "nnn" + "p" * 6 + "nnppnp",
    },
)


def starts(arity: Ints, opcode: Ints) -> Ints | None:
    """As `columns.starts`."""
    library = _loops(opcode)
    if library is None:
        return None
    start = room(len(opcode) + 1)
    found = library.qubitd_starts(len(opcode), ints(opcode), len(arity), ints(arity), ints(start))
    return None if found < 0 else start


def codes(
    opcode: Ints, arity: Ints, qubits: Ints, qubit_start: Ints, *, num_qubits: int, width: int, kinds: int
) -> tuple[Ints, Bools] | None:
    """Give the code of each operation as `gate_table._Codes.of`, and which of all codes occur."""
    library = _loops(opcode)
    if library is None:
        return None
    scale = num_qubits**width
    code, occurs = room(len(opcode)), np.zeros(kinds * scale, dtype=np.bool_)
    columns = ints(opcode), kinds, ints(arity), ints(qubits), ints(qubit_start)
    weight = np.array([num_qubits ** (width - 1 - place) for place in range(width)], dtype=np.int64)
    into = ints(weight), address(occurs, np.bool_), ints(code)
    found = library.qubitd_codes(len(opcode), *columns, num_qubits, width, scale, *into)
    return None if found < 0 else (code, occurs)


class LaidOut(NamedTuple):
    """Operands along the wires; names as in `columns.Wires`."""

    op: Ints
    wire: Ints
    order: Ints
    begin: Ints
    is_sorted: bool


def wires(circuit: Ints, qubits: Ints, qubit_start: Ints, *, num_qubits: int, wires: int) -> LaidOut | None:
    """As `columns.wires_of`."""
    library = _loops(circuit)
    if library is None:
        return None
    op, wire, order, begin = room(len(qubits)), room(len(qubits)), room(len(qubits)), room(wires + 1)
    columns = ints(circuit), ints(qubits), ints(qubit_start)
    into = ints(op), ints(wire), ints(order), ints(begin)
    used = library.qubitd_wires(len(circuit), *columns, num_qubits, wires, *into)
    return None if used < 0 else LaidOut(op, wire, order, begin[:used], bool(begin[-1]))


def schedule_late(
    circuit: Ints, qubits: Ints, qubit_start: Ints, length: Ints, *, num_qubits: int, circuits: int
) -> tuple[Ints, Ints] | None:
    """Give the start of each operation, and each circuit's duration."""
    library = PASSES.library
    if library is None:
        return None
    ready, duration, start = room(circuits * num_qubits), room(circuits), room(len(circuit))
    columns = ints(circuit), ints(qubits), ints(qubit_start)
    into = ints(ready), ints(duration), ints(start)
    library.qubitd_schedule_late(len(circuit), *columns, num_qubits, ints(length), circuits, *into)
    return start, duration


def frames(
    circuit: Ints,
    qubits: Ints,
    qubit_start: Ints,
    rows: Ints,
    turns: Bools,
    angles: Angles,
    *,
    num_qubits: int,
    wires: int,
    width: int,
) -> tuple[Ints, Ints, bool] | None:
    """Give how far each operand finds its frame advanced, how far each wire's is at the end, and whether any is.

    Args:
        circuit: as `Columns`, and what follows.
        qubits: of the same.
        qubit_start: of the same.
        rows: of each operation in the table of gates.
        turns: as `Shifts`, by row.
        angles: by how much each entry turns, entry = row * width + operand.
        num_qubits: as `Columns`.
        wires: as `Columns`.
        width: as `Shifts`.
    """
    library = _loops(circuit)
    if library is None or not angles.are_plain:
        return None
    total, steps = room(wires), room(len(qubits))
    columns = ints(circuit), ints(qubits), ints(qubit_start)
    turning = address(turns, np.bool_)
    found = library.qubitd_frames(
        len(circuit),
        *columns,
        num_qubits,
        wires,
        ints(rows),
        turning,
        width,
        *angles.of_rows,
        *angles.of_operations,
        ints(total),
        ints(steps),
    )
    return None if found < 0 else (steps, total, bool(found))


def lay_out(
    circuit: Ints, rows: Ints, first: Ints, count: Ints, line: NDArray[np.uint16], *, circuits: int, lines: int
) -> tuple[Ints, Ints, Ints, Ints] | None:
    """Give `op`, `entry`, `order` and `bounds` of what operations play or acquire, sorted by circuit and line.

    Args:
        circuit: of each operation.
        rows: of each operation in the table of gates.
        first: as `Share`.
        count: as `Share`.
        line: of each entry.
        circuits: how many.
        lines: how many.
    """
    library = _loops(circuit)
    if library is None:
        return None
    total = library.qubitd_total(len(rows), ints(rows), ints(count))
    op, entry, order, bounds = room(total), room(total), room(total), room(circuits + 1)
    shares = ints(rows), ints(first), ints(count), address(line, np.uint16)
    place = room(lines)
    into = ints(place), ints(op), ints(entry), ints(order), ints(bounds)
    library.qubitd_lay_out(len(rows), ints(circuit), circuits, *shares, lines, *into)
    return op, entry, order, bounds


def plays(
    circuit: Ints,
    rows: Ints,
    first: Ints,
    count: Ints,
    start: Ints,
    qubit_start: Ints,
    steps: Ints,
    table: PlayTable,
    level: Angles,
    phase: Angles,
    *,
    circuits: int,
    lines: int,
) -> tuple[Plays, Ints] | None:
    """Give plays in their order, and the bounds of each circuit's.

    Args:
        circuit: of each operation.
        rows: of each operation in the table of gates.
        first: as `Share`.
        count: as `Share`.
        start: of each operation, ticks.
        qubit_start: as `Columns`.
        steps: as `Frames`.
        table: what each entry plays.
        level: its amplitude.
        phase: its phase, without that of its frame.
        circuits: how many.
        lines: how many.
    """
    library = _loops(circuit)
    if library is None or not (level.are_plain and phase.are_plain and steps.ndim == start.ndim == 1):
        return None
    if table.frequency.ndim > 1:
        return None
    made = _unwritten(library.qubitd_total(len(rows), ints(rows), ints(count)))
    bounds, place = room(circuits + 1), room(lines)
    shares = ints(rows), ints(first), ints(count)
    operations = ints(start), ints(qubit_start), ints(steps), *level.of_operations
    found = library.qubitd_plays(
        len(rows),
        ints(circuit),
        circuits,
        *shares,
        *operations,
        lines,
        *(address(table.line, np.uint16), ints(table.length), address(table.envelope, np.int32)),
        *level.of_rows,
        *phase.of_rows,
        *(floats(table.frequency), address(table.frame, np.int16), ints(table.position)),
        ints(place),
        *(address(column, column.dtype.type) for column in (getattr(made, name) for name in made.__slots__)),
        ints(bounds),
    )
    return None if found < 0 else (made, bounds)


def _unwritten(count: int) -> Plays:
    return Plays(
        line=np.empty(count, dtype=np.uint16),
        start=room(count),
        length=room(count),
        envelope=np.empty(count, dtype=np.int32),
        amplitude=np.empty(count),
        phase=np.empty(count),
        frequency=np.empty(count),
        frame=np.empty(count, dtype=np.int16),
    )


def loudest(
    durations: Ints,
    num_clbits: Ints,
    plays: Plays,
    play_bounds: Ints,
    acquisitions: Acquisitions,
    acquisition_bounds: Ints,
    envelope_length: Ints,
    envelope_peak: Floats,
    *,
    lines: int,
) -> Floats | None:
    """Give the highest sample of any play on each line; None if programs break a rule that `verify` knows, too, or are
    cases that differ in more than the numbers of their plays.

    Args:
        durations: of each program, or of each case of the one program.
        num_clbits: of each program.
        plays: of all programs.
        play_bounds: where those of each program begin, and those of the last one end.
        acquisitions: of all programs.
        acquisition_bounds: the same for these.
        envelope_length: of each envelope of the job, ticks.
        envelope_peak: of each.
        lines: how many.
    """
    library, programs = PASSES.library, len(num_clbits)
    if library is None or not len(play_bounds) == len(acquisition_bounds) == programs + 1:
        return None
    cases = max(1, len(durations)) if programs == 1 else 1  # a loop reads the duration of one at least
    if len(durations) != programs * cases:
        return None
    count, peak, ends = int(play_bounds[-1]), np.zeros(lines), np.ascontiguousarray(durations)
    try:
        found = library.qubitd_verify(
            programs,
            cases,
            ints(ends),
            ints(num_clbits),
            ints(play_bounds),
            *_whole(plays, _PLAYED, (count,)),
            *_whole(plays, _VARYING, (count,), (cases, count)),
            *(count if column.ndim == 2 else 0 for column in (plays.amplitude, plays.phase, plays.frequency)),
            ints(acquisition_bounds),
            *_whole(acquisitions, _ACQUIRED, (int(acquisition_bounds[-1]),)),
            HIDDEN,
            len(envelope_length),
            ints(envelope_length),
            floats(envelope_peak),
            lines,
            floats(peak),
        )
    except TypeError:  # whoever made the columns, a loop must not read beside them
        return None
    return peak if found else None


def _whole(rows: Plays | Acquisitions, kinds: _Columns, *shapes: tuple[int, ...]) -> list[int]:
    """Give where columns begin that are as they are meant to be, of one of these shapes."""
    found: list[int] = []
    for name, kind in kinds:
        column = getattr(rows, name)
        if column.shape not in shapes:
            raise TypeError(f"{name} has shape {column.shape} where {shapes} is meant")
        found.append(address(column, kind))
    return found


class PlayTable(Protocol):
    """The columns of `numbers.PlayNumbers` that depend on no angle."""

    @property
    def line(self) -> NDArray[np.uint16]: ...
    @property
    def length(self) -> Ints: ...
    @property
    def envelope(self) -> NDArray[np.int32]: ...
    @property
    def frequency(self) -> Floats: ...
    @property
    def frame(self) -> NDArray[np.int16]: ...
    @property
    def position(self) -> Ints: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Angles:
    """Numbers that may depend on an operation's angles, as `numbers.Angled` with the columns that it is asked about."""

    constant: Floats
    factors: Floats
    params: Floats
    param_start: Ints

    @property
    def are_plain(self) -> bool:
        """Whether there are no cases in front."""
        return self.constant.ndim == 1 and self.params.ndim == 1

    @property
    def of_rows(self) -> tuple[int, int, int]:
        """Arguments: where the constants are, the factors, and how many angles there are."""
        return floats(self.constant), floats(self.factors), self.factors.shape[1]

    @property
    def of_operations(self) -> tuple[int, int]:
        """Arguments: where the parameters are, and where each operation's begin."""
        return floats(self.params), ints(self.param_start)


def are_there() -> bool:
    """Whether there are loops in C at all."""
    return PASSES.library is not None


def are_many(operations: Ints) -> bool:
    """Whether it is worth while to put together what a loop needs to know of these."""
    return len(operations) > _FEW and are_there()


def _loops(operations: Ints) -> ctypes.CDLL | None:
    """Give the library, if there is one and it is worth while."""
    return PASSES.library if len(operations) > _FEW else None
