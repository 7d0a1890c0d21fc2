"""What a real broker does not do on request: a scripted one on a real socket; and TLS on Mosquitto."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Mosquitto

from hub.mqtt import Address, ConnectionLostError, Consumer, Message, Publisher, PublishError, packets
from hub.mqtt.outgoing import MAX_OUTSTANDING
from hub.mqtt.properties import read_length

TOPIC = "almenara/1/gw-1/event"
CONNACK = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x04\xff\xff\x00\x01"


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as ``condition`` holds; fail after ``timeout_s``."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (sockets and child processes set no event)
            await asyncio.sleep(0.002)


class Peer:
    """One accepted connection, seen from the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def packet(self) -> bytes:
        """The next packet whole, or b"" at the connection's end."""
        try:
            async with asyncio.timeout(5):
                head = await self._reader.readexactly(2)
                while head[-1] > 0x7F:
                    head += await self._reader.readexactly(1)
                return head + await self._reader.readexactly(read_length(head, 1)[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.readexactly(count)

    def send(self, *data: bytes) -> None:
        self._writer.write(b"".join(data))

    def message(self, packet_id: int, payload: bytes = b"x") -> None:
        self.send(packets.publish(5, TOPIC, payload, qos=1, packet_id=packet_id))

    async def welcome(self, connack: bytes = CONNACK) -> None:
        """Answer CONNECT and, if it comes, SUBSCRIBE."""
        assert (await self.packet())[:1] == b"\x10"
        self.send(connack)

    async def grant(self, suback: bytes = SUBACK) -> None:
        assert (await self.packet())[:1] == b"\x82"
        self.send(suback)

    def hang_up(self) -> None:
        """What a broker does on DISCONNECT; the rest can still be read."""
        if not self._writer.is_closing():
            self._writer.write_eof()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class ScriptedBroker:
    """Accepts connections; ``next`` hands them over one by one. ``client`` is the client's own loop."""

    client: asyncio.Task[None]

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._all: list[Peer] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._all.append(peer)
        await self._peers.put(peer)

    async def next(self) -> Peer:
        async with asyncio.timeout(5):
            return await self._peers.get()

    def hang_up(self) -> None:
        for peer in self._all:
            peer.hang_up()

    async def close(self) -> None:
        for peer in self._all:
            await peer.close()


@contextlib.asynccontextmanager
async def scripted(
    client: Callable[[Address], Publisher], **address: object
) -> AsyncIterator[ScriptedBroker]:
    """A scripted broker and a client that runs against it."""
    broker = ScriptedBroker()
    server = await asyncio.start_server(broker.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = client(Address(host="127.0.0.1", port=port, **address))
    broker.client = asyncio.create_task(made.run_loop())
    try:
        yield broker
    finally:
        broker.client.cancel()
        broker.hang_up()
        await asyncio.gather(broker.client, return_exceptions=True)
        await broker.close()
        server.close()
        await server.wait_closed()


def consuming(
    handle: Callable[[list[Message]], Awaitable[None]], **options: object
) -> Callable[[Address], Consumer]:
    return lambda address: Consumer(address, "lane-1", [TOPIC], handle, **options)


async def ignore(_batch: list[Message]) -> None:
    pass


class Gate:
    """A handler that stays inside until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int | None]] = []
        self._open = asyncio.Event()

    async def __call__(self, batch: list[Message]) -> None:
        self.batches.append([m.packet_id for m in batch])
        await self._open.wait()

    def release(self) -> None:
        self._open.set()


# ---------------------------------------------------------------------------------- acknowledgements


async def test_acknowledges_after_the_handler_in_the_order_of_arrival() -> None:
    gate = Gate()
    async with scripted(consuming(gate)) as broker:
        peer = await broker.next()
        await peer.welcome()
        await peer.grant()
        peer.message(9)
        await until(lambda: gate.batches)
        for packet_id in (4, 7, 1, 65_535):
            peer.message(packet_id)
        peer.send(b"\xd0\x00")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await peer.read(1)
        gate.release()
        assert await peer.read(20) == packets.pubacks([9, 4, 7, 1, 65_535])
    assert gate.batches == [[9], [4, 7, 1, 65_535]]


async def test_never_acknowledges_on_a_later_connection() -> None:
    gate = Gate()
    async with scripted(consuming(gate)) as broker:
        first = await broker.next()
        await first.welcome()
        await first.grant()
        first.message(5)
        first.message(6)
        await until(lambda: gate.batches)
        await first.close()
        second = await broker.next()
        await second.welcome()
        await second.grant()
        second.message(6, b"another")
        gate.release()
        assert await second.packet() == packets.pubacks([6])
        second.message(8)
        assert await second.packet() == packets.pubacks([8])
    assert gate.batches[1:] == [[6], [8]]


async def test_messages_in_one_piece_with_the_connack_are_handled() -> None:
    got: list[int | None] = []

    async def handle(batch: list[Message]) -> None:
        got.extend(m.packet_id for m in batch)

    async with scripted(consuming(handle, batch_limit=2)) as broker:
        peer = await broker.next()
        await peer.packet()
        peer.send(CONNACK, *(packets.publish(5, TOPIC, b"x", qos=1, packet_id=n) for n in (1, 2, 3)))
        await until(lambda: len(got) == 3)
    assert got == [1, 2, 3]


# ------------------------------------------------------------------------------------------ publishes


def publisher_of(kept: list[Publisher]) -> Callable[[Address], Publisher]:
    def make(address: Address) -> Publisher:
        kept.append(Publisher(address, "load"))
        return kept[0]

    return make


async def test_no_more_publishes_are_under_way_than_the_broker_allows() -> None:
    kept: list[Publisher] = []
    async with scripted(publisher_of(kept)) as broker:
        peer = await broker.next()
        await peer.welcome(b"\x20\x06\x00\x00\x03\x21\x00\x02")  # Receive Maximum 2
        await until(lambda: kept[0].connected)
        pending = [kept[0].publish_nowait(TOPIC, b"%d" % n) for n in range(4)]
        assert [(await peer.packet())[-1:], (await peer.packet())[-1:]] == [b"0", b"1"]
        peer.send(packets.pubacks([2]))
        assert (await peer.packet())[-1:] == b"2"
        assert [f.done() for f in pending] == [False, True, False, False]
        peer.send(b"\x40\x03\x00\x01\x97")
        with pytest.raises(PublishError, match="quota exceeded") as refusal:
            await pending[0]
        assert not refusal.value.permanent
        await peer.close()
        with pytest.raises(ConnectionLostError):
            await pending[3]


async def test_publishes_that_wait_are_bounded() -> None:
    kept: list[Publisher] = []
    async with scripted(publisher_of(kept)) as broker:
        await (await broker.next()).welcome()
        await until(lambda: kept[0].connected)
        for _ in range(MAX_OUTSTANDING):
            kept[0].publish_nowait(TOPIC, b"x")
        with pytest.raises(PublishError, match="too many") as refusal:
            await kept[0].publish(TOPIC, b"x")
        assert not refusal.value.permanent


async def test_a_broker_that_takes_qos_0_only_is_no_place_for_receipts() -> None:
    kept: list[Publisher] = []
    async with scripted(publisher_of(kept)) as broker:
        await (await broker.next()).welcome(b"\x20\x05\x00\x00\x02\x24\x00")
        await until(lambda: kept[0].connected)
        with pytest.raises(PublishError, match="QoS 0 only"):
            await kept[0].publish(TOPIC, b"x")
        await kept[0].publish(TOPIC, b"x", qos=0)


# ------------------------------------------------------------------------------ brokers that misbehave


BAD_BROKERS: dict[str, tuple[bytes, bytes, str]] = {
    "goodbye": (CONNACK, SUBACK + b"\xe0\x08\x8b\x06\x1f\x00\x03bye", "server shutting down (0x8B), bye"),
    "grants QoS 0": (CONNACK, b"\x90\x04\xff\xff\x00\x00", "only at QoS 0"),
    "two codes for one filter": (CONNACK, b"\x90\x05\xff\xff\x00\x01\x01", "2 codes for 1 filters"),
    "refuses the filter": (CONNACK, b"\x90\x04\xff\xff\x00\x87", "not authorized (0x87)"),
    "second CONNACK": (CONNACK, SUBACK + CONNACK, "a ConnAck that answers nothing"),
    "PUBACK of nothing": (CONNACK, SUBACK + packets.pubacks([7]), "PUBACK for packet id 7"),
    "no MQTT": (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", b"", "unexpected packet type 0x53"),
    "refuses": (b"\x20\x09\x00\x88\x06\x1f\x00\x03now", b"", "server unavailable (0x88), now"),
}


@pytest.mark.parametrize("case", BAD_BROKERS)
async def test_a_broker_that_misbehaves_is_named_and_tried_again(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    connack, suback, complaint = BAD_BROKERS[case]
    async with scripted(consuming(ignore)) as broker:
        peer = await broker.next()
        await peer.welcome(connack)
        if suback:
            await peer.grant(suback)
        again = await broker.next()
        await again.welcome()
        await again.grant()
    assert complaint in caplog.text


async def test_the_brokers_own_keep_alive_counts() -> None:
    async with scripted(consuming(ignore), keepalive_s=3000) as broker:
        peer = await broker.next()
        await peer.welcome(b"\x20\x06\x00\x00\x03\x13\x00\x01")
        await peer.grant()
        assert await peer.packet() == packets.PINGREQ


async def test_silence_while_the_socket_is_left_unread_is_no_death() -> None:
    gate = Gate()
    async with scripted(consuming(gate, high_water=2), keepalive_s=1) as broker:
        peer = await broker.next()
        await peer.welcome()
        await peer.grant()
        peer.message(1)
        await until(lambda: gate.batches)
        for packet_id in (2, 3, 4, 5):
            peer.message(packet_id)
        # More pings than a dead broker would get.
        assert [await peer.packet() for _ in range(9)] == [packets.PINGREQ] * 9
        gate.release()
        assert await peer.read(20) == packets.pubacks([1, 2, 3, 4, 5])


async def test_says_goodbye_when_cancelled() -> None:
    states: list[bool] = []
    async with scripted(consuming(ignore, on_state=states.append)) as broker:
        peer = await broker.next()
        await peer.welcome()
        await peer.grant()
        await until(lambda: states)
        broker.client.cancel()
        assert await peer.packet() == packets.DISCONNECT
        assert not broker.client.done()  # what the broker has not read yet must not be reset away
    assert states == [True, False]


# ------------------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca, foreign (authorities), server (for 127.0.0.1) and hub: .crt and .key each."""
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ca", "foreign"):
        _openssl(
            folder, f"req -x509 {_NEW_KEY} -keyout {authority}.key -out {authority}.crt -subj /CN={authority}"
        )
    for name in ("server", "hub"):
        _openssl(folder, f"req {_NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl(
            folder,
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial"
            f" -out {name}.crt -extfile names",
        )
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def guarded(server_folder: Path, certificates: Path) -> Iterator[Address]:
    """Mosquitto that lets nobody in without a certificate of its own authority."""
    broker = Mosquitto(server_folder / "tls")
    # Beside the configuration: the broker's user cannot enter pytest's folders.
    store = shutil.copytree(certificates, broker.root / "certificates")
    store.chmod(0o755)
    with (broker.root / "mosquitto.conf").open("a") as conf:
        conf.write(f"cafile {store}/ca.crt\ncertfile {store}/server.crt\nkeyfile {store}/server.key\n")
        conf.write("require_certificate true\nuse_identity_as_username true\n")
    broker.start()
    yield Address(host=broker.host, port=broker.port)
    broker.kill()


def context(certificates: Path, authority: str = "ca", own: str | None = "hub") -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=certificates / f"{authority}.crt")
    if own is not None:
        made.load_cert_chain(certificates / f"{own}.crt", certificates / f"{own}.key")
    return made


@pytest.mark.parametrize("version", [4, 5])
async def test_consumes_over_tls_with_a_client_certificate(
    guarded: Address, certificates: Path, version: int
) -> None:
    got: list[bytes] = []

    async def handle(batch: list[Message]) -> None:
        await asyncio.sleep(0)
        got.extend(m.payload for m in batch)

    address = replace(guarded, tls=context(certificates), version=version)
    consumer = Consumer(address, "lane-1", [TOPIC], handle, high_water=100)
    task = asyncio.create_task(consumer.run_loop())
    await until(lambda: consumer.connected)
    wanted = [b"%d" % n + bytes(1000) for n in range(2000)]
    await asyncio.gather(*(consumer.publish(TOPIC, payload) for payload in wanted))
    await until(lambda: len(got) >= 2000)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert got == wanted


@pytest.mark.parametrize(
    ("authority", "own", "complaint"),
    [("ca", None, "certificate required"), ("foreign", "hub", "certificate verify failed")],
)
async def test_a_certificate_that_does_not_fit_is_named_in_the_log(
    guarded: Address,
    certificates: Path,
    authority: str,
    own: str | None,
    complaint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = replace(guarded, tls=context(certificates, authority, own))
    publisher = Publisher(address, "load")
    task = asyncio.create_task(publisher.run_loop())
    await until(lambda: complaint in caplog.text.replace("_", " ").lower())
    assert not publisher.connected
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
