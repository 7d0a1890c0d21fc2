"""The modem emulator, spoken to through its line with pyserial: its commands, and every fault on demand."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from modem_emulator import EXPIRED, HUAWEI_NOISE, NEVER, Emulator, Reports

from hub.notify.transports.modem import alphabet, pdu
from hub.notify.transports.modem.pdu import Deliver, StatusReport
from hub.notify.transports.modem.segments import split

NEIGHBOUR = "+56987654321"
ENDS = ("OK", "ERROR", "+CMS ERROR", "+CME ERROR")
STORED = "AT+CNMI=2,1,0,2,0"
DIRECT = "AT+CNMI=2,2,0,1,0"


class Terminal:
    """A computer at the line; answers come as lists of lines without the empty ones."""

    def __init__(self, port: str) -> None:
        self.serial = serial.Serial(port, 115200, timeout=5)

    def line(self, limit_s: float = 5.0) -> str:
        """The next line that is not empty; ``""`` when none comes."""
        self.serial.timeout = limit_s
        while raw := self.serial.readline():
            if text := raw.decode("latin-1").strip():
                return text
        return ""

    def ask(self, command: str) -> list[str]:
        self.serial.write(command.encode() + b"\r")
        return self.answer()

    def answer(self) -> list[str]:
        """Up to a final result, or to the silence."""
        lines = [self.line()]
        while lines[-1] and not lines[-1].startswith(ENDS):
            lines.append(self.line())
        return lines

    def is_silent(self, limit_s: float = 0.15) -> bool:
        self.serial.timeout = limit_s
        return self.serial.read(1) == b""

    def type_text(self, hexed: str, length: int) -> None:
        self.serial.write(f"AT+CMGS={length}\r".encode())
        assert self.serial.read_until(b"> ").endswith(b"\r\n> ")
        self.serial.write(hexed.encode() + b"\x1a")

    def send(self, text: str, to: str = NEIGHBOUR, *, wants_report: bool = False) -> list[str]:
        """The answer to the last part."""
        answer: list[str] = []
        for part in split(text):
            self.type_text(*pdu.submit(to, part, reference=9, wants_report=wants_report, validity_s=3600))
            answer = self.answer()
        return answer


@pytest.fixture
def modem(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path / "modem", log=tmp_path / "log.jsonl") as running:
        yield running


@pytest.fixture
def terminal(modem: Emulator) -> Iterator[Terminal]:
    opened = Terminal(modem.port)
    assert opened.ask("ATE0")[-1] == "OK"
    yield opened
    opened.serial.close()


# -------------------------------------------------------------------------------------- commands


def test_echo_and_joined_commands(modem: Emulator) -> None:
    terminal = Terminal(modem.port)
    assert terminal.ask("at+cgmm") == ["at+cgmm", "EMULADOR", "OK"]
    assert terminal.ask("\x1bATE0V1Q0")[-1] == "OK"
    assert terminal.ask('AT+CMEE=1;+CREG=2;+CSCS="UCS2";+CREG?') == ['+CREG: 2,1,"1A2B","03C4"', "OK"]
    assert terminal.ask("AT+CSCS?;+CSQ") == ['+CSCS: "UCS2"', "+CSQ: 21,99", "OK"]
    assert terminal.ask("AT+NADA") == ["ERROR"]
    assert terminal.ask("AT&F") == ["OK"]
    assert terminal.ask("AT+CSCS?") == ["AT+CSCS?", '+CSCS: "GSM"', "OK"]
    terminal.serial.close()


@pytest.mark.parametrize(
    "bad", ["AT+CMGS=x", "AT+CUSD=1", 'AT+CUSD=1,"xx"', "AT+CNMI=9", "AT?", "AT+", "AT+CMGR", "AT+CSCS="]
)
def test_nonsense_is_answered(terminal: Terminal, bad: str) -> None:
    terminal.ask('AT+CSCS="UCS2"')
    assert terminal.ask(bad)[-1] in ("OK", "ERROR")
    assert terminal.ask("AT") == ["OK"]


def test_pin(tmp_path: Path) -> None:
    with Emulator(tmp_path / "modem", pin="1234") as modem:
        terminal = Terminal(modem.port)
        terminal.ask("ATE0;+CMEE=2")
        assert terminal.ask("AT+CPIN?") == ["+CPIN: SIM PIN", "OK"]
        assert terminal.ask("AT+CIMI") == ["+CME ERROR: SIM PIN required"]
        assert terminal.ask("AT+CMGS=10") == ["+CMS ERROR: 311"]
        assert terminal.ask("AT+CREG?") == ["+CREG: 0,0", "OK"]
        assert terminal.ask('AT+CPIN="1111"') == ["+CME ERROR: incorrect password"]
        assert terminal.ask('AT+CPIN="1234"') == ["OK"]
        assert terminal.ask("AT+CREG?") == ["+CREG: 0,1", "OK"]
        assert terminal.send("Hola")[-1] == "OK"
        terminal.serial.close()


def test_three_wrong_pins_block_the_sim(tmp_path: Path) -> None:
    with Emulator(tmp_path / "modem", pin="1234") as modem:
        terminal = Terminal(modem.port)
        terminal.ask("ATE0")
        for _ in range(3):
            terminal.ask('AT+CPIN="0000"')
        assert terminal.ask("AT+CPIN?") == ["+CPIN: SIM PUK", "OK"]
        assert terminal.ask('AT+CPIN="1234"') == ["ERROR"]
        assert terminal.ask('AT+CPIN="12345678","4321"') == ["OK"]
        assert terminal.ask("AT+CPIN?") == ["+CPIN: READY", "OK"]
        terminal.serial.close()


def packed(hexed: str) -> str:
    octets = bytes.fromhex(hexed)
    return alphabet.decode(alphabet.unpack(octets, len(octets) * 8 // 7))


@pytest.mark.parametrize(
    ("style", "coding", "decode"),
    [
        ("plain", "15", str),
        ("packed", "15", packed),
        ("ucs2", "72", lambda hexed: bytes.fromhex(hexed).decode("utf-16-be")),
    ],
)
def test_balance(
    modem: Emulator, terminal: Terminal, style: str, coding: str, decode: Callable[[str], str]
) -> None:
    modem.modem.ussd_style = style
    assert terminal.ask('AT+CUSD=1,"*111#",15') == ["OK"]
    state, text, scheme = terminal.line().split(",")
    assert (state, scheme) == ("+CUSD: 0", coding)
    assert decode(text.strip('"')) == "Su saldo es $1.234"
    assert terminal.ask('AT+CUSD=1,"*999#",15') == ["OK"]
    assert terminal.line() == "+CUSD: 4"


# --------------------------------------------------------------------------------------- sending


def test_what_was_sent_is_kept_and_logged(modem: Emulator, terminal: Terminal, tmp_path: Path) -> None:
    text = "Señal de pánico 🚨 " * 10
    assert terminal.send(text) == ["+CMGS: 3", "OK"]
    assert modem.texts() == [(NEIGHBOUR, text)]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert "".join([line["text"] for line in lines]) == text
    assert [line["part"] for line in lines] == [[9, 1, 3], [9, 2, 3], [9, 3, 3]]


def test_a_wrong_length_or_pdu_is_refused(modem: Emulator, terminal: Terminal) -> None:
    hexed, length = pdu.submit(NEIGHBOUR, split("Hola")[0], reference=0, wants_report=False, validity_s=None)
    for typed, told in ((hexed, length + 1), (hexed[:-2], length), ("zz", 1), ("", 0)):
        terminal.type_text(typed, told)
        assert terminal.answer() == ["+CMS ERROR: 304"]
    terminal.type_text(hexed + "\x1b", length)  # given up before the end
    assert terminal.answer() == ["OK"]
    assert modem.sent == []


def test_send_errors_come_as_often_as_set(modem: Emulator, terminal: Terminal) -> None:
    modem.faults.send_errors.extend([500, 38])
    assert [terminal.send("Hola") for _ in range(3)] == [
        ["+CMS ERROR: 500"],
        ["+CMS ERROR: 38"],
        ["+CMGS: 1", "OK"],
    ]


def test_no_prompt(modem: Emulator, terminal: Terminal) -> None:
    modem.faults.no_prompts = 1
    terminal.serial.write(b"AT+CMGS=20\r")
    assert terminal.is_silent()
    assert terminal.ask("\x1bAT") == ["OK"]
    assert terminal.send("Hola")[-1] == "OK"


def test_the_text_goes_out_and_the_ok_is_lost(modem: Emulator, terminal: Terminal) -> None:
    modem.faults.lost_oks = 1
    terminal.type_text(
        *pdu.submit(NEIGHBOUR, split("Hola")[0], reference=0, wants_report=True, validity_s=None)
    )
    modem.wait_sent(1)
    assert terminal.is_silent()
    assert terminal.ask("AT") == ["OK"]


def test_a_late_ok_holds_up_what_comes_after(modem: Emulator, terminal: Terminal) -> None:
    modem.faults.late_oks, modem.faults.late_ok_s = 1, 0.3
    terminal.type_text(
        *pdu.submit(NEIGHBOUR, split("Hola")[0], reference=0, wants_report=True, validity_s=None)
    )
    modem.wait_sent(1)
    terminal.serial.write(b"AT+CGMM\r")
    assert terminal.is_silent(0.1)
    assert terminal.answer() == ["+CMGS: 1", "OK"]
    assert terminal.answer() == ["EMULADOR", "OK"]


def test_each_text_takes_its_time(modem: Emulator, terminal: Terminal) -> None:
    modem.modem.message_s = 0.2
    terminal.type_text(
        *pdu.submit(NEIGHBOUR, split("Hola")[0], reference=0, wants_report=True, validity_s=None)
    )
    assert terminal.is_silent(0.1)
    assert modem.sent == []
    assert terminal.answer() == ["+CMGS: 1", "OK"]


@pytest.mark.parametrize("stat", [0, 2, 3])
def test_without_registration_nothing_goes_out_or_in(modem: Emulator, terminal: Terminal, stat: int) -> None:
    terminal.ask(f"AT+CREG=1;{STORED[2:]}")
    modem.set_registration(stat)
    assert terminal.line() == f"+CREG: {stat}"
    assert terminal.ask("AT+COPS?") == ["+COPS: 0", "OK"]
    assert terminal.send("Hola") == ["+CMS ERROR: 331"]
    modem.receive(NEIGHBOUR, "Voy")
    assert terminal.is_silent()
    modem.set_registration(5)
    assert [terminal.line(), terminal.line()] == ["+CREG: 5", '+CMTI: "SM",1']


@pytest.mark.parametrize("rssi", [0, 99])
def test_without_signal_nothing_goes_out(modem: Emulator, terminal: Terminal, rssi: int) -> None:
    modem.set_signal(rssi)
    assert terminal.ask("AT+CSQ") == [f"+CSQ: {rssi},99", "OK"]
    assert terminal.send("Hola") == ["+CMS ERROR: 331"]
    modem.set_signal(15)
    assert terminal.send("Hola")[-1] == "OK"


# ----------------------------------------------------------------------------------- reports, replies


def reported(terminal: Terminal) -> StatusReport:
    """The next ``+CDS``."""
    assert terminal.line().startswith("+CDS: ")
    report = pdu.parse(terminal.line())
    assert isinstance(report, StatusReport)
    return report


def test_reports_as_the_network_makes_them(modem: Emulator, terminal: Terminal) -> None:
    terminal.ask(DIRECT)
    assert terminal.send("Hola", wants_report=True)[-1] == "OK"
    own = reported(terminal)
    assert (own.reference, own.recipient, own.status) == (1, NEIGHBOUR, 0)
    modem.set_reports(Reports(statuses=(0x30, 0x46), centre="+56900000000", is_national=True))
    terminal.send("Hola", wants_report=True)
    odd = [reported(terminal), reported(terminal)]
    assert [report.status for report in odd] == [0x30, 0x46]
    assert {(report.recipient, report.centre) for report in odd} == {("987654321", "+56900000000")}
    modem.set_reports(NEVER, NEIGHBOUR)
    terminal.send("Hola", wants_report=True)
    terminal.send("Hola", wants_report=False)
    assert terminal.is_silent()
    modem.report(modem.sent[2], EXPIRED)
    assert reported(terminal).status == 0x46


def test_late_reports(modem: Emulator, terminal: Terminal) -> None:
    modem.set_reports(Reports(delay_s=0.2))
    terminal.ask(DIRECT)
    terminal.send("Hola", wants_report=True)
    assert terminal.is_silent(0.1)
    assert reported(terminal).reference == 1


def test_stored_texts_and_reports(modem: Emulator, terminal: Terminal) -> None:
    terminal.ask(f'AT+CPMS="ME","ME","ME";{STORED[2:]}')
    modem.receive(NEIGHBOUR, "Sí, voy")
    assert terminal.line() == '+CMTI: "ME",1'
    terminal.send("Hola", wants_report=True)
    assert terminal.line() == '+CDSI: "ME",2'
    header, text, second, report, end = terminal.ask("AT+CMGL=4")
    assert (header.startswith("+CMGL: 1,0,,"), second.startswith("+CMGL: 2,0,,"), end) == (True, True, "OK")
    assert isinstance(pdu.parse(text), Deliver)
    assert isinstance(pdu.parse(report), StatusReport)
    assert terminal.ask("AT+CMGR=1")[0].startswith("+CMGR: 1,,")
    assert terminal.ask("AT+CMGD=1") == ["OK"]
    assert terminal.ask("AT+CMGR=1") == ["+CMS ERROR: 321"]
    assert terminal.ask("AT+CMGD=1,4") == ["OK"]
    assert terminal.ask("AT+CMGL=4") == ["OK"]


def test_parts_shuffled_lost_and_repeated(modem: Emulator, terminal: Terminal) -> None:
    terminal.ask(DIRECT)
    modem.receive(NEIGHBOUR, "á" * 200, order=(3, 1, 1))
    numbers = []
    for _ in range(3):
        assert terminal.line().startswith("+CMT: ,")
        part = pdu.parse(terminal.line())
        assert isinstance(part, Deliver)
        assert part.concat is not None
        numbers.append(part.concat.number)
    assert numbers == [3, 1, 1]
    assert terminal.is_silent()


def test_a_full_memory_makes_the_network_wait(modem: Emulator, terminal: Terminal) -> None:
    modem.set_capacity(1)
    terminal.ask(STORED)
    modem.receive(NEIGHBOUR, "uno")
    modem.receive(NEIGHBOUR, "dos")
    assert terminal.line() == '+CMTI: "SM",1'
    assert terminal.is_silent()
    assert terminal.ask("AT+CMGD=1") == ["OK"]
    assert terminal.line() == '+CMTI: "SM",1'
    assert len(modem.modem.arrivals.waiting) == 0


def test_direct_texts_want_an_acknowledgement_in_phase_2(modem: Emulator, terminal: Terminal) -> None:
    modem.modem.ack_s = 0.2
    terminal.ask(f"AT+CSMS=1;{DIRECT[2:]}")
    for text in ("uno", "dos", "tres"):
        modem.receive(NEIGHBOUR, text)
    assert terminal.line().startswith("+CMT: ,")
    terminal.line()
    assert terminal.ask("AT+CNMA") == ["OK"]
    assert terminal.line().startswith("+CMT: ,")
    terminal.line()
    # nobody acknowledges the second: no more direct routing, and it comes again, into the memory
    assert terminal.is_silent(0.4)
    assert terminal.ask("AT+CNMI?") == ["+CNMI: 2,0,0,0,0", "OK"]
    assert terminal.ask("AT+CNMA") == ["+CMS ERROR: 340"]
    assert len(terminal.ask("AT+CMGL=4")) == 2 * 2 + 1


# ------------------------------------------------------------------------------- what befalls a modem


def test_lines_in_the_middle_of_a_reply(modem: Emulator, terminal: Terminal) -> None:
    modem.faults.inside_replies.append('+CMTI: "SM",9')
    assert terminal.ask("AT+CSQ") == ["+CSQ: 21,99", '+CMTI: "SM",9', "OK"]
    assert terminal.ask("AT+CSQ") == ["+CSQ: 21,99", "OK"]


def test_unasked_lines_wait_for_the_end_of_a_text(modem: Emulator, terminal: Terminal) -> None:
    hexed, length = pdu.submit(NEIGHBOUR, split("Hola")[0], reference=0, wants_report=False, validity_s=None)
    terminal.serial.write(f"AT+CMGS={length}\r".encode())
    terminal.serial.read_until(b"> ")
    modem.unasked("^RSSI:12")
    assert terminal.is_silent()
    terminal.serial.write(hexed.encode() + b"\x1a")
    assert terminal.answer() == ["+CMGS: 1", "OK"]
    assert terminal.line() == "^RSSI:12"


def test_noise_and_banners(modem: Emulator, terminal: Terminal) -> None:
    modem.noise(b"\xff\xfe\x00garbage")
    assert terminal.serial.read(10) == b"\xff\xfe\x00garbage"
    modem.banner(HUAWEI_NOISE)
    assert [terminal.line() for _ in HUAWEI_NOISE] == list(HUAWEI_NOISE)
    modem.banner()
    assert [terminal.line(), terminal.line()] == ["RDY", "+CFUN: 1"]


def test_commands_that_this_modem_lacks(modem: Emulator, terminal: Terminal) -> None:
    modem.faults.deaf_commands.add("+CUSD")
    assert terminal.ask('AT+CUSD=1,"*111#"') == ["ERROR"]


def test_a_reset_sets_all_back(modem: Emulator, terminal: Terminal) -> None:
    terminal.ask(STORED)
    assert terminal.ask("AT+CFUN=1,1") == ["OK"]
    assert [terminal.line() for _ in range(5)][-1] == "SMS Ready"
    assert terminal.ask("AT+CNMI?") == ["AT+CNMI?", "+CNMI: 0,0,0,0,0", "OK"]
    assert modem.modem.resets == 1


def test_radio_off(terminal: Terminal) -> None:
    assert terminal.ask("AT+CFUN=4;+CREG?") == ["+CREG: 0,0", "OK"]
    assert terminal.send("Hola") == ["+CMS ERROR: 331"]
    assert terminal.ask("AT+CFUN=1;+CREG?") == ["+CREG: 0,1", "OK"]


def test_silence_until_reset(modem: Emulator, terminal: Terminal) -> None:
    modem.hang("reset")
    terminal.serial.write(b"AT\r")
    assert terminal.is_silent()
    terminal.serial.close()
    terminal.serial.open()
    terminal.serial.write(b"AT\r")
    assert terminal.is_silent()
    terminal.serial.write(b"AT+CFUN=1,1\r")
    assert terminal.line() == "RDY"


def test_silence_until_reopened(modem: Emulator, terminal: Terminal) -> None:
    modem.hang("reopen")
    terminal.serial.write(b"AT+CFUN=1,1\r")
    assert terminal.is_silent()
    terminal.serial.close()
    terminal.serial.open()
    assert terminal.ask("AT") == ["OK"]


def test_pulled_out_and_back(modem: Emulator, terminal: Terminal) -> None:
    modem.unplug()
    assert not os.path.lexists(modem.port)
    with pytest.raises(serial.SerialException):
        terminal.serial.read(1)
    modem.receive(NEIGHBOUR, "Voy")
    modem.plug()
    back = Terminal(modem.port)
    assert back.line() == "RDY"
    assert back.ask("ATE0")[-1] == "OK"
    assert back.ask("AT+CMGL=4")[0].startswith("+CMGL: 1,0,,")
    back.serial.close()


def test_what_nobody_reads_is_lost(modem: Emulator, terminal: Terminal) -> None:
    terminal.ask(STORED)
    terminal.serial.close()
    modem.receive(NEIGHBOUR, "Voy")
    terminal.serial.open()
    assert terminal.is_silent()
    assert terminal.ask("AT+CMGL=4")[0].startswith("+CMGL: 1,0,,")


# --------------------------------------------------------------------------------------- from outside


class Remote:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rw", encoding="utf-8")

    def do(self, **order: Any) -> Any:
        self.lines.write(json.dumps(order) + "\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline())
        assert answer["ok"], answer
        return answer["result"]

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


def test_as_a_process_of_its_own_with_a_control_socket(tmp_path: Path) -> None:
    link, control = tmp_path / "modem", tmp_path / "control"
    command = [sys.executable, "-m", "modem_emulator", "--link", link, "--control", control, "--pin", "1234"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip().endswith(b"modem")  # it is ready
            drive(Remote(control), Terminal(str(link)))
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert not control.exists()
    assert not os.path.lexists(link)


def drive(remote: Remote, terminal: Terminal) -> None:
    terminal.ask(f'ATE0;+CPIN="1234";{STORED[2:]}')
    remote.do(do="receive", sender=NEIGHBOUR, text="Sí, voy " * 20, order=[3, 1])
    assert [terminal.line(), terminal.line()] == ['+CMTI: "SM",1', '+CMTI: "SM",2']
    remote.do(fault={"send_errors": [500]}, set={"message_s": 0.01}, reports={"statuses": [70]})
    assert terminal.send("Hola", wants_report=True) == ["+CMS ERROR: 500"]
    assert terminal.send("Hola", wants_report=True)[-1] == "OK"
    assert terminal.line() == '+CDSI: "SM",3'
    assert remote.do(do="texts") == [[NEIGHBOUR, "Hola"]]
    assert remote.do(do="sent")[0]["to"] == NEIGHBOUR
    with pytest.raises(AssertionError, match="one of"):
        remote.do(do="stop")
    terminal.serial.close()
    remote.close()
