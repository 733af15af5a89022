"""Qiskit's translation stage for a lab's own gates, by entry point `qubitd`.

What the gates of a Target carry as `equivalences` goes into a library that belongs to one pass manager: nothing that
other circuits or other backends use is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from qiskit.circuit import EquivalenceLibrary, Instruction, QuantumCircuit
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
from qiskit.transpiler import ConditionalController, PassManager, PassManagerConfig, Target
from qiskit.transpiler.passes import (
    BasisTranslator,
    CheckGateDirection,
    GateDirection,
    HighLevelSynthesis,
    UnitarySynthesis,
)
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePlugin

PLUGIN = "qubitd"
_GROUP = "qiskit.transpiler.translation"


@cache
def is_installed() -> bool:
    """Whether Qiskit finds the plugin; it does not in a checkout that was installed by an older version."""
    return bool(entry_points(group=_GROUP, name=PLUGIN))


class TranslationPlugin(PassManagerStagePlugin):
    """Translates into a Target's gates, those included that the lab invented."""

    def pass_manager(
        self,
        pass_manager_config: PassManagerConfig,
        optimization_level: int | None = None,  # noqa: ARG002  # Qiskit's form
    ) -> PassManager:
        """Give the stage: as Qiskit's own, with the Target's library in place of the global one."""
        config = pass_manager_config
        if config.target is None and config.basis_gates is None:
            return PassManager([])
        library = build_library(config.target)
        translator = BasisTranslator(library, config.basis_gates, config.target)
        stage = PassManager([*_synthesis(config, library), translator])
        if _has_directions(config):
            stage.append(CheckGateDirection(config.coupling_map, target=config.target))
            turn = [GateDirection(config.coupling_map, target=config.target), translator]
            stage.append(ConditionalController(turn, condition=_is_misdirected))
        return stage


def build_library(target: Target | None) -> EquivalenceLibrary:
    """Give Qiskit's rules and those that the gates of a Target carry."""
    library = EquivalenceLibrary(base=SessionEquivalenceLibrary)
    for operation in () if target is None else target.operations:
        for gate, circuit in _equivalences(operation):
            library.add_equivalence(gate, circuit)
    return library


def _equivalences(operation: Any) -> Iterable[tuple[Instruction, QuantumCircuit]]:
    """Control flow stands in a Target as classes, which carry none."""
    found: Iterable[tuple[Instruction, QuantumCircuit]] = getattr(operation, "equivalences", ())
    return () if isinstance(operation, type) else found


def _synthesis(config: PassManagerConfig, library: EquivalenceLibrary) -> list[Any]:
    return [
        UnitarySynthesis(
            config.basis_gates,
            approximation_degree=config.approximation_degree,
            coupling_map=config.coupling_map,
            plugin_config=config.unitary_synthesis_plugin_config,
            method=config.unitary_synthesis_method,
            target=config.target,
        ),
        HighLevelSynthesis(
            config.hls_config,
            coupling_map=config.coupling_map,
            target=config.target,
            use_qubit_indices=True,
            equivalence_library=library,
            basis_gates=config.basis_gates,
            qubits_initially_zero=config.qubits_initially_zero,
        ),
    ]


def _has_directions(config: PassManagerConfig) -> bool:
    if config.coupling_map and not config.coupling_map.is_symmetric:
        return True
    return config.target is not None and bool(config.target.get_non_global_operation_names(strict_direction=True))


def _is_misdirected(property_set: Any) -> bool:
    return not property_set["is_direction_mapped"]
