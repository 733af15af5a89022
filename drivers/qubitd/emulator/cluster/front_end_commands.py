"""The commands of a module's front end: LOs, step attenuators, offsets of converters."""

from __future__ import annotations

from qubitd.emulator.cluster.module import Module
from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.commands import Call, CommandTable

_LOWEST_LO, _HIGHEST_LO = 2e9, 18e9
_ATTENUATION_STEP = 2
_HERTZ = {"HZ": 1.0, "KHZ": 1e3, "MHZ": 1e6, "GHZ": 1e9}


def add_front_end_commands(table: CommandTable, module: Module) -> None:
    """Add the commands of LOs, attenuators and converter offsets."""
    table.add("STATus:QUEStionable:FREQuency:LO#", lambda call: _set_lo(module, call))
    table.add(
        "STATus:QUEStionable:FREQuency:LO#?", lambda call: f"{module.front_end.lo_frequency[_lo(module, call)]:.0f}"
    )
    table.add("LO#:ENAble", lambda call: _enable_lo(module, call))
    table.add("LO#:ENAble?", lambda call: str(int(module.front_end.lo_enabled[_lo(module, call)])))
    table.add("AFE:ATT:OUT#", lambda call: _attenuate_output(module, call))
    table.add("AFE:ATT:OUT#?", lambda call: f"{module.front_end.output_attenuation[_output(module, call)]:.0f}")
    table.add("AFE:ATT:OUT#:MAX?", lambda call: _most_attenuation(module, call))
    table.add("AFE:ATT:IN#", lambda call: _attenuate_input(module, call))
    table.add("AFE:ATT:IN#?", lambda call: f"{module.front_end.input_attenuation[_input(module, call)]:.0f}")
    for converter in ("OUTAMP#", "DAC#", "IN#"):
        table.add(f"AFE:OFFSet:{converter}", _refuse_offset)
        table.add(f"AFE:OFFSet:{converter}?", lambda _: "0")


def _lo(module: Module, call: Call) -> int:
    return module.front_end.require_oscillator(call.numbers[0])


def _output(module: Module, call: Call) -> int:
    return module.front_end.require_output(call.numbers[0])


def _input(module: Module, call: Call) -> int:
    return module.front_end.require_input(call.numbers[0])


def _set_lo(module: Module, call: Call) -> None:
    call.expect(1)
    frequency = call.argument(0).real(_LOWEST_LO, _HIGHEST_LO, _HERTZ)
    module.front_end.lo_frequency[_lo(module, call)] = float(round(frequency))


def _enable_lo(module: Module, call: Call) -> None:
    call.expect(1)
    module.front_end.lo_enabled[_lo(module, call)] = call.argument(0).boolean()


def _attenuate_output(module: Module, call: Call) -> None:
    front = module.front_end
    front.output_attenuation[_output(module, call)] = _attenuation(call, front.most_output_attenuation)


def _most_attenuation(module: Module, call: Call) -> str:
    _output(module, call)
    return str(module.front_end.most_output_attenuation)


def _attenuate_input(module: Module, call: Call) -> None:
    front = module.front_end
    front.input_attenuation[_input(module, call)] = _attenuation(call, front.most_input_attenuation)


def _attenuation(call: Call, most: int) -> float:
    call.expect(1)
    value = call.argument(0).integer(0, most)
    if value % _ATTENUATION_STEP:
        raise ScpiError(-222, f"attenuation {value} dB is no multiple of {_ATTENUATION_STEP} dB")
    return float(value)


def _refuse_offset(call: Call) -> None:
    if call.argument(0).real(-1e6, 1e6) != 0:
        raise ScpiError(-221, "offsets of converters are not emulated; leave them at 0 and use set_awg_offs")
