"""The emulated Cluster through real sockets: exact bytes, blocks in pieces, several clients, faults on demand."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pyvisa

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource
    from tests.wire.emulator.conftest import ServedRack

MODULE_6 = 25_006


def ask(connection: socket.socket, message: bytes) -> bytes:
    """Send a message and read one line."""
    connection.sendall(message)
    return line(connection)


def line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(1)
        if not piece:
            return data
        data += piece
    return data


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece
        data += piece
    return data


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing comes for a while."""
    return not select.select([connection], [], [], 0.2)[0]


def test_answers_end_with_carriage_return_and_line_feed(rack: ServedRack) -> None:
    with rack.connect() as connection:
        assert ask(connection, b"*IDN?\n").startswith(b"Qblox,Cluster MM,")
        assert ask(connection, b"SYST:ERR:COUN?;:SYST:ERR?\n") == b'0;0,"No error"\r\n'


def test_a_module_answers_on_its_own_port_without_a_prefix(rack: ServedRack) -> None:
    with rack.connect(MODULE_6) as connection:
        assert ask(connection, b"*IDN?\n").startswith(b"Qblox,Cluster QRM,")
        assert ask(connection, b"SEQuencer0:STATE?\n") == b"OKAY;IDLE;;;;\r\n"


def test_queries_sent_together_are_answered_in_order(rack: ServedRack) -> None:
    with rack.connect() as connection:
        connection.sendall(b"*OPC?\n*TST?\nSLOT6:SEQ0:STATE?\n")
        assert [line(connection) for _ in range(3)] == [b"1\r\n", b"0\r\n", b"OKAY;IDLE;;;;\r\n"]


def test_a_block_may_come_in_any_pieces(rack: ServedRack) -> None:
    samples = np.linspace(-1, 1, 16_384).astype("<f4").tobytes()
    message = b'SLOT6:SEQ0:AWG:WLIS:WAV:NEW "a",16384,0\nSLOT6:SEQ0:AWG:WLIS:WAV:DATA "a",#565536' + samples + b"\n"
    with rack.connect() as connection:
        for at in range(100):
            connection.sendall(message[at : at + 1])
        for begin, end in ((100, 10_000), (10_000, len(message) - 1), (len(message) - 1, len(message))):
            connection.sendall(message[begin:end])
        connection.sendall(b'SLOT6:SEQ0:AWG:WLIS:WAV:DATA? "a"\n')
        assert exactly(connection, 7) == b"#565536"
        assert exactly(connection, 65_536) == samples
        assert exactly(connection, 2) == b"\r\n"


def test_what_one_client_left_unfinished_is_no_business_of_the_next(rack: ServedRack) -> None:
    with rack.connect() as connection:
        connection.sendall(b"SLOT6:SEQ0:PROG #510000wait")
    with rack.connect() as connection:
        assert ask(connection, b"*OPC?\n") == b"1\r\n"
        assert ask(connection, b"SYST:ERR:COUN?\n") == b"0\r\n"


def test_two_clients_share_one_instrument(rack: ServedRack) -> None:
    with rack.connect() as first, rack.connect(MODULE_6) as second:
        first.sendall(b"SLOT6:LO1:ENA 1\n")
        assert ask(first, b"*OPC?\n") == b"1\r\n"
        assert ask(second, b"LO1:ENA?\n") == b"1\r\n"


def test_a_program_runs_and_its_bins_come_back(rack: ServedRack) -> None:
    program = b"set_mrk 2\nplay 0,0,100\nacquire 0,0,2000\nset_mrk 0\nupd_param 4\nstop"
    with rack.connect(MODULE_6) as connection:
        connection.sendall(b"LO1:ENA 1\nSEQ0:PROG #%d%d%b\n" % (len(str(len(program))), len(program), program))
        connection.sendall(b'SEQ0:AWG:WLIS:WAV:NEW "w",2000,0\n')
        connection.sendall(b'SEQ0:AWG:WLIS:WAV:DATA "w",#48000' + np.full(2000, 0.25, "<f4").tobytes() + b"\n")
        connection.sendall(b'SEQ0:ACQ:ALIS:ACQ:NEW "a",1\nSEQ0:ARM\nSEQ0:START\n')
        assert ask(connection, b"SEQ0:STATE?\n") == b"OKAY;STOPPED;ACQ BINNING DONE,;;;\r\n"
        assert ask(connection, b"SYST:ERR?\n") == b'0,"No error"\r\n'
        connection.sendall(b"SEQ0:ACQ:ALIS?\n")
        answer = exactly(connection, 7 + 4 + 7 + 2 * (3 + 4 + 7) + 4 + 32 + 2)
    bins = np.frombuffer(answer[-34:-2], dtype="<i8")
    expected = round(0.25 * 32_767 / 32_768 * 1024 * 2**22)
    assert bins[:3].tolist() == [1, expected, expected]


