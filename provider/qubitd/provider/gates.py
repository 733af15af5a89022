"""What a backend can do and where, and what is said of anything else. The same for all jobs at one revision."""

from __future__ import annotations

from qubitd.client import BackendInfo


class Gates:
    """The operations that circuits for one backend may hold."""

    def __init__(self, info: BackendInfo) -> None:
        self.info = info
        """Whose they are."""
        self._operands: dict[str, set[tuple[int, ...]]] = {}
        for row in info.operations:
            self._operands.setdefault(row.name, set()).add(row.operands)
        self._num_params = {signature.name: len(signature.angles) for signature in info.signatures} | {"delay": 1}

    def refusal(self, name: str, operands: tuple[int, ...], num_params: int) -> str | None:
        """Say why an operation cannot stand in a circuit; None if it can."""
        info = self.info
        outside = [qubit for qubit in operands if qubit >= len(info.qubits)]
        if outside:
            return f"qubit {outside[0]} is not on {info.name}, which has qubits 0 to {len(info.qubits) - 1}"
        if name == "barrier":
            return None
        if name == "store":
            return f"{info.name} has no real-time variables; compute the value before the circuit runs"
        allowed = self._operands.get(name)
        if allowed is None:
            return f"{info.name} has no such gate (it has {', '.join(sorted(self._operands))}); {_transpile()}"
        if operands not in allowed:
            return self._why_not_there(name, operands, allowed)
        expected = self._num_params.get(name, 0)
        if num_params != expected:
            return f"has {num_params} parameters; {name} of {info.name} takes {expected}"
        return None

    def _why_not_there(self, name: str, operands: tuple[int, ...], allowed: set[tuple[int, ...]]) -> str:
        info = self.info
        arity = len(next(iter(allowed)))
        if len(operands) != arity:
            return f"acts on {len(operands)} qubits; {name} of {info.name} acts on {arity}"
        if arity == 2 and tuple(sorted(operands)) not in info.couplers:
            pairs = ", ".join(f"{first}-{second}" for first, second in info.couplers)
            return f"qubits {operands[0]} and {operands[1]} are not coupled (the couplers are {pairs}); {_transpile()}"
        where = ", ".join(str(pair[0] if arity == 1 else pair) for pair in sorted(allowed))
        return f"{name} is not calibrated there at revision {info.revision} (it is on {where}); {_transpile()}"


def _transpile() -> str:
    return "transpile the circuit first: transpile(circuit, backend)"
