"""Two cryostats, one queue: two daemons with a rack each share a PostgreSQL, and one of them dies.

    python examples/two-fridges/two_fridges.py
    python examples/two-fridges/two_fridges.py --store postgresql://qubitd@dbhost/qubitd

Both racks are emulated here. In a lab each daemon runs on the PC of its own cryostat; only `--store` is the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from database import temporary_database
from qiskit import QuantumCircuit, transpile

from qubitd.cli.daemon_process import DaemonProcess, start_daemon
from qubitd.cli.rack_process import Emulator, start_emulator
from qubitd.client import QubitdClient
from qubitd.provider import QubitdProvider


@dataclass(frozen=True)
class Fridge:
    """A cryostat: its name, its emulated rack, and a folder for its daemon."""

    name: str
    rack: Emulator
    folder: Path
    store: str

    def start_daemon(self) -> DaemonProcess:
        """`qubitd serve --device NAME.toml --store ...` beside the rack."""
        self.folder.mkdir(exist_ok=True)
        device = self.folder / f"{self.name}.toml"
        line5 = (files("qubitd.compiler") / "line5.toml").read_text()
        device.write_text(line5.replace('name = "line5"', f'name = "{self.name}"'))
        options = ["--store", self.store, "--emulator", f"{self.rack.address}:{self.rack.control_port}"]
        daemon = start_daemon(data_dir=self.folder / "data", device=str(device), options=options)
        print(f"  {self.name}: daemon on {daemon.address}, rack on {self.rack.address}")
        return daemon


def show(client: QubitdClient) -> None:
    """Print what any daemon of the group says of all its backends."""
    for one in client.standings():
        print(f"  {one.name}: {'online' if one.online else 'offline, ' + one.reason}")


def wait_for(client: QubitdClient, name: str, *, operational: bool) -> None:
    """Follow a backend until it is as wanted; the daemon pushes each change."""
    next(info for info in client.watch_backend(name) if info.operational is operational)


def tour(north: Fridge, south: Fridge) -> None:
    """Show the group at work."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    with ExitStack() as stack:
        print("Two daemons, one database:")
        address = stack.enter_context(north.start_daemon()).address
        doomed = stack.enter_context(south.start_daemon())
        provider = stack.enter_context(QubitdProvider(address))
        client = stack.enter_context(QubitdClient(address))
        wait_for(client, "south", operational=True)
        backends = {name: provider.get_backend(name) for name in ("north", "south")}
        circuit = transpile(bell, backends["south"])

        print(f"Everything from here on goes through one connection, to {address}.\nA Bell pair on each:")
        for backend in backends.values():
            result = backend.run(circuit, shots=1000).result()
            print(f"  {result.backend_name}: {result.get_counts()}")

        print("The daemon of south is killed:")
        doomed.kill()
        killed = time.monotonic()
        wait_for(client, "south", operational=False)
        print(f"  south is offline, {time.monotonic() - killed:.1f} s later")
        show(client)

        print("Jobs for south are taken all the same. One may run on north instead, one waits:")
        moves = backends["south"].run(circuit, shots=1000, equivalent_backends=["north"])
        waits = backends["south"].run(circuit, shots=1000)
        result = moves.result()
        print(f"  the first: done on {result.backend_name} after {time.monotonic() - killed:.0f} s of silence")
        print(f"  the second: {waits.status().name}")

        print("The daemon of south is started again:")
        stack.enter_context(south.start_daemon())
        print(f"  the second: done on {waits.result().backend_name}")
        show(client)


def main() -> None:
    """Run the tour on the database that is given, or on one that lasts as long as it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", metavar="URL", help="a PostgreSQL database that is yours to write (one of its own)")
    given = parser.parse_args().store
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="two-fridges-")))
        store = stack.enter_context(temporary_database() if given is None else nullcontext(given))
        racks = [stack.enter_context(start_emulator(linger=120)) for _ in range(2)]
        north, south = (
            Fridge(name, rack, folder / name, store) for name, rack in zip(("north", "south"), racks, strict=True)
        )
        tour(north, south)


if __name__ == "__main__":
    main()
