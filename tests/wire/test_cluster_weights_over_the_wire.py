"""Weights of a chunk on their way into the emulated Cluster, and what comes back weighed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qubitd.cli.rack_process import start_emulator
from qubitd.core.program import BOXCAR, Chunk
from qubitd.drivers.cluster.assembly import ClusterAssembly
from qubitd.drivers.controller import Controller
from qubitd.drivers.families import open_rack
from qubitd.drivers.rack import with_address
from qubitd.drivers.rack_file import load_rack

if TYPE_CHECKING:
    from tests.conftest import ProgramBuilder

TONE, LENGTH = 7.4483e9, 400
KERNEL = np.linspace(0.2, 1, LENGTH)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of an emulated rack in a process of its own."""
    with start_emulator(seed=1) as emulator:
        yield emulator.address


@pytest.fixture
def controller(address: str) -> Iterator[Controller]:
    made = open_rack(with_address(load_rack(), address))
    made.connect()
    made.stop()
    yield made
    made.close()


@pytest.fixture
def chunk(make_program: ProgramBuilder) -> Chunk:
    """A tone that is heard twice after it has rung up, weighed and not."""
    program = make_program(
        lines=("q0.readout",),
        envelopes=[np.ones(4 * LENGTH, dtype=np.complex128), KERNEL.astype(np.complex128)],
        plays=[("q0.readout", 0, 0, 0.15, 0.0, TONE)],
        acquisitions=[("q0.readout", 600, LENGTH, TONE, 0.0), ("q0.readout", 601 + LENGTH, LENGTH, TONE, 0.0)],
        duration=2000,
    )
    rows = replace(program.acquisitions, kernel=np.array([1, BOXCAR], dtype=np.int32))
    return Chunk(
        programs=(replace(program, acquisitions=rows),), first_program=0, first_shot=0, shots=4000, reset=210_000
    )


def run(controller: Controller, chunk: Chunk) -> np.ndarray:
    controller.load(controller.assemble(chunk))
    controller.start()
    controller.wait(60.0)
    (points,) = controller.fetch().points
    return points


def test_weighed_points_are_means_too(controller: Controller, chunk: Chunk) -> None:
    weighed, plain = run(controller, chunk).T
    # The resonator has settled, so that the mean is the same whatever the weights; noise grows with theirs.
    error = plain.std() / np.sqrt(chunk.shots)
    assert abs(weighed.mean() - plain.mean()) < 6 * error
    spread = np.sqrt(LENGTH * (KERNEL**2).sum()) / KERNEL.sum()
    assert weighed.std() / plain.std() == pytest.approx(spread, rel=0.05)


def test_weights_are_not_sent_twice_unless_somebody_replaced_them(
    controller: Controller, chunk: Chunk, address: str
) -> None:
    run(controller, chunk)
    assembly = controller.assemble(chunk)
    assert isinstance(assembly, ClusterAssembly)
    assert controller.load(assembly).upload_bytes == 0
    run(controller, chunk)
    with socket.create_connection((address, 5025)) as other:
        other.sendall(b'SLOT6:SEQuencer0:ACQ:WLISt:WEIght:DELete "all"\n*OPC?\n')
        assert other.makefile().readline().strip() == "1"
    assert controller.load(assembly).upload_bytes == assembly.upload_bytes
