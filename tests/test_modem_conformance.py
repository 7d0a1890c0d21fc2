"""Four foreign programs take the emulator for a modem: gammu, gammu-smsd, Kannel and smstools, from Debian.

Each sends a long text with ñ, gets its delivery reports, and receives a text in parts out of order. What
they make of the octets is what our own codec is held against: none of them shares a line with it.
"""

import contextlib
import http.server
import socket
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import gammu
import pytest
from fakes import eventually
from modem_emulator import NEVER, Emulator

from hub.notify.transports.modem.alphabet import economic
from hub.servers.child import free_port

NEIGHBOUR = "+56987654321"
ALERT = "Atención vecinos de Los Boldos: señal de pánico en pasaje El Ñandú 12. ¿Quién va? " * 4
REPLY = "Sí, voy. Mañana también; ¿y el niño? ".strip() * 5
LIMIT_S = 40.0


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path / "modem") as running:
        yield running


@contextlib.contextmanager
def program(folder: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A foreign daemon with its output in a file; ended by its process id."""
    with (folder / f"{Path(command[0]).name}.out").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    output = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, output + done.stderr.decode("utf-8", "replace")
    return output


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir()


# --------------------------------------------------------------------------------------- gammu


def gammu_settings(folder: Path, *lines: str) -> str:
    path = folder / "gammurc"
    device = ["[gammu]", f"device = {folder}/modem", "connection = at115200", "synchronizetime = no"]
    path.write_text("\n".join([*device, *lines]) + "\n")
    return str(path)


def test_gammu_identifies_sends_and_reads(emulator: Emulator, tmp_path: Path) -> None:
    settings = gammu_settings(tmp_path)
    assert "350123456789012" in run("gammu", "-c", settings, "identify")
    emulator.set_reports(NEVER)
    run(
        "gammu",
        "-c",
        settings,
        *("sendsms", "TEXT", NEIGHBOUR, "-report", "-unicode", "-autolen", "900", "-text", ALERT),
    )
    assert emulator.texts() == [(NEIGHBOUR, ALERT)]
    assert all(sent.submit.wants_report for sent in emulator.sent)
    run("gammu", "-c", settings, "monitor", "1")  # asks the modem to store reports
    for sent in emulator.sent:
        emulator.report(sent)
    emulator.receive(NEIGHBOUR, REPLY, order=(3, 1, 2))
    seen = run("gammu", "-c", settings, "geteachsms")
    assert REPLY in seen
    assert seen.count("Delivery status      : Delivered") == len(emulator.sent)
    assert all(f"Reference number     : {sent.reference}" in seen for sent in emulator.sent)


# ---------------------------------------------------------------------------------- gammu-smsd


async def test_gammu_smsd_sends_and_receives(emulator: Emulator, tmp_path: Path) -> None:
    made(tmp_path, "inbox", "outbox", "sent", "error")
    settings = gammu_settings(
        tmp_path,
        "[smsd]",
        "service = files",
        *(f"{key}path = {tmp_path}/{folder}/" for key, folder in _SMSD_FOLDERS.items()),
        "inboxformat = detail",
        "deliveryreport = sms",
        *("commtimeout = 1", "receivefrequency = 1", "loopsleep = 1", "checkbattery = 0"),
    )
    with program(tmp_path, "gammu-smsd", "-c", settings, "-p", f"{tmp_path}/pid"):
        run(
            "gammu-smsd-inject",
            *("-c", settings, "TEXT", NEIGHBOUR, "-report", "-unicode", "-autolen", "900", "-text", ALERT),
        )
        await eventually(emulator.texts, LIMIT_S)
        emulator.receive(NEIGHBOUR, REPLY, order=(3, 1, 2))
        await eventually(lambda: REPLY in _smsd_texts(tmp_path), LIMIT_S)
        await eventually(lambda: _smsd_reports(tmp_path) == _references(emulator), LIMIT_S)
        await eventually(lambda: not any(m.slots for m in emulator.modem.memories.values()), LIMIT_S)
    assert emulator.texts() == [(NEIGHBOUR, ALERT)]


_SMSD_FOLDERS = {"inbox": "inbox", "outbox": "outbox", "sentsms": "sent", "errorsms": "error"}


def _smsd_messages(folder: Path) -> list[list[dict[str, object]]]:
    """What the daemon filed; for each ``+CDSI`` it also files a report without number and reference."""
    messages: list[list[dict[str, object]]] = []
    for path in sorted((folder / "inbox").iterdir()):
        with contextlib.suppress(gammu.GSMError):  # half written
            messages.append(gammu.ReadSMSBackup(str(path)))
    return messages


def _smsd_texts(folder: Path) -> list[str]:
    decoded = [gammu.DecodeSMS(parts) for parts in _smsd_messages(folder)]
    return ["".join([entry["Buffer"] for entry in found["Entries"]]) for found in decoded if found]


def _smsd_reports(folder: Path) -> list[object]:
    parts = [part for message in _smsd_messages(folder) for part in message]
    return sorted(part["MessageReference"] for part in parts if part["Text"] == "Delivered")


def _references(emulator: Emulator) -> list[int]:
    return sorted(sent.reference for sent in emulator.sent)


# ------------------------------------------------------------------------------------ smstools


async def test_smstools_sends_and_receives(emulator: Emulator, tmp_path: Path) -> None:
    folders = ("incoming", "outgoing", "checked", "sent", "failed", "report")
    made(tmp_path, *folders)
    (tmp_path / "smsd.conf").write_text(
        "\n".join(
            [
                "devices = GSM1",
                *(f"{name} = {tmp_path}/{name}" for name in folders),
                *(f"{name} = {tmp_path}/smsd.{name}" for name in ("logfile", "infofile", "pidfile")),
                *("delaytime = 1", "errorsleeptime = 1", "autosplit = 3", "incoming_utf8 = yes", "[GSM1]"),
                *(f"device = {tmp_path}/modem", "incoming = yes", "report = yes", "baudrate = 115200"),
                "init = AT+CNMI=2,1,0,2,0",
            ]
        )
        + "\n"
    )
    _drop(tmp_path, "economic", f"To: {NEIGHBOUR[1:]}\nAlphabet: UTF-8\n\n".encode() + ALERT.encode())
    _drop(tmp_path, "exact", f"To: {NEIGHBOUR[1:]}\nAlphabet: UCS2\n\n".encode() + ALERT.encode("utf-16-be"))
    with program(tmp_path, "/usr/sbin/smsd", "-t", f"-c{tmp_path}/smsd.conf"):
        await eventually(lambda: len(emulator.texts()) == 2, LIMIT_S)
        emulator.receive(NEIGHBOUR, REPLY, order=(3, 1, 2))
        await eventually(lambda: any(REPLY in text for text in _filed(tmp_path / "incoming")), LIMIT_S)
        await eventually(lambda: _smstools_reports(tmp_path) == _references(emulator), LIMIT_S)
    assert sorted(emulator.texts()) == sorted([(NEIGHBOUR, ALERT), (NEIGHBOUR, economic(ALERT))])


def _drop(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.write_bytes(content)
    path.rename(folder / "outgoing" / name)


def _filed(folder: Path) -> list[str]:
    """The texts in both forms that smstools files them in."""
    contents = [path.read_bytes() for path in folder.iterdir()]
    bodies = [content.partition(b"\n\n")[2] for content in contents]
    return [body.decode("utf-8", "replace") for body in bodies] + [
        body.decode("utf-16-be", "replace") for body in bodies
    ]


def _smstools_reports(folder: Path) -> list[int]:
    delivered = [text for text in _filed(folder / "report") if "Status: 0,Ok" in text]
    return sorted(int(text.partition("Message_id: ")[2].split()[0]) for text in delivered)


# -------------------------------------------------------------------------------------- Kannel


class _Heard(http.server.ThreadingHTTPServer):
    """Where Kannel reports to: (path, parameters) of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Listener)
        self.requests: list[tuple[str, dict[str, list[str]]]] = []

    def values(self, path: str, name: str) -> list[str]:
        return [values[name][0] for asked, values in self.requests if asked == path]


