"""The HTTP transport: against a REST provider that runs here, and against real Kannel in front of an SMSC."""

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from conftest import wait_for_port
from fakes import VirtualClock, eventually
from fakes import outgoing as message
from smsc import PASSWORD, SYSTEM_ID, Smsc

from hub.database import Pool
from hub.notify.mailbox import Mailbox
from hub.notify.transports import DeliveryReport, Inbound, TransportError, TransportEvent
from hub.notify.transports.http import KANNEL_ACCEPTED, HttpGateway, HttpTransport
from hub.servers import process
from hub.servers.child import free_port
from hub.web.app import create_app
from hub.web.bus import AlertBus
from hub.web.server import serve
from hub.web.settings import Hook, WebSettings

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
PHONE = "+56987650001"
TOKEN = "clave-de-la-pasarela"
ODD = 'ALERTA "K7" ¿Los Ñires 12?\n{secret}'
JSON = {"Content-Type": "application/json", "Authorization": "Bearer {secret}"}
BODY = '{"to": "{digits}", "text": "{text}", "ref": "{id}", "urgent": {priority}}'


@dataclass
class Provider:
    """Answers with ``status`` and ``words``; ``words`` None: closes without an answer."""

    status: int = 200
    words: str | None = '{"id": "abc-1", "balance": 123.5}'
    port: int = 0
    got: list[tuple[str, str, str]] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        sizes = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-len")]
        body = (await reader.readexactly(int(sizes[0]) if sizes else 0)).decode()
        self.got.append((head.split("\r\n", 1)[0], head, body))
        if self.words is not None:
            words = self.words.encode()
            start = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(words)}\r\nConnection: close\r\n\r\n"
            writer.write(start.encode() + words)
        writer.close()
        await writer.wait_closed()

    def gateway(self, **changes: Any) -> HttpGateway:
        values: dict[str, Any] = {
            "url": f"http://127.0.0.1:{self.port}/send",
            "headers": JSON,
            "body": BODY,
            "secret": "s3creto",
            "accepted": '"id"',
            "reference": r'"id": "([^"]+)"',
            "refused": "invalid_number",
        }
        return HttpGateway(**(values | changes))


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    one = Provider()
    server = await asyncio.start_server(one.answer, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    yield one
    server.close()
    await server.wait_closed()


# ---------------------------------------------------------------------------------------------- REST


async def test_a_template_is_filled_and_escaped(provider: Provider) -> None:
    sent = message(ODD)
    assert await HttpTransport(provider.gateway()).send(sent) == ("abc-1",)
    [(first, head, body)] = provider.got
    assert first == "POST /send HTTP/1.1"
    assert "authorization: bearer s3creto" in head.lower()
    # a text that reads {secret} stays that text
    assert json.loads(body) == {
        "to": "56987650001",
        "text": sent.text,
        "ref": str(sent.notification_id),
        "urgent": 1,
    }


async def test_without_a_reference_our_own_counts(provider: Provider) -> None:
    sent = message(ODD)
    gateway = provider.gateway(
        reference="", method="GET", url=f"http://127.0.0.1:{provider.port}/s?t={{text}}", body=""
    )
    assert await HttpTransport(gateway).send(sent) == (str(sent.notification_id),)
    [(first, _, _)] = provider.got
    assert "t=ALERTA%20%22K7%22%20%C2%BFLos%20%C3%91ires%2012%3F%0A%7Bsecret%7D" in first


@pytest.mark.parametrize(
    ("status", "words", "permanent", "maybe_sent"),
    [
        (400, '{"error": "invalid_number"}', True, False),
        (200, '{"error": "no credit"}', False, False),
        (401, "", False, False),
        (429, "", False, False),
        (503, "", False, False),
        (500, "", False, True),
        (504, "", False, True),
        (200, None, False, True),
    ],
)
async def test_an_answer_tells_whether_the_text_may_have_left(
    provider: Provider, status: int, words: str | None, permanent: bool, maybe_sent: bool
) -> None:
    provider.status, provider.words = status, words
    with pytest.raises(TransportError) as caught:
        await HttpTransport(provider.gateway()).send(message())
    assert (caught.value.permanent, caught.value.maybe_sent) == (permanent, maybe_sent)
    assert "5698765" not in str(caught.value)


async def test_a_gateway_that_is_away_took_nothing() -> None:
    gateway = HttpGateway(url=f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(TransportError, match="no se puede conectar") as caught:
        await HttpTransport(gateway).send(message())
    assert not caught.value.maybe_sent
    assert not (await HttpTransport(HttpGateway(url=gateway.url, health_url=gateway.url)).health()).is_ok


async def test_health_reads_the_credit(provider: Provider) -> None:
    url = f"http://127.0.0.1:{provider.port}/balance"
    health = await HttpTransport(provider.gateway(health_url=url, credit=r'"balance": ([0-9.]+)')).health()
    assert (health.is_ok, health.credit) == (True, 123.5)


async def test_a_missing_duty_phone_is_told() -> None:
    with pytest.raises(TransportError, match="teléfono de turno") as caught:
        await HttpTransport(HttpGateway(url="http://127.0.0.1/")).send(message(to=""))
    assert caught.value.permanent


# ------------------------------------------------------------------------------------ what is pushed


@pytest_asyncio.fixture
async def console(pool: Pool) -> AsyncIterator[str]:
    """The address of a console that takes what the gateway ``kannel`` pushes."""
    hook = Hook(
        transport="kannel",
        token=TOKEN,
        delivered_values=frozenset({"1"}),
        failed_values=frozenset({"2", "16"}),
    )
    bus = AlertBus()
    app = create_app(
        pool=pool, clock=VirtualClock(NOW), settings=WebSettings(hooks=(hook,)), metrics=None, bus=bus
    )
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready.set_result))
    yield f"http://127.0.0.1:{await ready}"
    bus.close()
    serving.cancel()
    await asyncio.wait([serving])


