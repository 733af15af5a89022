"""The root of every error that qubitd raises on purpose, and those that the values themselves raise."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
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


_MOST_PLACES = 10
"""That a line names; the rest is counted."""
_SHARED_END = 60
"""Characters at the end of what is wrong that tell that it is the same reason, whatever it begins with."""


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Write problems for people, in order; operations of one circuit that are wrong for one reason share a line."""
    groups: dict[object, list[Problem]] = {}
    for index, problem in enumerate(problems):
        head, name = _parted(problem)
        reason = (head, problem.circuit, problem.what[-_SHARED_END:]) if name else index
        groups.setdefault(reason, []).append(problem)
    return [str(group[0]) if len(group) == 1 else _line(group) for group in groups.values()]


def _parted(problem: Problem) -> tuple[str, str]:
    """Give what stands before `operation 12 (cz on q0, q2)` at the end of a place, and what is in the brackets."""
    head, _, name = problem.where.rpartition(f"operation {problem.operation} (")
    return (head, name[:-1]) if name.endswith(")") and problem.operation is not None else (problem.where, "")


def _line(group: Sequence[Problem]) -> str:
    """Write what is wrong with several operations of one circuit for one reason, and the reason once."""
    head, _ = _parted(group[0])
    alike: dict[str, list[Problem]] = {}
    for problem in group:
        alike.setdefault(problem.what, []).append(problem)
    if len(alike) == 1:
        return f"{head}{_operations(group)}: {group[0].what}"
    end = _common_end(list(alike))
    parts = [f"{_operations(those)}: {what.removesuffix(end)}..." for what, those in alike.items()]
    return f"{head}{'; '.join(_few(parts))}; each: ... {end}"


def _operations(group: Sequence[Problem]) -> str:
    """Name operations, with what they are once if they are alike."""
    places = list(dict.fromkeys((problem.operation, _parted(problem)[1]) for problem in group))
    if len(places) == 1:
        return "operation {} ({})".format(*places[0])
    is_alike = len({name for _, name in places}) == 1
    *first, last = _few([str(number) if is_alike else f"{number} ({name})" for number, name in places])
    listed = f"operations {', '.join(first)} and {last}"
    return f"{listed} ({_parted(group[0])[1]})" if is_alike else listed


def _few(places: list[str]) -> list[str]:
    more = len(places) - _MOST_PLACES
    return places if more <= 0 else [*places[:_MOST_PLACES], f"{more} more"]


def _common_end(texts: Sequence[str]) -> str:
    """Give the words with which all texts end."""
    from_the_end = zip(*(reversed(text) for text in texts), strict=False)
    shared = itertools.takewhile(lambda characters: len(set(characters)) == 1, from_the_end)
    end = "".join(characters[0] for characters in shared)[::-1]
    return end.partition(" ")[2] or end


class InvalidInputError(QubitdError):
    """An input was refused; `problems` holds everything found wrong with it, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(problem_lines(self.problems)))


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
