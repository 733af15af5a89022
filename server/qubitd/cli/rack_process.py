"""Starts an emulated rack as a process beside ours and says where it is."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Self

from qubitd.cli.child import Child, ChildError

_READY = re.compile(r"emulator ready on (?P<address>[0-9.]+) control (?P<port>[0-9]+)")


class Emulator:
    """A running emulated rack; leaving the `with` ends it."""

    def __init__(self, child: Child, *, address: str, control_port: int) -> None:
        self.address = address
        """Its own address in 127.0.0.0/8, with the instruments' real ports."""
        self.control_port = control_port
        """Of the control socket, on the same address."""
        self._child = child

    def stop(self) -> None:
        """End it. Safe to call twice."""
        self._child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_emulator(
    cabling: Path | None = None,
    *,
    seed: int | None = None,
    linger: float | None = None,
    name: str = "",
    at: tuple[str, int] | None = None,
) -> Emulator:
    """Start an emulated rack and wait until its instruments answer.

    Args:
        cabling: a file with its wiring and chip; None for the demo rack's.
        seed: makes it repeatable from the start.
        linger: seconds that it waits for somebody after the last one left; None for its own choice.
        name: what it answers when it is asked for its name.
        at: its address and the port of its control socket; None for any that are free.

    Raises:
        ChildError: it did not start.
    """
    arguments = [] if cabling is None else ["--cabling", str(cabling)]
    if seed is not None:
        arguments += ["--seed", str(seed)]
    if linger is not None:
        arguments += ["--linger", str(linger)]
    if name:
        arguments += ["--name", name]
    if at is not None:
        arguments += ["--address", at[0], "--control-port", str(at[1])]
    child = Child("qubitd.emulator", arguments, name="the emulated rack")
    line = child.first_line()
    ready = _READY.fullmatch(line)
    if ready is None:
        child.stop()
        raise ChildError(name="the emulated rack", what=f"said {line!r}")
    return Emulator(child, address=ready["address"], control_port=int(ready["port"]))