async def take(pool: Pool, count: int) -> list[TransportEvent]:
    found: list[TransportEvent] = []
    async with asyncio.timeout(60):
        async with aclosing(Mailbox(pool, "kannel").events()) as events:
            async for event in events:
                found.append(event)
                if len(found) == count:
                    break
    return found


async def test_what_a_gateway_pushes_is_kept_until_it_was_taken(pool: Pool, console: str) -> None:
    async with httpx.AsyncClient(base_url=console) as client:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answers = [
            await client.get("/pasarela/kannel/informe", params={"clave": TOKEN, "id": "r1", "estado": "1"}),
            await client.post("/pasarela/kannel/informe", json={"id": "r2", "estado": 16}, headers=bearer),
            await client.post("/pasarela/kannel/informe", json={"id": "r3", "estado": 8}, headers=bearer),
            await client.post(
                "/pasarela/kannel/entrada", data={"from": PHONE, "text": "Sí, voy\0"}, headers=bearer
            ),
            await client.get(
                f"/pasarela/kannel/entrada?clave={TOKEN}&from=%2B56987650001&charset=UTF-16BE"
                "&text=%00S%00%ED%D8%3D%DE%A8"
            ),
        ]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.text for answer in answers} == {""}
    first, second, third, fourth = await take(pool, 4)
    assert isinstance(first, DeliveryReport)
    assert isinstance(second, DeliveryReport)
    assert (first.reference, first.is_delivered) == ("r1", True)
    assert (second.reference, second.is_delivered, second.detail) == (
        "r2",
        False,
        "la pasarela informa «16»",
    )
    assert isinstance(third, Inbound)
    assert isinstance(fourth, Inbound)
    assert (third.sender, third.text) == (PHONE, "Sí, voy")
    assert fourth.text == "Sí🚨"
    # the last one was not asked past, so it is still there
    [again] = await take(pool, 1)
    assert isinstance(again, Inbound)
    assert again.text == "Sí🚨"


