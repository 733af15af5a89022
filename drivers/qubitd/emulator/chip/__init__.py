"""The simulated chip behind the emulated instruments: one table of played events in, IQ points out.

Nothing here is looked up in a table of errors: what happens follows from the samples that reached the lines.
"""

from qubitd.emulator.chip.chip import Chip

__all__ = ["Chip"]