def visa(rack: ServedRack, manager: pyvisa.ResourceManager, port: int = 5025) -> MessageBasedResource:
    resource = manager.open_resource(f"TCPIP0::{rack.addresses.address}::{port}::SOCKET")
    resource.read_termination = "\r\n"  # type: ignore[attr-defined] # a socket resource is message based
    resource.write_termination = "\n"  # type: ignore[attr-defined]
    return resource  # type: ignore[return-value]


def test_pyvisa_uploads_and_downloads_blocks(rack: ServedRack) -> None:
    manager = pyvisa.ResourceManager("@py")
    session = visa(rack, manager)
    try:
        session.write('SLOT6:SEQ0:AWG:WLIS:WAV:NEW "w",1000,0')
        session.write_binary_values('SLOT6:SEQ0:AWG:WLIS:WAV:DATA "w",', np.linspace(0, 1, 1000).tolist(), datatype="f")
        found = session.query_binary_values('SLOT6:SEQ0:AWG:WLIS:WAV:DATA? "w"', datatype="f")
        assert np.allclose(found, np.linspace(0, 1, 1000), atol=1e-7)
        assert session.query("SYST:ERR:COUN?") == "0"
    finally:
        session.close()
        manager.close()


def test_stalled_half_and_late_answers(rack: ServedRack) -> None:
    with rack.connect() as connection:
        rack.control(command="fault", kind="stall")
        connection.sendall(b"*OPC?\n")
        assert is_silent(connection)
        rack.control(command="fault", kind="half")
        connection.sendall(b"SLOT6:SEQ0:STATE?\n")
        assert exactly(connection, 7) == b"OKAY;ID"
        assert is_silent(connection)
        rack.control(command="fault", kind="late", seconds=0.3)
        connection.sendall(b"*OPC?\n")
        connection.sendall(b"*TST?\n")
        assert [line(connection), line(connection)] == [b"0\r\n", b"1\r\n"]


def test_a_closed_and_a_reset_connection(rack: ServedRack) -> None:
    with rack.connect() as connection:
        rack.control(command="fault", kind="close")
        connection.sendall(b"*OPC?\n")
        assert connection.recv(1) == b""
    with rack.connect() as connection:
        rack.control(command="fault", kind="reset")
        connection.sendall(b"*OPC?\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with rack.connect() as connection:
        assert ask(connection, b"*OPC?\n") == b"1\r\n"


def test_a_fault_of_one_port_spares_the_others(rack: ServedRack) -> None:
    rack.control(command="fault", kind="close", port=MODULE_6)
    with rack.connect() as connection:
        assert ask(connection, b"*OPC?\n") == b"1\r\n"
    with rack.connect(MODULE_6) as connection:
        connection.sendall(b"*OPC?\n")
        assert connection.recv(1) == b""


def test_the_control_socket_answers_line_by_line_and_hangs_up_on_nonsense(rack: ServedRack) -> None:
    with rack.connect(rack.addresses.control_port) as connection:
        connection.sendall(b'{"command": "clock"}\n\n{"comm')
        assert line(connection) == b'{"ok": true, "time_ns": 0}\n'
        connection.sendall(b'and": "seed", "value": 1}\n')
        assert line(connection) == b'{"ok": true}\n'
        connection.sendall(b"x" * 70_000)
        assert connection.recv(1) == b""


def test_a_rack_nobody_needs_any_more_ends(make_rack: Callable[..., ServedRack]) -> None:
    now = [0.0]
    rack = make_rack(lambda: now[0])
    with rack.connect() as connection:
        now[0] = 1000.0
        assert ask(connection, b"*OPC?\n") == b"1\r\n"
    rack.thread.join(0.1)
    assert rack.thread.is_alive()
    now[0] += 11.0
    rack.thread.join(10)
    assert not rack.thread.is_alive()
