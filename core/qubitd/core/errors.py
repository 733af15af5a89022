"""The root of every error that qubitd raises on purpose, and those that the values themselves raise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class QubitdError(Exception):
    """What, where, which limit, and what to do, in one message for the person who reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross to another process whole: an exception is otherwise made again from its message alone."""
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[QubitdError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> QubitdError:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input; several are reported together."""

    where: str
    """Place, for a person: `circuit 3 ('bell'), operation 12 (cz on q0, q2)` or a dotted path of a file."""
    what: str
    """What is wrong, the limit and the value, and what to do."""
    circuit: int | None = None
    """Index of the circuit in the job, where there is one."""
    operation: int | None = None
    """Index of the operation in that circuit, where there is one."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class InvalidInputError(QubitdError):
    """An input was refused; `problems` holds everything found wrong with it, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class InvalidCircuitError(InvalidInputError):
    """A circuit, its options or its sweep cannot run on this device."""


class InvalidDeviceError(InvalidInputError):
    """A device description contradicts itself or a limit."""


class InvalidCalibrationError(InvalidInputError):
    """A calibration value is missing, not finite, or outside what physics and units allow."""


class OffGridError(QubitdError):
    """A duration does not fit the grid of whole ticks."""

    def __init__(self, *, what: str, seconds: float, tolerance: float) -> None:
        self.what = what
        self.seconds = seconds
        self.tolerance = tolerance
        super().__init__(
            f"{what} is {seconds * 1e9:.12g} ns, which is not a whole number of 1 ns ticks "
            f"(within {tolerance:g} tick) from 0 to 2^62; give a multiple of 1 ns"
        )
