"""The first values of a device file: numbers under `[qubits.*]` and `[pairs.*]`, named by their place.

`sx.amplitude` in `[qubits.q0]` is the parameter `q0.sx.amplitude`. A name that nothing uses is taken for a slip, unless
it is given with its unit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from qubitd.compiler.templates import gate_parameters, on_grid_parameters, pulse_gates
from qubitd.compiler.toml_section import Section, as_table, finite_number
from qubitd.core.device import Device, Reference, parameter_name
from qubitd.core.errors import OffGridError, Problem
from qubitd.core.plausibility import implausible, quantity
from qubitd.core.snapshot import Parameter
from qubitd.core.ticks import to_ticks

SOURCE = "file"
"""Source of a first value."""

_OF_A_QUBIT = (
    "frequency",
    "anharmonicity",
    "t1",
    "t2",
    "t2_star",
    "thermal_population",
    "readout.frequency",
    "readout.chi",
    "readout.rotation",
    "readout.threshold",
    "reset.duration",
    "measure.prob_meas1_prep0",
    "measure.prob_meas0_prep1",
)
"""Names that mean something without any gate that refers to them."""
_OF_A_PAIR = ("zz",)


def read_values(
    device: Device, sections: Mapping[str, Section], used: Collection[str] | None, problems: list[Problem]
) -> tuple[Parameter, ...]:
    """Read the first values of each qubit and pair.

    Args:
        device: the structure that they belong to.
        sections: by qubit or pair, their tables without what describes structure.
        used: the names that are known (`used_names`); None, for a device with problems of its own, knows all.
        problems: what is wrong is added here.
    """
    found: dict[str, Parameter] = {}
    paths: dict[str, str] = {}
    for prefix, section in sections.items():
        for name, path, value in _leaves(section, prefix):
            paths[name] = path
            parameter = _read_value(name, value, used)
            if isinstance(parameter, Parameter):
                found[name] = parameter
            else:
                problems.append(Problem(where=path, what=parameter))
    wrong = (*implausible(found), *_duration_problems(device, found))
    problems.extend(Problem(where=paths.get(problem.where, problem.where), what=problem.what) for problem in wrong)
    return tuple(found.values())


def used_names(device: Device) -> frozenset[str]:
    """Name the parameters that mean something for a device: its gates use them, or every qubit or pair has them."""
    names = {f"{qubit}.{name}" for qubit in device.qubits for name in _OF_A_QUBIT}
    names |= {f"{device.operand_name(c.qubits)}.{name}" for c in device.couplers for name in _OF_A_PAIR}
    for gate in device.gates.values():
        for operands in gate.operands:
            if isinstance(gate.error, Reference):
                names.add(parameter_name(device, operands, gate.error))
            if len(operands) > 1:
                names.add(f"{device.operand_name(operands)}.{gate.name}.leakage")
    return frozenset(names).union(*(gate_parameters(device, *of) for of in pulse_gates(device)))


def _leaves(section: Section, prefix: str) -> Iterator[tuple[str, str, object]]:
    """Give (parameter's name, path in the file, value) of each number, however deep."""
    for key in section:
        value = section.raw(key)
        table = as_table(value)
        if table is not None and "value" not in table:
            yield from _leaves(section.section(key), f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", section.path_of(key), value


def _read_value(name: str, value: object, used: Collection[str] | None) -> Parameter | str:
    """The parameter, or what is wrong with it."""
    kind = quantity(name)
    unit = None if kind is None else kind.unit
    table = as_table(value)
    if table is not None:
        given, value = table.get("unit"), table["value"] if set(table) == {"value", "unit"} else None
        unit = given if isinstance(given, str) else None
    elif unit is None or (used is not None and name not in used):
        return 'unknown key: no gate uses it; give a value of your own as { value = 1.0, unit = "V" }'
    number = finite_number(value)
    if number is None or unit is None:
        return 'must be a finite number, or { value = 1.0, unit = "V" }'
    return Parameter(name=name, value=number, unit=unit, source=SOURCE)


def _duration_problems(device: Device, parameters: Mapping[str, Parameter]) -> Iterator[Problem]:
    """Durations are needed for the Target and must lie on the grid."""
    needed: dict[str, None] = {}
    on_grid: dict[str, None] = {}
    for gate, operands in pulse_gates(device):
        if isinstance(gate.duration, Reference):
            needed[parameter_name(device, operands, gate.duration)] = None
        on_grid.update(dict.fromkeys(sorted(on_grid_parameters(device, gate, operands))))
    for name in needed:
        if name not in parameters:
            yield Problem(where=name, what="is missing: a gate needs a duration from the first day")
    yield from _off_grid(parameters[name] for name in on_grid if name in parameters)


def _off_grid(parameters: Iterable[Parameter]) -> Iterator[Problem]:
    for parameter in parameters:
        try:
            to_ticks(parameter.value, what=parameter.name)
        except OffGridError as error:
            yield Problem(where=parameter.name, what=str(error))
