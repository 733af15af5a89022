"""The instructions of the Q1 sequence processor: names, operands and their ranges.

Both instruction sets are in one table; a name with several rows may be written in several ways. Ranges are those of the
maker's assembler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from types import MappingProxyType

REGISTERS = 64
OPERANDS = 5
"""Largest number of operands of an instruction."""
WORD = 0xFFFFFFFF
_SIGNED = (-(2**31), 2**31 - 1)


@unique
class Op(IntEnum):
    """What an instruction does; compare-and-jump forms of the first set have a member of their own."""

    STOP = 0
    NOP = 1
    ILLEGAL = 2
    JMP = 3
    JGE_IMMEDIATE = 4
    JLT_IMMEDIATE = 5
    LOOP = 6
    MOVE = 7
    NOT = 8
    ADD = 9
    SUB = 10
    AND = 11
    OR = 12
    XOR = 13
    ASL = 14
    ASR = 15
    LSR = 16
    CMP = 17
    TEST = 18
    JZ = 19
    JNZ = 20
    JG = 21
    JGE = 22
    JL = 23
    JLE = 24
    JA = 25
    JAE = 26
    JB = 27
    JBE = 28
    JS = 29
    JNS = 30
    JO = 31
    JNO = 32
    MULU32L = 33
    # From here on instructions go through the queue to the real-time executor.
    SET_MRK = 40
    SET_FREQ = 41
    SET_PH = 42
    SET_PH_DELTA = 43
    RESET_PH = 44
    SET_AWG_GAIN = 45
    SET_AWG_OFFS = 46
    UPD_PARAM = 47
    PLAY = 48
    ACQUIRE = 49
    ACQUIRE_WEIGHED = 50
    WAIT = 51
    WAIT_SYNC = 52
    SET_LATCH_EN = 53
    LATCH_RST = 54
    SET_COND = 55
    WAIT_TRIGGER = 56
    UNSUPPORTED = 57
    """Assembles, but this emulator does not execute it: time tags, digital outputs, scopes."""


FIRST_REAL_TIME = Op.SET_MRK


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """One operand in one way of writing an instruction."""

    name: str
    """As the assembler's messages call it, with `_imm` or `_reg`."""
    is_register: bool
    low: int
    high: int
    """Smallest and largest immediate or register number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way of writing an instruction."""

    op: Op
    operands: tuple[Operand, ...]

    @property
    def signature(self) -> str:
        """`R#` for a register, `#` for an immediate."""
        return ",".join("R#" if operand.is_register else "#" for operand in self.operands)

    @property
    def register_mask(self) -> int:
        """Bit i set: operand i is a register."""
        return sum(1 << i for i, operand in enumerate(self.operands) if operand.is_register)


_RANGES: Mapping[str, tuple[int, int]] = {
    "ins_adr": (0, 16_383),
    "alu_src": (0, WORD),
    "alu_lft": (0, WORD),
    "alu_rgt": (0, WORD),
    "seq_mrk": (0, 15),
    "seq_nco_freq": _SIGNED,
    "seq_nco_po": (0, 1_000_000_000),
    "seq_nco_delta_po": (0, 1_000_000_000),
    "seq_gain0": (-32_768, 32_767),
    "seq_gain1": (-32_768, 32_767),
    "seq_offs0": (-32_768, 32_767),
    "seq_offs1": (-32_768, 32_767),
    "seq_cnt": (4, 65_535),
    "seq_else_cnt": (0, 65_535),
    "seq_wave_idx0": (0, 1_023),
    "seq_wave_idx1": (0, 1_023),
    "seq_acq_idx": (0, 31),
    "seq_bin_idx": (0, 16_777_215),
    "seq_weight_idx0": (0, 63),
    "seq_weight_idx1": (0, 63),
    "seq_ttl_en": (0, 1),
    "seq_latch_en": (0, 1),
    "seq_cond_en": (0, 1),
    "seq_mask": (0, 32_767),
    "seq_op": (0, 7),
    "seq_trig_addr": (0, 15),
    "seq_scope_en": (0, 1),
    "seq_dig": (0, 1),
    "seq_dig_mask": (0, 65_535),
    "seq_fine_delay": (0, 2_047),
}