@pytest.mark.parametrize(
    ("path", "values", "status"),
    [
        ("/pasarela/kannel/informe", {"id": "r1", "estado": "1"}, 403),
        ("/pasarela/kannel/informe", {"id": "r1", "estado": "1", "clave": "otra"}, 403),
        ("/pasarela/otra/informe", {"id": "r1", "estado": "1", "clave": TOKEN}, 403),
        ("/pasarela/kannel/informe", {"estado": "1", "clave": TOKEN}, 422),
        ("/pasarela/kannel/entrada", {"text": "1", "clave": TOKEN}, 422),
    ],
)
async def test_strangers_and_rubbish_are_refused(
    pool: Pool, console: str, path: str, values: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(base_url=console) as client:
        assert (await client.get(path, params=values)).status_code == status
        assert (await client.post(path, json=values)).status_code == status
        odd = {"from": "1", "text": "1", "clave": TOKEN, "charset": "nada"}
        assert (await client.get("/pasarela/kannel/entrada", params=odd)).status_code == 422
    assert await pool.fetchval("select count(*) from transport_inbox") == 0


# -------------------------------------------------------------------------------------------- Kannel


CONFIG = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = x
smsbox-port = {box}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-file = {folder}/bearerbox.log
log-level = 0

group = smsc
smsc = smpp
host = 127.0.0.1
port = {smsc}
smsc-username = {user}
smsc-password = {password}
system-type = ""
transceiver-mode = true
interface-version = 34
source-addr-autodetect = true

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {box}
sendsms-port = {send}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox.log
log-level = 0

group = sendsms-user
username = almenara
password = s3creto
max-messages = 5
concatenation = true

group = sms-service
keyword = default
get-url = "{console}/pasarela/kannel/entrada?clave={token}&from=%p&text=%a&charset=%C"
max-messages = 0
accept-x-kannel-headers = true
"""


@contextmanager
def kannel(folder: Path, smsc_port: int, console: str) -> Iterator[int]:
    """Bearerbox and smsbox; yields the port of ``sendsms``."""
    ports = {name: free_port() for name in ("admin", "box", "send")}
    config = folder / "kannel.conf"
    config.write_text(
        CONFIG.format(
            **ports,
            smsc=smsc_port,
            folder=folder,
            user=SYSTEM_ID,
            password=PASSWORD,
            console=console,
            token=TOKEN,
        )
    )
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, port in (("bearerbox", ports["box"]), ("smsbox", ports["send"])):
            running.append(_box(folder, name, config))
            wait_for_port(port, running[-1], folder / f"{name}.out")
        yield ports["send"]
    finally:
        for box in reversed(running):
            box.kill()
            box.wait(10)


def _box(folder: Path, name: str, config: Path) -> "subprocess.Popen[bytes]":
    program = shutil.which(name, path="/usr/sbin:/usr/bin")
    assert program is not None, "install kannel (make peers)"
    with (folder / f"{name}.out").open("ab") as output:
        return process.launch([program, config], account=None, death_signal=signal.SIGKILL, output=output)


async def test_kannel_takes_texts_reports_them_and_brings_replies(
    pool: Pool, console: str, server_folder: Path
) -> None:
    smsc = Smsc(free_port())
    await smsc.start()
    try:
        with kannel(server_folder, smsc.port, console) as port:
            await eventually(lambda: any("bound" in line for line in smsc.heard))
            report_url = quote(f"{console}/pasarela/kannel/informe?clave={TOKEN}&id=ID&estado=%d", safe="")
            report_url = report_url.replace("id%3DID", "id%3D{id}")
            url = (
                f"http://127.0.0.1:{port}/cgi-bin/sendsms?username=almenara&password={{secret}}"
                f"&from=1033&to={{to}}&charset=UTF-8&coding=2&text={{text}}&dlr-mask=3&dlr-url={report_url}"
            )
            transport = HttpTransport(
                HttpGateway(url=url, method="GET", secret="s3creto", accepted=KANNEL_ACCEPTED)
            )
            sent = message("ALERTA K7 ¿Sí? á")
            [reference] = await transport.send(sent)
            await transport.close()  # Kannel would keep the connection
            await eventually(lambda: smsc.submits())
            [submit] = smsc.submits()
            assert (submit["to"], submit["text"]) == ("56987650001", sent.text)
            [delivered] = await take(pool, 1)
            assert isinstance(delivered, DeliveryReport)
            assert (delivered.reference, delivered.is_delivered) == (reference, True)
            await pool.execute("delete from transport_inbox")
            await smsc.tell(mo={"from": "56987650001", "text": "Sí, voy", "coding": 8})
            [reply] = await take(pool, 1)
            assert isinstance(reply, Inbound)
            assert reply.text == "Sí, voy"
            assert reply.sender.endswith("56987650001")
    finally:
        await smsc.kill()
