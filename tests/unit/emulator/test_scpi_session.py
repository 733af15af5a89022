"""Headers, arguments, compound messages, and the exchange of answers."""

from __future__ import annotations

import pytest

from qubitd.emulator.errors import ScpiError
from qubitd.emulator.scpi.arguments import Argument
from qubitd.emulator.scpi.commands import Call, CommandTable
from qubitd.emulator.scpi.reader import MessageReader, Overrun, ProgramMessage
from qubitd.emulator.scpi.session import MessageExchange, Session, add_common_commands
from qubitd.emulator.scpi.status import Status


class Instrument:
    """Two channels with a level, a name and a memory."""

    def __init__(self) -> None:
        self.levels = {1: 0.0, 2: 0.0}
        self.name = ""
        self.data = b""
        self.status = Status()
        self.status.clear()
        table = CommandTable()
        add_common_commands(table, self.status, identity=lambda: "MAKER,MODEL,0,1", reset=self.levels.clear)
        table.add("SOURce#:VOLTage[:LEVel]", self._set_level)
        table.add("SOURce#:VOLTage[:LEVel]?", lambda call: f"{self.levels[call.numbers[0]]:g}")
        table.add("SOURce#:STATe?", lambda call: str(call.numbers[0]))
        table.add("NAME", self._set_name)
        table.add("NAME?", lambda _: f'"{self.name}"')
        table.add("DATA", self._set_data)
        table.add("DATA?", lambda _: b"#13" + self.data[:3])
        table.mount("SLOT#", self._slot)
        self.table = table
        self.session = Session(commands=table, status=self.status, terminator=b"\n")

    def _set_level(self, call: Call) -> None:
        call.expect(1)
        self.levels[call.numbers[0]] = call.argument(0).real(-1, 1, {"V": 1.0, "MV": 1e-3})

    def _set_name(self, call: Call) -> None:
        self.name = call.argument(0).string()

    def _set_data(self, call: Call) -> None:
        self.data = bytes(call.argument(1).data())

    def _slot(self, number: int) -> CommandTable:
        if number != 3:
            raise ScpiError(-241, f"slot {number}")
        return self.table

    def send(self, data: str | bytes) -> str:
        reader = MessageReader()
        reader.feed((data.encode() if isinstance(data, str) else data) + b"\n")
        answer = b""
        while (message := reader.take()) is not None:
            answer += self.session.execute(message)
        return answer.decode("latin-1")


@pytest.fixture
def instrument() -> Instrument:
    return Instrument()


@pytest.mark.parametrize(
    "header", ["SOURce1:VOLTage:LEVel", "SOUR1:VOLT", "sour1:voltage", ":source1:volt:lev", "Sour1:Volt:Level"]
)
def test_short_and_long_forms_and_any_case_are_understood(instrument: Instrument, header: str) -> None:
    instrument.send(f"{header} 0.25")
    assert instrument.send(f"{header}?") == "0.25\n"


@pytest.mark.parametrize(
    "header", ["SOURC1:VOLT", "SOUR:VOLT", "SOUR1:VOLTA", "SOUR1", "FOO", "SOUR1:VOLT:LEV:X", "*FOO"]
)
def test_other_spellings_are_undefined(instrument: Instrument, header: str) -> None:
    instrument.send(f"{header} 1")
    assert instrument.status.next_error() == f'-113,"Undefined header; {header}"'


def test_a_command_is_no_query(instrument: Instrument) -> None:
    assert instrument.send("*RST?;DATA?") == ""
    assert instrument.status.next_error().startswith("-113")


def test_several_queries_are_answered_in_one_line(instrument: Instrument) -> None:
    assert instrument.send("SOUR1:VOLT 0.5;VOLT?;:SOUR2:VOLT?;*IDN?") == "0.5;0;MAKER,MODEL,0,1\n"


def test_a_unit_continues_in_the_node_of_the_one_before(instrument: Instrument) -> None:
    assert instrument.send("SOUR2:VOLT 1;*OPC;STAT?;:SOUR1:STAT?") == "2;1\n"


def test_a_node_does_not_outlive_its_message(instrument: Instrument) -> None:
    instrument.send("SOUR2:VOLT 1")
    instrument.send("STAT?")
    assert instrument.status.next_error() == '-113,"Undefined header; STAT?"'


def test_a_mounted_table_is_reached_through_its_prefix(instrument: Instrument) -> None:
    assert instrument.send("SLOT3:SOUR1:VOLT 0.5;VOLT?") == "0.5\n"
    instrument.send("SLOT4:SOUR1:VOLT 0.5")
    assert instrument.status.next_error() == '-241,"Hardware missing; slot 4"'


def test_nothing_more_is_done_after_a_command_error(instrument: Instrument) -> None:
    assert instrument.send("*IDN?;FOO;SOUR1:VOLT 1") == "MAKER,MODEL,0,1\n"
    assert instrument.levels[1] == 0


