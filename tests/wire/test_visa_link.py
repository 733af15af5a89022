"""VISA links against a peer that stalls, answers late, answers half or hangs up: a wrong answer never comes back."""

from __future__ import annotations

import fcntl
import signal
import socket
import struct
import termios
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import pyvisa
from pyvisa.resources import MessageBasedResource

from qubitd.drivers.errors import (
    InstrumentNotFoundError,
    LinkBusyError,
    LinkClosedError,
    LinkTimeoutError,
    MalformedAnswerError,
)
from qubitd.drivers.visa.link import Asked, Link, Repeated
from qubitd.drivers.visa.opening import open_link
from qubitd.drivers.visa.plain_link import PlainLink
from qubitd.drivers.visa.socket_link import SocketLink

if TYPE_CHECKING:
    from tests.wire.conftest import Peer

Behaviour = Callable[["Peer", socket.socket], None]
StartPeer = Callable[[Behaviour], "Peer"]

PATIENT = 30.0
"""Seconds: a link that waits this long where it should notice something at once runs into the test's own time limit."""
SHORT = 0.2


def plain_link(resource: str, timeout: float) -> Link:
    visa = pyvisa.ResourceManager("@py").open_resource(resource)
    assert isinstance(visa, MessageBasedResource)
    return PlainLink(resource=resource, timeout=timeout, visa=visa)


def socket_link(resource: str, timeout: float) -> Link:
    link = open_link(resource, timeout=timeout)
    assert isinstance(link, SocketLink)
    return link


both = pytest.mark.parametrize("connect", [socket_link, plain_link], ids=["ours", "plain"])
Connect = Callable[[str, float], Link]


