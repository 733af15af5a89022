"""Does to an emulated Cluster what a program that died may have left behind, over SCPI and without our driver."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping


def leave_open(address: str, sequencer: str, awg: Mapping[str, object]) -> None:
    """Change settings of a sequencer, such as the override of its markers, which open its output's switch."""
    with socket.create_connection((address, 5025), timeout=10) as connection, connection.makefile("rwb") as stream:
        stream.write(f"{sequencer}:CONFiguration?\n".encode())
        stream.flush()
        digits = int(stream.read(2)[1:])
        values = json.loads(stream.read(int(stream.read(digits))))
        values["awg"][0] |= awg
        block = json.dumps(values).encode()
        head = f"{sequencer}:CONFiguration #{len(str(len(block)))}{len(block)}".encode()
        stream.write(head + block + b"\n*OPC?\n")
        stream.flush()
        while not (answer := stream.readline()).strip():
            pass
        assert answer.strip() == b"1"
