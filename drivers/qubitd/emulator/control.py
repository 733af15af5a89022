"""The control socket: one JSON object a line in, one a line out. It is for tests and demos; no driver of an instrument
uses it.

Requests: `{"command": "seed", "value": N}`, `name`, `end`, `clock`, `reset_clock`, `advance` (`seconds`), `events`,
`outputs`, `fault` (`kind`, `count`, `seconds`, `port`), `errors` (`count`), `clear_faults`. Answers: `{"ok": true,
...}` or `{"ok": false, "error": "..."}`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from qubitd.emulator.cluster.instrument import Cluster
from qubitd.emulator.cluster.module import Module
from qubitd.emulator.errors import EmulatorError
from qubitd.emulator.faults import Fault, FaultKind, FaultPlan
from qubitd.emulator.lifetime import Lifetime
from qubitd.emulator.played import as_document

log = logging.getLogger(__name__)

Reply = dict[str, object]
_MOST_LINE = 1 << 16


class InvalidRequestError(EmulatorError):
    """A request on the control socket that cannot be obeyed."""


class Control:
    """What the control socket can do, without I/O."""

    def __init__(self, cluster: Cluster, faults: FaultPlan, *, name: str, end: Callable[[], None]) -> None:
        self._name = name
        self._end_rack = end
        self._cluster = cluster
        self._faults = faults
        self._commands: Mapping[str, Callable[[Mapping[str, object]], Reply]] = {
            "seed": self._seed,
            "name": lambda _: {"name": self._name},
            "end": self._end,
            "clock": lambda _: self._time(),
            "reset_clock": self._reset_clock,
            "advance": self._advance,
            "events": self._events,
            "runs": self._runs,
            "outputs": self._outputs,
            "fault": self._fault,
            "clear_faults": self._clear_faults,
            "errors": self._errors,
        }

    def answer(self, line: bytes) -> bytes:
        """Obey one line; gives the answer's line."""
        try:
            reply = {"ok": True, **self._obey(line)}
        except InvalidRequestError as error:
            reply = {"ok": False, "error": str(error)}
        return json.dumps(reply).encode() + b"\n"

    def _obey(self, line: bytes) -> Reply:
        try:
            request = json.loads(line)
        except ValueError as error:
            raise InvalidRequestError(f"no JSON: {error}") from error
        if not isinstance(request, dict) or request.get("command") not in self._commands:
            raise InvalidRequestError(f"a request is an object whose command is one of {', '.join(self._commands)}")
        return self._commands[request["command"]](request)

    def _seed(self, request: Mapping[str, object]) -> Reply:
        self._cluster.rng = np.random.default_rng(_whole(request, "value", 0, 2**64 - 1))
        return {}

    def _end(self, _: Mapping[str, object]) -> Reply:
        self._end_rack()
        return {}

    def _time(self) -> Reply:
        return {"time_ns": self._cluster.clock.now()}

    def _reset_clock(self, _: Mapping[str, object]) -> Reply:
        self._cluster.clock.reset()
        return self._time()

    def _advance(self, request: Mapping[str, object]) -> Reply:
        self._cluster.clock.advance(round(_number(request, "seconds", 0, 1e9) * 1e9))
        return self._time()

    def _events(self, _: Mapping[str, object]) -> Reply:
        self._cluster.settle()
        return {"tables": [as_document(table) for table in self._cluster.played]}

    def _runs(self, _: Mapping[str, object]) -> Reply:
        self._cluster.settle()
        return {"runs": self._cluster.runs}

    def _outputs(self, _: Mapping[str, object]) -> Reply:
        self._cluster.settle()
        return {
            "outputs": {name: state for module in self._cluster.modules.values() for name, state in _outputs_of(module)}
        }

    def _fault(self, request: Mapping[str, object]) -> Reply:
        kinds = {kind.value: kind for kind in FaultKind}
        kind = kinds.get(str(request.get("kind")))
        if kind is None:
            raise InvalidRequestError(f"kind is one of {', '.join(kinds)}")
        fault = Fault(
            kind=kind,
            seconds=_number(request, "seconds", 0, 3600, default=0.0),
            port=None if request.get("port") is None else _whole(request, "port", 1, 65_535),
        )
        self._faults.add(fault, _whole(request, "count", 1, 1_000_000, default=1))
        return {"planned": len(self._faults)}

    def _clear_faults(self, _: Mapping[str, object]) -> Reply:
        self._faults.clear()
        return {}

    def _errors(self, request: Mapping[str, object]) -> Reply:
        for _ in range(_whole(request, "count", 1, 1_000_000, default=1)):
            for status in (self._cluster.status, *(module.status for module in self._cluster.modules.values())):
                status.report(-240, "asked for on the control socket")
        return {}


def _outputs_of(module: Module) -> list[tuple[str, Reply]]:
    """State of the RF outputs of a module: a signal can leave only where LO and switch are both on."""
    open_switches = set(module.open_switches())
    front = module.front_end
    return [
        (
            f"slot{module.slot}.out{output}",
            {
                "lo_enabled": front.lo_enabled[lo],
                "lo_frequency": front.lo_frequency[lo],
                "attenuation_db": front.output_attenuation[output],
                "switch_open": output in open_switches,
            },
        )
        for output, lo in enumerate(module.kind.oscillators)
    ]


def _number(request: Mapping[str, object], key: str, low: float, high: float, default: float | None = None) -> float:
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidRequestError(f"{key} is {value!r}; it must be a number from {low:g} to {high:g}")
    return value


def _whole(request: Mapping[str, object], key: str, low: int, high: int, default: int | None = None) -> int:
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidRequestError(f"{key} is {value!r}; it must be a whole number from {low} to {high}")
    return value


class ControlConnection(asyncio.Protocol):
    """One client of the control socket."""

    def __init__(self, control: Control, lifetime: Lifetime) -> None:
        self._control = control
        self._lifetime = lifetime
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the client's transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._lifetime.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        log.debug("control connection lost", extra={"cause": repr(exc)})
        self._transport = None
        self._lifetime.closed()

    def data_received(self, data: bytes) -> None:
        """Answer each complete line."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if line.strip() and self._transport is not None:
                self._transport.write(self._control.answer(line))
        if len(self._pending) > _MOST_LINE and self._transport is not None:
            self._transport.close()