# name: operation and its ways of writing. `%` marks operands that are registers (bare: immediates); `*` those that may
# be either, all alike.
_TABLE: tuple[tuple[str, Op, tuple[str, ...]], ...] = (
    ("illegal", Op.ILLEGAL, ("",)),
    ("stop", Op.STOP, ("",)),
    ("nop", Op.NOP, ("",)),
    ("jmp", Op.JMP, ("*ins_adr",)),
    ("jge", Op.JGE_IMMEDIATE, ("%alu_lft alu_rgt *ins_adr",)),
    ("jlt", Op.JLT_IMMEDIATE, ("%alu_lft alu_rgt *ins_adr",)),
    ("loop", Op.LOOP, ("%loop_cnt *ins_adr",)),
    ("move", Op.MOVE, ("*alu_src %alu_dst",)),
    ("not", Op.NOT, ("*alu_src %alu_dst",)),
    ("add", Op.ADD, ("%alu_lft *alu_rgt %alu_dst",)),
    ("sub", Op.SUB, ("%alu_lft *alu_rgt %alu_dst",)),
    ("and", Op.AND, ("%alu_lft *alu_rgt %alu_dst",)),
    ("or", Op.OR, ("%alu_lft *alu_rgt %alu_dst",)),
    ("xor", Op.XOR, ("%alu_lft *alu_rgt %alu_dst",)),
    ("asl", Op.ASL, ("%alu_lft *alu_rgt %alu_dst",)),
    ("asr", Op.ASR, ("%alu_lft *alu_rgt %alu_dst",)),
    # Second set: flags and jumps on them.
    ("lsl", Op.ASL, ("%alu_lft *alu_rgt %alu_dst",)),
    ("lsr", Op.LSR, ("%alu_lft *alu_rgt %alu_dst",)),
    ("mulu32l", Op.MULU32L, ("%alu_lft *alu_rgt %alu_dst",)),
    ("cmp", Op.CMP, ("%alu_lft *alu_rgt",)),
    ("test", Op.TEST, ("%alu_lft *alu_rgt",)),
    *((op.name.lower(), op, ("*ins_adr",)) for op in Op if Op.JZ <= op <= Op.JNO),
    # Real time.
    ("set_mrk", Op.SET_MRK, ("*seq_mrk",)),
    ("set_freq", Op.SET_FREQ, ("*seq_nco_freq",)),
    ("set_ph", Op.SET_PH, ("*seq_nco_po",)),
    ("set_ph_delta", Op.SET_PH_DELTA, ("*seq_nco_delta_po",)),
    ("reset_ph", Op.RESET_PH, ("",)),
    ("set_awg_gain", Op.SET_AWG_GAIN, ("*seq_gain0 *seq_gain1",)),
    ("set_awg_offs", Op.SET_AWG_OFFS, ("*seq_offs0 *seq_offs1",)),
    ("upd_param", Op.UPD_PARAM, ("seq_cnt",)),
    ("play", Op.PLAY, ("*seq_wave_idx0 *seq_wave_idx1 seq_cnt",)),
    ("acquire", Op.ACQUIRE, ("seq_acq_idx *seq_bin_idx seq_cnt",)),
    ("acquire_weighed", Op.ACQUIRE_WEIGHED, ("seq_acq_idx *seq_bin_idx *seq_weight_idx0 *seq_weight_idx1 seq_cnt",)),
    ("acquire_weighted", Op.ACQUIRE_WEIGHED, ("seq_acq_idx *seq_bin_idx *seq_weight_idx0 *seq_weight_idx1 seq_cnt",)),
    ("wait", Op.WAIT, ("*seq_cnt",)),
    ("wait_sync", Op.WAIT_SYNC, ("*seq_cnt",)),
    ("latch_rst", Op.LATCH_RST, ("*seq_cnt",)),
    ("set_latch_en", Op.SET_LATCH_EN, ("*seq_latch_en seq_cnt",)),
    ("set_cond", Op.SET_COND, ("*seq_cond_en *seq_mask *seq_op seq_else_cnt",)),
    ("wait_trigger", Op.WAIT_TRIGGER, ("*seq_trig_addr *seq_cnt",)),
    # Taken by the assembler, answered by an error flag when executed.
    ("acquire_ttl", Op.UNSUPPORTED, ("seq_acq_idx *seq_bin_idx seq_ttl_en seq_cnt",)),
    ("set_scope_en", Op.UNSUPPORTED, ("*seq_scope_en",)),
    ("set_time_ref", Op.UNSUPPORTED, ("",)),
    ("set_digital", Op.UNSUPPORTED, ("*seq_dig *seq_dig_mask *seq_fine_delay",)),
)


def _form(op: Op, text: str, *, registers: bool) -> Form:
    return Form(op=op, operands=tuple(_operand(word, registers=registers) for word in text.split()))


def _operand(word: str, *, registers: bool) -> Operand:
    name = word.lstrip("%*")
    if word.startswith("%") or (registers and word.startswith("*")):
        return Operand(name=f"{name}_reg", is_register=True, low=0, high=REGISTERS - 1)
    low, high = _RANGES[name]
    return Operand(name=f"{name}_imm", is_register=False, low=low, high=high)


def _forms(op: Op, texts: tuple[str, ...]) -> list[Form]:
    return [
        _form(op, text, registers=registers)
        for text in texts
        for registers in ((True, False) if "*" in text else (False,))
    ]


def _instruction_set() -> Mapping[str, tuple[Form, ...]]:
    forms: dict[str, list[Form]] = {}
    for name, op, texts in _TABLE:
        forms.setdefault(name, []).extend(_forms(op, texts))
    return MappingProxyType({name: tuple(ways) for name, ways in forms.items()})


INSTRUCTIONS = _instruction_set()
"""Ways of writing each instruction, by name."""
