"""Gammu SMSD as a transport: Debian's daemon on PostgreSQL, with the emulated modem behind it."""

import asyncio
import re
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from fakes import eventually
from fakes import outgoing as message
from modem_emulator import Emulator

from hub.notify.transports import DeliveryReport, Inbound, TransportError, TransportEvent, smsd
from hub.notify.transports.smsd import SmsdTransport
from hub.servers import process
from hub.servers.postgres import EmbeddedPostgres

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)
PHONE = "+56987650001"
SCHEMA = Path("/usr/share/doc/gammu-smsd/examples/pgsql.sql")
CONFIG = """
[gammu]
device = {device}
connection = at115200
synchronizetime = no

[smsd]
service = sql
driver = native_pgsql
host = 127.0.0.1:{port}
user = {user}
password = {password}
database = {database}
phoneid = almenara
deliveryreport = log
deliveryreportdelay = 259200
commtimeout = 1
receivefrequency = 1
statusfrequency = 1
loopsleep = 1
checksecurity = 0
checkbattery = 0
checksignal = 1
logfile = {folder}/smsd.log
debuglevel = 255
"""


def _schema() -> str:
    assert SCHEMA.is_file(), "install gammu-smsd (make peers)"
    return SCHEMA.read_text().replace("CREATE LANGUAGE plpgsql;", "")


@pytest_asyncio.fixture
async def smsd_dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database with the daemon's own schema."""
    name = f"smsd_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    await admin.execute(f"create database {name}")
    dsn = f"{postgres_server.admin_dsn.rpartition('/')[0]}/{name}"
    inside = await asyncpg.connect(dsn)
    await inside.execute(_schema())
    await inside.close()
    yield dsn
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest_asyncio.fixture
async def transport(smsd_dsn: str) -> AsyncIterator[SmsdTransport]:
    one = SmsdTransport(smsd_dsn)
    yield one
    await one.close()


@contextmanager
def daemon(folder: Path, dsn: str, device: str) -> Iterator[None]:
    program = shutil.which("gammu-smsd", path="/usr/bin")
    assert program is not None, "install gammu-smsd (make peers)"
    parts = urlsplit(dsn)
    config = folder / "smsdrc"
    config.write_text(
        CONFIG.format(
            device=device,
            port=parts.port,
            user=parts.username,
            password=parts.password,
            database=parts.path[1:],
            folder=folder,
        )
    )
    with (folder / "smsd.out").open("ab") as output:
        running = process.launch(
            [program, "-c", config], account=None, death_signal=signal.SIGKILL, output=output
        )
    try:
        yield
    finally:
        running.kill()
        running.wait(10)


async def heard(transport: SmsdTransport, count: int) -> list[TransportEvent]:
    found: list[TransportEvent] = []
    events = transport.events()
    async with asyncio.timeout(60):
        while len(found) < count:
            found.append(await anext(events))
    # asking for the next one is what takes the last one
    rest = asyncio.ensure_future(anext(events))
    await asyncio.wait([rest], timeout=2 * smsd.POLL_S)
    rest.cancel()
    await asyncio.wait([rest])
    return found


async def is_ok(transport: SmsdTransport) -> bool:
    return (await transport.health()).is_ok


async def has_signal(transport: SmsdTransport) -> bool:
    return (await transport.health()).signal_dbm is not None


async def test_texts_parts_reports_and_replies_through_the_real_daemon(
    transport: SmsdTransport, smsd_dsn: str, server_folder: Path
) -> None:
    long_text = "ALERTA K7: ¿cómo está? " + "á" * 80 + " 🚨"
    with (
        Emulator(server_folder / "modem") as modem,
        daemon(server_folder, smsd_dsn, str(server_folder / "modem")),
    ):
        await eventually(lambda: is_ok(transport))
        await eventually(lambda: has_signal(transport))
        one = await transport.send(message())
        many = await transport.send(message(long_text))
        await asyncio.to_thread(modem.wait_sent, 3, 60)
        # what would have been cut at 70 characters and called delivered
        assert modem.texts() == [(PHONE, message().text), (PHONE, long_text)]
        assert len(one) == 1
        assert len(many) == 2
        reports = await heard(transport, 3)
        assert {r.reference for r in reports if isinstance(r, DeliveryReport)} == {*one, *many}
        assert all(r.is_delivered for r in reports if isinstance(r, DeliveryReport))
        modem.receive(PHONE, "Sí, voy. " + "x" * 100)
        [reply] = await heard(transport, 1)
    assert isinstance(reply, Inbound)
    # its number alone comes round again with another database of SMSD
    assert re.fullmatch(r"\d+:\d{10}", reply.reference)
    assert (reply.sender, reply.text) == (PHONE, "Sí, voy. " + "x" * 100)
    connection = await asyncpg.connect(smsd_dsn)
    assert await connection.fetchval('select count(*) from inbox where not "Processed"') == 0
    await connection.close()


async def test_without_a_daemon_nothing_is_taken(transport: SmsdTransport, smsd_dsn: str) -> None:
    with pytest.raises(TransportError, match="todavía no ha visto su módem") as caught:
        await transport.send(message())
    assert not caught.value.maybe_sent
    connection = await asyncpg.connect(smsd_dsn)
    await connection.execute(
        'insert into phones ("ID", "IMEI", "IMSI", "Client", "UpdatedInDB", "Signal")'
        " values ('almenara', '1', '1', 'x', localtimestamp - interval '1 hour', 50)"
    )
    assert "no da señales" in (await transport.health()).detail
    await connection.close()


async def test_what_a_daemon_never_took_is_taken_back_and_told(
    transport: SmsdTransport, smsd_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smsd, "STUCK_AFTER_S", -1)
    monkeypatch.setattr(smsd, "POLL_S", 0.05)
    connection = await asyncpg.connect(smsd_dsn)
    await connection.execute(
        "insert into phones (\"ID\", \"IMEI\", \"IMSI\", \"Client\") values ('almenara', '1', '1', 'x')"
    )
    references = await transport.send(message("á" * 71))
    reports = await heard(transport, 2)
    assert {r.reference for r in reports if isinstance(r, DeliveryReport)} == set(references)
    assert not any(r.is_delivered for r in reports if isinstance(r, DeliveryReport))
    assert await connection.fetchval("select count(*) from outbox") == 0
    assert await connection.fetchval("select count(*) from outbox_multipart") == 0
    await connection.close()


async def test_a_database_that_is_away_is_told() -> None:
    transport = SmsdTransport("postgresql://nobody@127.0.0.1:1/smsd")
    assert "no contesta" in (await transport.health()).detail
    with pytest.raises(TransportError, match="no contesta"):
        await transport.send(message())
