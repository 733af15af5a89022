"""Which settings a chunk needs of a Cluster, which of them are not so yet, and which sequencers that concerns."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_

from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.cluster.known_settings import KnownSettings
from qubitd.drivers.cluster.modules import KINDS, SEQUENCERS
from qubitd.drivers.cluster.protocol import scope, sequencer
from qubitd.drivers.cluster.settings import (
    REST,
    Setting,
    configuration_header,
    connection_settings,
    front_end_settings,
    run_changes,
)
from qubitd.drivers.cluster.wiring import SequencerAddress, Wiring
from qubitd.drivers.rack import ClusterInstrument


class SettingsPlan:
    """What is to be set on one Cluster as wired, chunk after chunk. Settings go by their SCPI header."""

    def __init__(self, instrument: ClusterInstrument, wiring: Wiring) -> None:
        self.addresses = [
            SequencerAddress(slot=slot.slot, sequencer=index)
            for slot in instrument.slots
            for index in range(SEQUENCERS)
        ]
        """Of all its sequencers."""
        self._configurations = {address: configuration_header(address) for address in self.addresses}
        self._scopes = [scope(slot.slot) for slot in instrument.slots if KINDS[slot.kind].inputs]
        self._front_end = {**front_end_settings(instrument.slots), **connection_settings(wiring.values())}
        self._fits: tuple[int, tuple[object, ...]] = (0, ())
        """Version of the settings, and what needs no other ones."""

    def adopt(self, settings: KnownSettings) -> None:
        """Read how everything is set that any chunk may need otherwise."""
        values = [header for header, value in self._front_end.items() if not isinstance(value, float)]
        settings.adopt(numbers=self._numbers(), values=[*values, *self._configurations.values(), *self._scopes])

    def missing(self, settings: KnownSettings, assembly: ClusterAssembly) -> Mapping[str, Setting]:
        """Give the settings that an assembly needs and that are not so yet; sequencers come to rest first."""
        fits = (settings, *assembly.sequencers, *assembly.scopes)
        version, fitted = self._fits
        if version == settings.version and len(fits) == len(fitted) and all(map(is_, fits, fitted)):
            return {}
        loads = {load.wired.address: load for load in assembly.sequencers}
        resting, running = {}, {}
        for address, header in self._configurations.items():
            if address in loads:
                running[header] = settings.changed(header, run_changes(loads[address]))
            else:
                resting[header] = settings.changed(header, REST)
        scopes = {scope(load.trigger.slot): load.changes for load in assembly.scopes}
        tracing = {header: settings.changed(header, changes) for header, changes in scopes.items()}
        missing = settings.missing({**resting, **self._front_end, **running, **tracing})
        self._fits = settings.version, () if missing else fits
        return missing

    def touched(self, assembly: ClusterAssembly, wanted: Mapping[str, Setting]) -> list[SequencerAddress]:
        """Give the sequencers that take part, and those of which any setting is wanted."""
        taking_part = {load.wired.address for load in assembly.sequencers}
        if not wanted:
            return sorted(taking_part)
        return [
            address
            for address in self.addresses
            if address in taking_part or any(header.startswith(sequencer(address, "")) for header in wanted)
        ]

    def of_run(self, loaded: ClusterAssembly) -> list[str]:
        """Give the settings on which a run depends, to be read back after it."""
        configurations = (self._configurations[load.wired.address] for load in loaded.sequencers)
        return [*self._numbers(), *configurations, *(scope(load.trigger.slot) for load in loaded.scopes)]

    def rest(self, settings: KnownSettings) -> None:
        """Bring all sequencers to rest; `verify_rest` makes sure of it."""
        headers = self._configurations.values()
        settings.write(settings.missing({header: settings.changed(header, REST) for header in headers}))

    def verify_rest(self, settings: KnownSettings) -> None:
        """Read the settings of all sequencers back.

        Raises:
            InstrumentChangedError: they are not as they were written.
        """
        settings.verify(list(self._configurations.values()))

    def _numbers(self) -> list[str]:
        return [header for header, value in self._front_end.items() if isinstance(value, float)]
