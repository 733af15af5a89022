"""The blocks of a circuit as a tree, read off its brackets, which the wire has checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from qubitd.core.circuit import Circuit, Operation, brackets_of
from qubitd.core.control import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Operations without a bracket among them."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """One block if a condition holds, another one if not."""

    op: int
    condition: Condition
    then: tuple[Item, ...]
    otherwise: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A block that is repeated."""

    op: int
    stop: int
    """Position of its `end`."""
    times: int
    condition: Condition | None
    """That must hold before each repetition; None for `for`."""
    body: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """Leaves the loop, or the rest of this repetition."""

    op: int
    leaves: bool


Item: TypeAlias = Stretch | Branches | Loop | Jump


def blocks_of(circuit: Circuit, operations: Sequence[Operation]) -> tuple[Item, ...]:
    """Give a circuit as a tree. Its operands are left where they are."""
    brackets = brackets_of(circuit, operations)
    found = zip(brackets.op.tolist(), brackets.name.tolist(), brackets.first.tolist(), strict=True)
    return _Reader(circuit, found).block(0)[0]


def conditions_in(items: Sequence[Item]) -> Iterator[tuple[Condition, int]]:
    """Give each condition with the position behind which it is not looked at any more."""
    for item in items:
        match item:
            case Branches():
                yield item.condition, item.op
                yield from conditions_in((*item.then, *item.otherwise))
            case Loop():
                inside = conditions_in(item.body)
                yield from ((condition, item.stop) for condition, _ in inside)
                if item.condition is not None:
                    yield item.condition, item.stop
            case _:
                continue


class _Reader:
    """Walks through the brackets once."""

    def __init__(self, circuit: Circuit, brackets: Iterator[tuple[int, str, int]]) -> None:
        self._circuit = circuit
        self._brackets = brackets

    def block(self, start: int) -> tuple[tuple[Item, ...], int, str]:
        """Read up to what closes or parts the block; give that bracket's position and name, too."""
        items: list[Item] = []
        for op, name, first in self._brackets:
            if start < op:
                items.append(Stretch(start=start, stop=op))
            if name in ("end", "else"):
                return tuple(items), op, name
            item, last = self._item(op, name, first)
            items.append(item)
            start = last + 1
        if start < len(self._circuit):
            items.append(Stretch(start=start, stop=len(self._circuit)))
        return tuple(items), len(self._circuit), ""

    def _item(self, op: int, name: str, first: int) -> tuple[Item, int]:
        match name:
            case "if":
                return self._branches(op, first)
            case "for" | "while":
                return self._loop(op, name, first)
            case _:
                return Jump(op=op, leaves=name == "break"), op

    def _branches(self, op: int, first: int) -> tuple[Item, int]:
        then, last, name = self.block(op + 1)
        otherwise: tuple[Item, ...] = ()
        if name == "else":
            otherwise, last, _ = self.block(last + 1)
        return Branches(op=op, condition=self._condition(first), then=then, otherwise=otherwise), last

    def _loop(self, op: int, name: str, first: int) -> tuple[Item, int]:
        body, last, _ = self.block(op + 1)
        condition = self._condition(first) if name == "while" else None
        times = int(self._circuit.controls[first + (condition is not None)])
        return Loop(op=op, stop=last, times=times, condition=condition, body=body), last

    def _condition(self, first: int) -> Condition:
        return self._circuit.conditions[int(self._circuit.controls[first])]