def test_the_rest_is_done_after_an_execution_error(instrument: Instrument) -> None:
    instrument.send("SOUR1:VOLT 2;VOLT 0.5")
    assert instrument.levels[1] == 0.5
    assert instrument.status.next_error() == '-222,"Data out of range; 2 is outside -1 to 1"'


def test_a_message_that_comes_again_does_the_same_again(instrument: Instrument) -> None:
    for level in ("0.5", "0.25", "0.5"):
        assert instrument.send(f"SOUR1:VOLT {level};VOLT?;:SOUR2:STAT?") == f"{level};2\n"
    for _ in range(3):
        assert instrument.send("SOUR1:VOLT 9;VOLT?;FOO;*IDN?") == "0.5\n"
        assert instrument.status.all_errors().split(",")[::2] == ["-222", "-113"]
    for data in ("abc", "xyz"):
        assert instrument.send(f"DATA 1,#13{data}\nDATA?") == f"#13{data}\n"


@pytest.mark.parametrize(("text", "value"), [("500 mV", 0.5), ("5e-1", 0.5), ("+.5V", 0.5), ("-1", -1)])
def test_numbers_come_in_all_forms(instrument: Instrument, text: str, value: float) -> None:
    instrument.send(f"SOUR1:VOLT {text}")
    assert instrument.levels[1] == value


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("1,2", -108),
        ("", -109),
        ("abc", -120),
        ("1.2.3", -120),
        ('"1"', -104),
        ("1 A", -131),
        ("#13abc", -104),
        ("nan", -120),
    ],
)
def test_wrong_data_have_their_codes(instrument: Instrument, data: str, code: int) -> None:
    instrument.send(f"SOUR1:VOLT {data}")
    assert instrument.status.next_error().startswith(f"{code},")


def test_strings_may_hold_separators_and_doubled_quotes(instrument: Instrument) -> None:
    instrument.send('NAME "a;b,""c"""')
    assert instrument.name == 'a;b,"c"'
    instrument.send("NAME 'it''s'")
    assert instrument.name == "it's"


@pytest.mark.parametrize("data", ["abc", '"abc', "'abc\"", '"'])
def test_text_without_its_quotes_is_no_string(instrument: Instrument, data: str) -> None:
    instrument.send(f"NAME {data}")
    assert instrument.status.next_error().startswith("-151,")


def test_blocks_reach_the_command_they_were_sent_with(instrument: Instrument) -> None:
    assert instrument.send(b'DATA "a;b",#15;\n"#x;DATA?') == '#13;\n"\n'
    assert instrument.data == b';\n"#x'


@pytest.mark.parametrize("data", [b"1,2", b"1,x#13abc", b"1,\x00"])
def test_what_is_no_block_is_refused(instrument: Instrument, data: bytes) -> None:
    instrument.send(b"DATA " + data)
    assert instrument.status.next_error().startswith("-161,")


@pytest.mark.parametrize(("text", "value"), [("ON", True), ("1", True), ("off", False), ("0", False)])
def test_booleans_have_four_spellings(text: str, value: bool) -> None:
    assert Argument(text).boolean() is value


def test_other_booleans_are_refused() -> None:
    with pytest.raises(ScpiError, match="-224"):
        Argument("2").boolean()


def test_whole_numbers_are_rounded() -> None:
    assert Argument("2.6").integer(0, 3) == 3


def test_an_overrun_becomes_an_error(instrument: Instrument) -> None:
    assert instrument.session.execute(Overrun(code=-223, detail="x")) == b""
    assert instrument.status.next_error() == '-223,"Too much data; x"'


def test_common_commands_keep_the_registers(instrument: Instrument) -> None:
    assert instrument.send("*ESE 60;*SRE 32;*ESE?;*SRE?;*TST?;*WAI;*OPC?") == "60;32;0;1\n"
    assert instrument.send("*OPC;*ESR?;*ESR?") == "1;0\n"
    instrument.send("SOUR1:VOLT 9;VOLT 9")
    assert instrument.send("SYST:ERR:COUN?;:SYST:ERR:NEXT?;ALL?;*STB?").startswith('2;-222,"')
    instrument.send("SOUR1:VOLT 9;*CLS")
    assert instrument.send("*ESR?;SYST:ERR?") == '0;0,"No error"\n'


def test_a_new_message_loses_an_answer_that_was_not_read(instrument: Instrument) -> None:
    exchange = MessageExchange(instrument.session, instrument.status)
    exchange.write(ProgramMessage(text="*IDN?"))
    exchange.write(ProgramMessage(text="*OPC?"))
    assert exchange.read() == b"1\n"
    assert instrument.status.next_error() == '-410,"Query INTERRUPTED"'


def test_a_read_without_a_query_is_an_error(instrument: Instrument) -> None:
    exchange = MessageExchange(instrument.session, instrument.status)
    assert exchange.read() == b""
    assert instrument.status.next_error() == '-420,"Query UNTERMINATED"'
