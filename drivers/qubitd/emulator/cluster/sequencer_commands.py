"""How commands of one sequencer are added to its module's table."""

from __future__ import annotations

from collections.abc import Callable

from qubitd.emulator.cluster.module import Module
from qubitd.emulator.cluster.sequencer import Sequencer
from qubitd.emulator.scpi.commands import Answer, Call, CommandTable

SequencerHandler = Callable[[Sequencer, Call], Answer]


class SequencerCommands:
    """Adds commands whose header starts with `SEQuencer<q>:`."""

    def __init__(self, table: CommandTable, module: Module) -> None:
        self._table = table
        self._module = module

    def add(self, pattern: str, handler: SequencerHandler) -> None:
        """Add a query, or a command that is taken at any time."""
        self._table.add(f"SEQuencer#:{pattern}", lambda call: handler(self._module.sequencer(call.numbers[0]), call))

    def add_change(self, pattern: str, handler: SequencerHandler) -> None:
        """Add a command that is refused while the sequencer is armed or running."""

        def change(sequencer: Sequencer, call: Call) -> Answer:
            sequencer.require_changeable()
            return handler(sequencer, call)

        self.add(pattern, change)