def answering(*answers: bytes) -> Behaviour:
    """Answer each line that comes with the next of the answers."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        for answer in answers:
            peer.line(connection)
            connection.sendall(answer)
        peer.released.wait()

    return behave


@both
def test_question_gets_its_answer_without_the_line_end(peer: StartPeer, connect: Connect) -> None:
    there = peer(answering(b"Qblox\r\n", b"0\n"))
    link = connect(there.resource, PATIENT)
    assert link.ask("*IDN?") == "Qblox"
    assert link.ask("*ESR?") == "0"
    assert there.received == b"*IDN?\n*ESR?\n"
    link.close()


@both
def test_questions_sent_together_get_their_answers_in_order(peer: StartPeer, connect: Connect) -> None:
    there = peer(answering(*(b"%d\r\n" % index for index in range(40))))
    link = connect(there.resource, PATIENT)
    assert link.ask_all(["N?"] * 40) == [str(index) for index in range(40)]
    link.close()


@both
def test_block_is_read_by_its_count_whatever_it_contains(peer: StartPeer, connect: Connect) -> None:
    data = bytes(range(256)) * 3 + b"\r\n#15;"
    header = b"#3%d" % len(data)
    link = connect(peer(answering(header + data + b"\r\n", b"after\r\n")).resource, PATIENT)
    assert link.ask_blocks(["DATA?"]) == [data]
    assert link.ask("NEXT?") == "after"
    link.close()


@both
def test_answer_of_several_blocks_is_read_one_by_one(peer: StartPeer, connect: Connect) -> None:
    link = connect(peer(answering(b"#14\x01\0\0\0#12ab#10\r\n")).resource, PATIENT)
    list_ = link.blocks_of("LIST?", lambda: [bytes(link.next_block()) for _ in range(3)])
    assert link.ask_each([list_]) == [[b"\x01\0\0\0", b"ab", b""]]
    link.close()


@both
def test_a_long_block_comes_whole_whether_or_not_there_is_room_of_its_size(peer: StartPeer, connect: Connect) -> None:
    data = bytes(range(256)) * 1024
    answer = b"#6%d" % len(data) + data + b"\r\n"
    link = connect(peer(answering(answer, answer)).resource, PATIENT)
    rooms = [bytearray(len(data)), bytearray(len(data) + 1)]
    asked = [link.blocks_of("DATA?", partial(link.next_block, room)) for room in rooms]
    assert link.ask_each(asked) == [data, data]
    assert not any(rooms[1])
    link.close()


def test_a_long_block_goes_into_the_room_that_was_made_for_it(peer: StartPeer) -> None:
    data = bytes(range(256)) * 1024
    link = socket_link(peer(answering(b"#6%d" % len(data) + data + b"\r\n")).resource, PATIENT)
    room = bytearray(len(data))
    (found,) = link.ask_each([link.blocks_of("DATA?", partial(link.next_block, room))])
    assert found.obj is room
    assert room == data
    link.close()


@both
def test_what_is_asked_again_is_sent_with_what_comes_before_it(peer: StartPeer, connect: Connect) -> None:
    there = peer(answering(b"", b"1\r\n", b"#12ab\r\n", b"#11c#11d\r\n"))
    link = connect(there.resource, PATIENT)
    lists = link.blocks_of("LIST?", lambda: bytes(link.next_block()) + bytes(link.next_block()))
    repeated = Repeated([link.block_of("DATA?"), lists])
    assert link.ask_again(repeated, after=["SET 1"], first=[link.line_of("N?")]) == (["1"], [b"ab", b"cd"])
    assert there.received == b"SET 1\nN?\nDATA?\nLIST?\n"
    link.close()


def in_pieces(*answers: Sequence[bytes]) -> Behaviour:
    """Answer each two lines that come with the pieces of the next answer, each when the one before has been taken."""

    def behave(peer: Peer, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pieces in answers:
            peer.line(connection)
            peer.line(connection)
            for piece in pieces:
                connection.sendall(piece)
                while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]:
                    pass
        peer.released.wait()

    return behave


@both
def test_answers_that_come_as_last_time_are_read_once(peer: StartPeer, connect: Connect) -> None:
    numbers = [b"7\r\n#12ab\r\n", b"7\r\n#12ab\r\n", b"7\r\n#12ac\r\n", b"77\r\n#10\r\n", b"7\r\n#12ab\r\n"]
    pieces: list[Sequence[bytes]] = [*((answer,) for answer in numbers), [bytes([each]) for each in numbers[-1]]]
    link = connect(peer(in_pieces(*pieces)).resource, PATIENT)
    asked: list[Asked[Any]] = [link.line_of("N?"), link.block_of("DATA?")]
    repeated = Repeated(asked)
    found = [link.ask_again(repeated)[1] for _ in pieces]
    assert found == [["7", b"ab"], ["7", b"ab"], ["7", b"ac"], ["77", b""], ["7", b"ab"], ["7", b"ab"]]
    assert [one is other for one, other in pairwise(found)] == [True, False, False, False, True]
    link.close()


def test_an_answer_that_comes_as_last_time_but_in_drops_is_late_like_any_other(peer: StartPeer) -> None:
    def drop_by_drop(peer: Peer, connection: socket.socket) -> None:
        answer = b"0123456789" * 6 + b"\r\n"
        peer.line(connection)
        connection.sendall(answer)
        peer.line(connection)
        for each in answer:
            connection.sendall(bytes([each]))
            if peer.released.wait(SHORT / 4):
                return

    there = peer(drop_by_drop)
    link = socket_link(there.resource, SHORT)
    repeated = Repeated([link.line_of("N?")])
    link.ask_again(repeated)
    with pytest.raises(LinkTimeoutError, match="did not answer"):
        link.ask_again(repeated)
    there.released.set()
    assert not link.is_open


@both
def test_answers_that_take_long_together_are_not_late_if_none_is(peer: StartPeer, connect: Connect) -> None:
    timeout = 1.0

    def one_by_one(peer: Peer, connection: socket.socket) -> None:
        for pause in (0.0, 0.3 * timeout):
            for _ in range(4):
                peer.line(connection)
            for _ in range(4):
                peer.released.wait(pause)
                connection.sendall(b"7\r\n")
        peer.released.wait()

    link = connect(peer(one_by_one).resource, timeout)
    repeated = Repeated([link.line_of("N?")] * 4)
    first, second = (link.ask_again(repeated)[1] for _ in range(2))
    assert second is first
    assert first == ["7"] * 4
    link.close()


@both
def test_nothing_is_sent_where_nothing_is_asked(peer: StartPeer, connect: Connect) -> None:
    there = peer(answering(b"1\n"))
    link = connect(there.resource, PATIENT)
    nothing: Repeated[str] = Repeated([])
    assert link.ask_again(nothing) == ([], [])
    assert link.ask("N?") == "1"
    assert there.received == b"N?\n"
    link.close()


@both
def test_long_answers_are_read_anew(peer: StartPeer, connect: Connect) -> None:
    answer = b"#6100000" + bytes(100_000) + b"\r\n"
    link = connect(peer(answering(answer, answer)).resource, PATIENT)
    repeated = Repeated([link.block_of("DATA?")])
    one, other = (link.ask_again(repeated)[1] for _ in range(2))
    assert one == other == [bytes(100_000)]
    assert one is not other
    link.close()


@both
def test_more_than_can_be_asked_at_once_is_asked_in_parts(peer: StartPeer, connect: Connect) -> None:
    link = connect(peer(answering(*(b"%d\n" % index for index in range(80)))).resource, PATIENT)
    repeated = Repeated([link.line_of("N?")] * 79)
    assert link.ask_again(repeated, first=[link.line_of("FIRST?")]) == (["0"], [str(index) for index in range(1, 80)])
    link.close()


@both
def test_block_is_sent_as_header_bytes_and_line_feed(peer: StartPeer, connect: Connect) -> None:
    data = bytes(range(256)) * 8192
    whole = b"DATA #72097152" + data + b"\n"

    def swallow(peer: Peer, connection: socket.socket) -> None:
        peer.take(connection, len(whole))
        answering(b"taken\n")(peer, connection)

    there = peer(swallow)
    link = connect(there.resource, PATIENT)
    link.write_block("DATA", data)
    assert link.ask("TAKEN?") == "taken"
    assert bytes(there.received) == whole + b"TAKEN?\n"
    link.close()


def test_block_that_is_too_big_to_announce_is_refused_before_anything_is_sent(peer: StartPeer) -> None:
    there = peer(answering(b"still here\n"))
    link = open_link(there.resource, timeout=PATIENT)
    with pytest.raises(ValueError, match="send it in parts"):
        link.write_block("DATA", _TooBig())
    assert link.ask("WHO?") == "still here"
    link.close()


class _TooBig(bytes):
    """Bytes that claim to be a gigabyte."""

    def __len__(self) -> int:
        return 1_000_000_000


def test_small_messages_are_not_delayed_by_the_network_stack(peer: StartPeer) -> None:
    link = open_link(peer(answering()).resource, timeout=PATIENT)
    assert isinstance(link, SocketLink)
    connection = link._socket  # nothing else shows the option
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    link.close()


def test_closed_port_is_refused_at_once_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InstrumentNotFoundError, match=f"TCPIP0::127.0.0.1::{port}::SOCKET: no instrument answers"):
        open_link(f"TCPIP0::127.0.0.1::{port}::SOCKET", timeout=PATIENT)


@pytest.mark.parametrize(
    "resource", ["TCPIP0::no-such-host.invalid::5025::SOCKET", "nonsense", "TCPIP0::127.0.0.1::1::SOCKET"]
)
def test_address_where_nobody_is_is_named(resource: str) -> None:
    with pytest.raises(InstrumentNotFoundError, match="check"):
        open_link(resource, timeout=2.0)


@both
def test_silence_closes_the_link_and_the_late_answer_is_never_returned(peer: StartPeer, connect: Connect) -> None:
    def late(peer: Peer, connection: socket.socket) -> None:
        peer.line(connection)
        peer.released.wait()
        connection.sendall(b"late\n")

    there = peer(late)
    link = connect(there.resource, SHORT)
    with pytest.raises(LinkTimeoutError, match=r"did not answer within 0.2 s"):
        link.ask("FIRST?")
    there.released.set()
    for _ in range(2):
        with pytest.raises(LinkClosedError, match=r"closed since LinkTimeoutError.*connect again"):
            link.ask("SECOND?")
    assert not link.is_open
    assert there.received == b"FIRST?\n"


def test_signals_do_not_make_the_wait_for_an_answer_begin_anew(peer: StartPeer) -> None:
    link = socket_link(peer(answering()).resource, SHORT)
    is_late, signals = threading.Event(), 40

    def disturb() -> None:
        nonlocal signals
        while signals and not is_late.wait(SHORT / 4):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            signals -= 1

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        with pytest.raises(LinkTimeoutError, match="did not answer"):
            link.ask("FIRST?")
    finally:
        is_late.set()
        disturbing.join()
        signal.signal(signal.SIGUSR1, before)
    assert signals


@pytest.mark.parametrize("half", [b"12", b"#3100abc", b"#", b"#3"])
@both
def test_half_an_answer_closes_the_link(peer: StartPeer, connect: Connect, half: bytes) -> None:
    link = connect(peer(answering(half)).resource, SHORT)
    with pytest.raises(LinkTimeoutError):
        link.ask_blocks(["DATA?"]) if half.startswith(b"#") else link.ask("VALUE?")
    assert not link.is_open


def test_peer_that_takes_nothing_stops_an_upload_after_the_deadline(peer: StartPeer) -> None:
    link = open_link(peer(answering()).resource, timeout=SHORT)
    with pytest.raises(LinkTimeoutError, match="did not take the message"):
        link.write_block("DATA", bytes(64 << 20))
    with pytest.raises(LinkClosedError):
        link.write("STOP")


def hang_up_after(answer: bytes) -> Behaviour:
    def behave(peer: Peer, connection: socket.socket) -> None:
        peer.line(connection)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    return behave


@pytest.mark.parametrize("answer", [b"", b"12", b"#3100abc"])
def test_peer_that_hangs_up_is_noticed_at_once(peer: StartPeer, answer: bytes) -> None:
    link = open_link(peer(hang_up_after(answer)).resource, timeout=PATIENT)
    with pytest.raises(LinkClosedError, match="closed the connection"):
        link.ask_blocks(["DATA?"]) if answer.startswith(b"#") else link.ask("VALUE?")
    with pytest.raises(LinkClosedError, match="closed since"):
        link.ask("VALUE?")


def test_connection_that_is_reset_is_noticed_at_once(peer: StartPeer) -> None:
    def reset(peer: Peer, connection: socket.socket) -> None:
        peer.line(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    link = open_link(peer(reset).resource, timeout=PATIENT)
    with pytest.raises(LinkClosedError, match="the connection broke"):
        link.ask("VALUE?")


def test_answer_that_nobody_asked_for_closes_the_link(peer: StartPeer) -> None:
    link = open_link(peer(answering(b"1\r\n2\r\n", b"3\r\n")).resource, timeout=PATIENT)
    assert link.ask("FIRST?") == "1"
    with pytest.raises(MalformedAnswerError, match="nobody asked for"):
        link.ask("SECOND?")
    assert not link.is_open


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"12\r\n", "does not begin"),
        (b"#0ab\r\n", "does not begin"),
        (b"#2xy\r\n", "byte count"),
        (b"#11a,b\r\n", "follows"),
    ],
)
@both
def test_answer_that_is_no_block_closes_the_link(peer: StartPeer, connect: Connect, answer: bytes, words: str) -> None:
    link = connect(peer(answering(answer)).resource, PATIENT)
    with pytest.raises(MalformedAnswerError, match=words):
        link.ask_blocks(["DATA?"])
    assert not link.is_open


def test_second_thread_is_refused_in_the_middle_of_an_exchange(peer: StartPeer) -> None:
    link = open_link(peer(answering(b"mine\n")).resource, timeout=PATIENT)
    refused: list[BaseException] = []

    def intrude() -> None:
        try:
            link.ask("YOURS?")
        except LinkBusyError as error:
            refused.append(error)

    with link.exchange():
        intruder = threading.Thread(target=intrude)
        intruder.start()
        intruder.join()
    assert len(refused) == 1
    assert link.ask("MINE?") == "mine"
    link.close()


def test_link_that_was_interrupted_in_an_exchange_is_closed(peer: StartPeer) -> None:
    link = open_link(peer(answering(b"unread\n")).resource, timeout=PATIENT)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link.ask_each([Asked("VALUE?", interrupted)])
    with pytest.raises(LinkClosedError, match="KeyboardInterrupt"):
        link.ask("VALUE?")