class _Listener(http.server.BaseHTTPRequestHandler):
    server: _Heard

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.server.requests.append((url.path, urllib.parse.parse_qs(url.query, encoding="latin-1")))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def heard() -> Iterator[_Heard]:
    server = _Heard()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_kannel_sends_and_receives(emulator: Emulator, heard: _Heard, tmp_path: Path) -> None:
    box_port, http_port = free_port(), free_port()
    settings = tmp_path / "kannel.conf"
    settings.write_text(
        _KANNEL.format(
            folder=tmp_path,
            admin_port=free_port(),
            box_port=box_port,
            http_port=http_port,
            heard_port=heard.server_port,
        )
    )
    with program(tmp_path, "/usr/sbin/bearerbox", str(settings)):
        await eventually(lambda: _listens(box_port), LIMIT_S)
        with program(tmp_path, "/usr/sbin/smsbox", str(settings)):
            await eventually(lambda: _listens(http_port), LIMIT_S)
            _kannel_send(http_port, heard.server_port)
            await eventually(emulator.texts, LIMIT_S)
            # reports come as +CDS, texts as +CMT
            await eventually(lambda: "1" in heard.values("/report", "kind"), LIMIT_S)
            emulator.receive(NEIGHBOUR, REPLY, order=(3, 1, 2))
            await eventually(lambda: heard.values("/reply", "text"), LIMIT_S)
    assert emulator.texts() == [(NEIGHBOUR, ALERT)]
    assert heard.values("/reply", "from") == [NEIGHBOUR]
    assert heard.values("/reply", "text")[0].encode("latin-1").decode("utf-16-be") == REPLY


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _kannel_send(port: int, heard_port: int) -> None:
    asked = {
        "username": "almenara",
        "password": "prueba",
        "from": "+56950001234",
        "to": NEIGHBOUR,
        "charset": "UTF-8",
        "coding": "2",
        "text": ALERT,
        "dlr-mask": "31",
        "dlr-url": f"http://127.0.0.1:{heard_port}/report?kind=%d",
    }
    url = f"http://127.0.0.1:{port}/cgi-bin/sendsms?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 202


_KANNEL = """\
group = core
admin-port = {admin_port}
admin-interface = 127.0.0.1
admin-password = prueba
smsbox-port = {box_port}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-level = 0

group = smsc
smsc = at
smsc-id = modem
modemtype = emulador
device = {folder}/modem
speed = 115200
my-number = +56950001234

group = modems
id = emulador
name = "emulador"
detect-string = "EMULADOR"
init-string = "AT+CNMI=2,2,0,1,0"

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box_port}
sendsms-port = {http_port}
sendsms-interface = 127.0.0.1
log-level = 0

group = sendsms-user
username = almenara
password = prueba
concatenation = true
max-messages = 10

group = sms-service
keyword = default
get-url = "http://127.0.0.1:{heard_port}/reply?from=%p&text=%a"
max-messages = 0
concatenation = true
"""
