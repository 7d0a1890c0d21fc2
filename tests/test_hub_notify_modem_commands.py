"""``almenara-hub sms …`` as processes against the emulated modem, without database or hub."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import eventually
from modem_emulator import EXPIRED, NEVER, Emulator
from processes import run

ROSA, LUIS = "+56987654321", "+56998765432"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path / "modem") as started:
        yield started


async def sms(*words: str) -> tuple[int, str]:
    """(exit code, both outputs)."""
    return await run("hub.cli", "--log", "error", "sms", *words)


def stored(emulator: Emulator) -> int:
    return sum(len(memory.slots) for memory in emulator.modem.memories.values())


# --------------------------------------------------------------------------------------------- check


async def test_check_tells_what_the_modem_is(emulator: Emulator) -> None:
    code, told = await sms("check", "--port", emulator.port)
    assert code == 0, told
    for fact in ("ALMENARA EMULADOR 1.0", "350123456789012", "lista", "registrado ENTEL PCS"):
        assert fact in told
    assert "-71 dBm (excelente)" in told
    assert "+56950000990" in told
    assert "Listo" in told


async def test_check_without_a_port(tmp_path: Path) -> None:
    code, told = await sms("check", "--port", str(tmp_path / "nada"))
    assert code == 1
    assert "el puerto no existe" in told
    assert "Qué hacer: enchufe el módem" in told


async def test_check_of_what_is_no_modem(tmp_path: Path) -> None:
    plain = tmp_path / "archivo"
    plain.write_text("")
    code, told = await sms("check", "--port", str(plain))
    assert code == 1
    assert "no se puede leer" in told


async def test_check_with_and_without_a_pin(tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    with Emulator(tmp_path / "modem", pin="4321") as emulator:
        code, told = await sms("check", "--port", emulator.port)
        assert (code, "la SIM pide PIN" in told) == (1, True)
        pin.write_text("1111")
        code, told = await sms("check", "--port", emulator.port, "--pin-file", str(pin))
        assert (code, "el PIN es incorrecto" in told, "1111" in told) == (1, True, False)
        assert emulator.modem.sim.attempts == 2
        pin.write_text("4321")
        code, told = await sms("check", "--port", emulator.port, "--pin-file", str(pin))
        assert code == 0, told


@pytest.mark.parametrize(("stat", "cause"), [(0, "no hay red"), (2, "busca red"), (3, "rechaza la SIM")])
async def test_check_without_network(emulator: Emulator, stat: int, cause: str) -> None:
    emulator.set_registration(stat)
    code, told = await sms("check", "--port", emulator.port, "--wait-network", "1")
    assert code == 1
    assert cause in told
    assert "ALMENARA EMULADOR" in told


async def test_check_of_a_silent_modem(emulator: Emulator) -> None:
    emulator.hang("never")
    code, told = await sms("check", "--port", emulator.port)
    assert code == 1
    assert "no responde a AT" in told


async def test_check_of_a_port_in_use(emulator: Emulator) -> None:
    first = await _listening(emulator)
    code, told = await sms("check", "--port", emulator.port)
    assert (code, "otro programa usa el puerto" in told) == (1, True)
    first.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        assert await first.wait() == 130


# ---------------------------------------------------------------------------------------------- send


async def test_send_and_its_report(emulator: Emulator) -> None:
    text = "Atención: prueba del módem, ñandú ¿llega? " * 5
    code, told = await sms("send", "--port", emulator.port, "9 8765 4321", text, "--wait-report", "10")
    assert code == 0, told
    assert "La red aceptó el mensaje (2 partes)." in told
    assert "Parte 1 de 2: entregado." in told
    assert "Parte 2 de 2: entregado." in told
    [(to, sent)] = emulator.texts()
    assert (to, sent) == (ROSA, text.replace("ó", "o").replace("ú", "u"))


async def test_send_with_accents(emulator: Emulator) -> None:
    code, told = await sms("send", "--port", emulator.port, ROSA, "Intrusión", "--accents")
    assert code == 0, told
    assert emulator.texts() == [(ROSA, "Intrusión")]


async def test_send_that_never_arrives(emulator: Emulator) -> None:
    emulator.set_reports(EXPIRED)
    code, told = await sms("send", "--port", emulator.port, ROSA, "Hola", "--wait-report", "10")
    assert (code, "venció el plazo" in told) == (1, True)
    emulator.set_reports(NEVER)
    code, told = await sms("send", "--port", emulator.port, ROSA, "Hola", "--wait-report", "0.5")
    assert (code, "Sin confirmación de 1 parte" in told) == (1, True)


async def test_send_leaves_replies_in_the_modem(emulator: Emulator) -> None:
    emulator.receive(LUIS, "1 K7")
    code, told = await sms("send", "--port", emulator.port, ROSA, "Hola", "--wait-report", "10")
    assert code == 0, told
    await eventually(lambda: stored(emulator) == 1)


async def test_send_refused(emulator: Emulator) -> None:
    emulator.faults.send_errors.append(1)
    code, told = await sms("send", "--port", emulator.port, ROSA, "Hola")
    assert (code, "No se envió: el número no existe (+CMS ERROR: 1)." in told) == (1, True)
    for number, cause in (("133", "número de emergencia"), ("22222222", "no es un celular chileno")):
        code, told = await sms("send", "--port", emulator.port, number, "Hola")
        assert (code, cause in told) == (1, True), told
    assert emulator.sent == []


# -------------------------------------------------------------------------------------------- listen


async def _listening(emulator: Emulator, *options: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hub.cli",
        "--log",
        "error",
        "sms",
        "listen",
        "--port",
        emulator.port,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(60):
        assert b"Escuchando" in await process.stderr.readline()
    return process


async def test_listen_writes_a_line_of_json_for_each_text_until_ctrl_c(emulator: Emulator) -> None:
    emulator.receive(LUIS, "Antes")
    process = await _listening(emulator, "--json")
    assert process.stdout is not None
    long = "Sí, voy. ¿Quién más? 🚨 " * 8
    lines = []
    async with asyncio.timeout(60):
        lines.append(json.loads(await process.stdout.readline()))
        emulator.receive(LUIS, long, order=(2, 1, 3))
        lines.append(json.loads(await process.stdout.readline()))
    assert [(line["kind"], line["sender"], line["text"]) for line in lines] == [
        ("inbound", LUIS, "Antes"),
        ("inbound", LUIS, long),
    ]
    await eventually(lambda: stored(emulator) == 0)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        assert await process.wait() == 130


async def test_listen_for_a_while_and_keep(emulator: Emulator) -> None:
    emulator.receive(LUIS, "1 K7")
    code, told = await sms("listen", "--port", emulator.port, "--for", "0.5", "--keep")
    assert code == 0
    assert f"de {LUIS}: 1 K7" in told
    assert stored(emulator) == 1
    code, told = await sms("listen", "--port", emulator.port, "--for", "0.5", "--json")
    assert json.loads(told.splitlines()[-1])["text"] == "1 K7"


async def test_listen_hears_reports(emulator: Emulator) -> None:
    code, told = await sms("send", "--port", emulator.port, ROSA, "Hola")
    assert code == 0, told
    code, told = await sms("listen", "--port", emulator.port, "--for", "0.5", "--json")
    line = json.loads(told.splitlines()[-1])
    assert (line["kind"], line["is_delivered"], line["detail"]) == ("report", True, "entregado")


async def test_listen_on_nothing(tmp_path: Path) -> None:
    code, told = await sms("listen", "--port", str(tmp_path / "nada"))
    assert (code, "el puerto no existe" in told) == (1, True)
