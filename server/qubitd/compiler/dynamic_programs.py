"""Programs of circuits that look at outcomes while they run, one case (binding and point of the sweep) at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qubitd.compiler.dynamic_circuits import DynamicCircuit, DynamicCircuits
from qubitd.compiler.dynamics import Place, staggered, timed_circuit, with_dynamics
from qubitd.compiler.expand import Expand
from qubitd.compiler.frames import advance_frames
from qubitd.compiler.gate_table import NO_GATE
from qubitd.compiler.numbers import Numbers
from qubitd.compiler.pipeline import Pipeline, Prepared
from qubitd.compiler.resolve import SweptValues
from qubitd.compiler.schedule import Schedule
from qubitd.compiler.traffic import traffic_of
from qubitd.core.discriminator import discriminator_of
from qubitd.core.errors import InvalidCircuitError, Problem
from qubitd.core.feedforward import ALWAYS, Feed
from qubitd.core.program import Program


def dynamic_problems(pipeline: Pipeline, dynamic: DynamicCircuits) -> tuple[Problem, ...]:
    """Try the circuits that look at outcomes: whether a line can hold them shows in the schedule."""
    found: list[Problem] = []
    for index, circuit in dynamic.items():
        try:
            DynamicMaker(pipeline, index, circuit).program(0, {})
        except InvalidCircuitError as error:
            found += error.problems
    return tuple(found)


class DynamicMaker:
    """Makes the programs of one circuit."""

    def __init__(self, pipeline: Pipeline, index: int, dynamic: DynamicCircuit) -> None:
        self._pipeline = pipeline
        self._index = index
        self.circuit = pipeline.batch.circuits[index]
        device = pipeline.gates.device
        written = pipeline.gathered.of(range(index, index + 1)).columns
        self.prepared = pipeline.prepare(range(index, index + 1))
        count = Expand(gates=device.gates).counts(written)
        self.traffic = traffic_of(dynamic.guards, dynamic.facts, self.prepared.columns, count)

    def program(self, binding: int, point: Mapping[str, float]) -> Program:
        """Give the program of one binding at one point of the sweep.

        Raises:
            InvalidCircuitError: outcomes overlap so that a line cannot hold them.
        """
        prepared = self.bound(binding)
        numbers = self._pipeline.numbers(prepared, dict(point))
        columns, rows, schedule = prepared.columns, prepared.rows, self.schedule(prepared, numbers)
        always = np.where(self.traffic.test == ALWAYS, rows, NO_GATE)
        frames = advance_frames(columns, prepared.wires, always, numbers)
        lower = self._pipeline.lowering()
        name, num_clbits = self.circuit.name, np.array([self.circuit.num_clbits])
        (program,) = lower([name], num_clbits, columns, rows, numbers, schedule, frames)
        timed = timed_circuit(columns, rows, numbers, self.traffic, schedule, lower)
        qubits = self._pipeline.gates.device.qubits
        place = Place(index=self._index, name=name, qubits=qubits)
        return with_dynamics(program, timed, self._feeds(point), place)

    def bound(self, binding: int) -> Prepared:
        """Fill the values of a binding in."""
        if self.circuit.bindings is None:
            return self.prepared
        return self.prepared.bound(self.circuit.bindings.into(self.circuit.params, np.array([binding]))[0])

    def schedule(self, prepared: Prepared, numbers: Numbers) -> Schedule:
        """Say when each operation starts."""
        length = self._pipeline.lengths(prepared, numbers)
        return staggered(prepared.columns, prepared.rows, numbers, length, self.traffic, self._pipeline.scheduling)

    def _feeds(self, point: Mapping[str, float]) -> tuple[Feed, ...]:
        values = SweptValues(snapshot=self._pipeline.gates.snapshot, point=point)
        qubits = self._pipeline.gates.device.qubits
        return tuple(Feed(qubit=q, discriminator=discriminator_of(values, qubits[q])) for q in self.traffic.feeding)
