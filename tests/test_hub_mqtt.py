"""The consumer on real brokers: Mosquitto with MQTT 3.1.1 and 5, and the embedded broker."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho
import pytest
from conftest import Mosquitto
from fakes import assert_in_time

from hub.mqtt import (
    CUT_BYTES,
    Address,
    ConnectionLostError,
    Consumer,
    Message,
    Publisher,
    PublishError,
)
from hub.mqtt.retry import retry_delay_s
from hub.servers import broker_config
from hub.servers.broker import HUB_USER, EmbeddedBroker
from hub.servers.child import free_port

TOPIC = "almenara/1/gw-1/event"
FILTER = "almenara/1/+/event"


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as ``condition`` holds; fail after ``timeout_s``."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (brokers and child processes set no event)
            await asyncio.sleep(0.002)


class Collector:
    """A handler that keeps what it is given; ``trouble`` runs first and may raise."""

    def __init__(self, trouble: Callable[[list[Message]], Awaitable[None]] | None = None) -> None:
        self.batches: list[list[Message]] = []
        self._trouble = trouble

    async def __call__(self, batch: list[Message]) -> None:
        if self._trouble is not None:
            await self._trouble(batch)
        self.batches.append(batch)

    @property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


@contextlib.asynccontextmanager
async def running(*clients: Publisher) -> AsyncIterator[None]:
    """The clients connected; ended at the end."""
    tasks = [asyncio.create_task(client.run_loop()) for client in clients]
    try:
        await until(lambda: all(client.connected for client in clients))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def publish_with_paho(address: Address, payloads: Iterable[bytes], **options: object) -> None:
    """Publish at QoS 1 with another's client, and return when all are confirmed."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.username_pw_set(address.username, address.password)
    client.max_inflight_messages_set(500)
    client.connect(address.host, address.port)
    client.loop_start()
    try:
        sent = [client.publish(TOPIC, payload, 1, **options) for payload in payloads]
        for message in sent:
            message.wait_for_publish(20)
            assert message.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


# ------------------------------------------------------------------------------------- the brokers


@dataclass(frozen=True)
class Place:
    """A running broker and how it is killed with -9 and started again."""

    address: Address
    kill: Callable[[], None]
    start: Callable[[], Awaitable[None]]
    keeps_sessions: bool


def _mosquitto(broker: Mosquitto, version: Literal[4, 5]) -> Place:
    async def start() -> None:
        await asyncio.to_thread(broker.start)

    address = Address(host=broker.host, port=broker.port, version=version)
    return Place(address, broker.kill, start, keeps_sessions=False)


def _embedded(broker: EmbeddedBroker) -> Place:
    def kill() -> None:
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)

    async def start() -> None:
        await broker.stop()
        await broker.start()

    address = Address(
        host="127.0.0.1",
        port=broker.mqtt_port,
        username=HUB_USER,
        password=broker.hub_password,
        version=4,
    )
    return Place(address, kill, start, keeps_sessions=True)


@pytest.fixture
def short_ack_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded broker repeats only after this time, also to a client that connects again."""
    monkeypatch.setattr(broker_config, "_ACK_WAIT", "1s")


@pytest.fixture(params=["mosquitto-3.1.1", "mosquitto-5", "embedded-3.1.1"])
async def place(
    request: pytest.FixtureRequest, mosquitto: Mosquitto, short_ack_wait: None, nats_broker: EmbeddedBroker
) -> Place:
    if request.param == "embedded-3.1.1":
        return _embedded(nats_broker)
    return _mosquitto(mosquitto, 5 if request.param == "mosquitto-5" else 4)


@pytest.fixture
def address(mosquitto: Mosquitto) -> Address:
    return Address(host=mosquitto.host, port=mosquitto.port)


# ---------------------------------------------------------------------------- handled, then confirmed


async def test_what_paho_publishes_is_handled_in_order_and_never_again(place: Place) -> None:
    got, later = Collector(), Collector()
    consumer = Consumer(place.address, "lane-1", [FILTER], got, batch_limit=100)
    async with running(consumer):
        assert consumer.session_present is False
        await asyncio.to_thread(publish_with_paho, place.address, numbered(2000))
        # Counted once the PUBACKs are written: one that ends earlier gets the last batch again.
        await until(lambda: consumer.counters.messages >= 2000)
    assert got.payloads == numbered(2000)
    assert {(m.topic, m.qos, m.dup, m.oversize) for m in got.messages} == {(TOPIC, 1, False, 0)}
    assert max(len(batch) for batch in got.batches) <= 100
    assert consumer.counters.messages == 2000
    assert consumer.counters.batches == len(got.batches)
    assert consumer.session_present is None

    again = Consumer(place.address, "lane-1", [FILTER], later)
    async with running(again):
        assert again.session_present is True
        await again.publish(TOPIC, b"the next one")
        await until(lambda: later.payloads)
    assert later.payloads == [b"the next one"]


async def test_what_came_while_nobody_listened_is_handled_on_return(place: Place) -> None:
    got = Collector()
    async with running(Consumer(place.address, "lane-1", [FILTER], got)):
        pass
    await asyncio.to_thread(publish_with_paho, place.address, numbered(50))
    async with running(Consumer(place.address, "lane-1", [FILTER], got)):
        await until(lambda: len(got.messages) >= 50)
    assert got.payloads == numbered(50)


async def test_a_batch_that_is_not_committed_comes_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    troubles = [ConnectionError("Ana Soto, +56 9 1234 5678"), ConnectionError("once more")]

    async def trouble(batch: list[Message]) -> None:
        if troubles and b"7" in [m.payload for m in batch]:
            raise troubles.pop()

    got = Collector(trouble)
    consumer = Consumer(place.address, "lane-1", [FILTER], got, batch_limit=5)
    async with running(consumer):
        await asyncio.to_thread(publish_with_paho, place.address, numbered(20))
        await until(lambda: len(set(got.payloads)) >= 20)
    assert sorted(set(got.payloads), key=int) == numbered(20)
    assert consumer.counters.failed_batches == 2
    assert consumer.counters.reconnects == 2
    assert "ConnectionError in a batch of" in caplog.text
    assert "Ana Soto" not in caplog.text


@pytest.mark.speed
async def test_a_broker_killed_and_started_again_is_used_within_a_second(place: Place) -> None:
    got, states = Collector(), []
    consumer = Consumer(place.address, "lane-1", [FILTER], got, on_state=states.append)
    async with running(consumer):
        await consumer.publish(TOPIC, b"before")
        await until(lambda: got.payloads == [b"before"])
        place.kill()
        await until(lambda: not consumer.connected)
        with pytest.raises(ConnectionLostError):
            await consumer.publish(TOPIC, b"nobody there")
        await place.start()
        started_at = time.monotonic()
        await until(lambda: consumer.connected)
        assert_in_time(time.monotonic() - started_at, 1.5)  # the longest pause, and some
        assert consumer.session_present is place.keeps_sessions
        await consumer.publish(TOPIC, b"after")
        await until(lambda: b"after" in got.payloads)
    assert states == [True, False, True, False]
    assert consumer.counters.reconnects == 1


KILLED = """
import asyncio, os, signal, sys
import uvloop
from hub.mqtt import Address, Consumer

async def handle(batch):
    with open(sys.argv[4], "ab") as file:
        file.writelines(m.payload + b"\\n" for m in batch)
    os.kill(os.getpid(), signal.SIGKILL)

address = Address(host="127.0.0.1", port=int(sys.argv[1]), version=int(sys.argv[2]))
consumer = Consumer(address, "lane-1", [sys.argv[3]], handle)
uvloop.run(consumer.run_loop())
"""


@pytest.mark.parametrize("version", [4, 5])
async def test_what_a_killed_process_had_not_confirmed_comes_again(
    address: Address, version: Literal[4, 5], tmp_path: Path
) -> None:
    address, kept = replace(address, version=version), tmp_path / "handled"
    async with running(Consumer(address, "lane-1", [FILTER], Collector())):
        pass
    await asyncio.to_thread(publish_with_paho, address, numbered(10))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(address.port), str(version), FILTER, str(kept)
    )
    assert await process.wait() == -signal.SIGKILL
    handled = kept.read_bytes().split()
    assert handled == numbered(len(handled))
    assert handled
    got = Collector()
    async with running(Consumer(address, "lane-1", [FILTER], got)):
        await until(lambda: len(got.messages) >= 10)
    assert got.payloads == numbered(10)
    assert [m.dup for m in got.messages[: len(handled)]] == [True] * len(handled)


async def test_a_slow_handler_holds_the_broker_back_and_loses_nothing(address: Address) -> None:
    most = 0

    async def slow(_batch: list[Message]) -> None:
        nonlocal most
        most = max(most, consumer.waiting)
        await asyncio.sleep(0.002)

    count, payload = 50_000, b"x" * 200
    got = Collector(slow)
    consumer = Consumer(address, "lane-1", [FILTER], got, batch_limit=50, high_water=2000)
    publisher = Publisher(address, "load")
    async with running(consumer, publisher):
        for start in range(0, count, 5000):
            numbers = numbered(5000, start)
            await asyncio.gather(*(publisher.publish(TOPIC, n + b" " + payload) for n in numbers))
        await until(lambda: len(got.messages) >= count)
    assert [p.split()[0] for p in got.payloads] == numbered(count)
    # One more read of asyncio's (256 kB) may come on top.
    assert 1900 < most < 2000 + 256 * 1024 // len(payload)
    assert consumer.counters.reconnects == 0


async def test_calls_of_the_handler_never_overlap_even_over_a_reconnection(mosquitto: Mosquitto) -> None:
    address = Address(host=mosquitto.host, port=mosquitto.port)
    inside, most, may_end = 0, 0, asyncio.Event()

    async def trouble(_batch: list[Message]) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await may_end.wait()
        inside -= 1

    got = Collector(trouble)
    consumer = Consumer(address, "lane-1", [FILTER], got)
    async with running(consumer):
        await consumer.publish(TOPIC, b"slow")
        await until(lambda: inside)
        mosquitto.restart()
        await until(lambda: consumer.connected and consumer.counters.reconnects == 1)
        await consumer.publish(TOPIC, b"next")
        await until(lambda: consumer.waiting)
        may_end.set()
        await until(lambda: len(got.messages) >= 2)
    assert got.payloads == [b"slow", b"next"]
    assert most == 1


async def _is_retained(place: Place) -> None:
    """Return when a new subscriber is given the retained message: NATS files it after its PUBACK."""
    for attempt in range(20):
        seen = Collector()
        async with running(Consumer(place.address, f"probe-{attempt}", [FILTER], seen)):
            with contextlib.suppress(TimeoutError):
                await until(lambda seen=seen: seen.messages, 0.5)  # type: ignore[misc]
                return
    raise AssertionError("the broker forgot a retained message")


async def test_retained_and_qos_0_messages_are_handled(place: Place) -> None:
    got = Collector()
    publisher = Publisher(place.address, "load")
    consumer = Consumer(place.address, "lane-1", [FILTER], got)
    async with running(publisher):
        await publisher.publish(TOPIC, b"kept", retain=True)
        await _is_retained(place)
        async with running(consumer):
            await until(lambda: got.messages)
            await publisher.publish(TOPIC, b"light", qos=0)
            await until(lambda: len(got.messages) >= 2)
    kept, light = got.messages
    assert (kept.payload, kept.qos, kept.retain) == (b"kept", 1, True)
    assert (light.payload, light.qos, light.retain, light.packet_id) == (b"light", 0, False, None)


async def test_a_message_above_the_limit_is_handed_over_cut_and_the_session_lives(place: Place) -> None:
    got = Collector()
    consumer = Consumer(place.address, "lane-1", [FILTER], got)
    huge = bytes(range(256)) * 8192
    async with running(consumer):
        await asyncio.to_thread(publish_with_paho, place.address, [b"a", huge, b"b"])
        await until(lambda: consumer.counters.messages >= 3)
    assert [(m.payload, m.oversize) for m in got.messages] == [
        (b"a", 0),
        (huge[:CUT_BYTES], 2 * 1024 * 1024),
        (b"b", 0),
    ]
    assert consumer.counters.oversized == 1
    later = Collector()
    async with running(again := Consumer(place.address, "lane-1", [FILTER], later)):
        await again.publish(TOPIC, b"c")
        await until(lambda: later.messages)
    assert later.payloads == [b"c"]


# ------------------------------------------------------------------------------------------ publish


async def test_thousands_of_publishes_are_under_way_at_once(place: Place) -> None:
    got = Collector()
    consumer = Consumer(place.address, "lane-1", [FILTER], got)
    async with running(consumer):
        await asyncio.gather(*(consumer.publish(TOPIC, n) for n in numbered(5000)))
        await until(lambda: len(got.messages) >= 5000)
    assert got.payloads == numbered(5000)


async def test_a_publish_without_a_connection_fails_at_once(address: Address) -> None:
    publisher = Publisher(address, "load")
    with pytest.raises(ConnectionLostError, match="not connected"):
        await publisher.publish(TOPIC, b"x")
    with pytest.raises(ValueError, match="no topic"):
        publisher.publish_nowait("almenara/+/event", b"x")
    with pytest.raises(ValueError, match="QoS 2"):
        publisher.publish_nowait(TOPIC, b"x", qos=2)


async def test_publishes_under_way_fail_when_the_broker_dies(mosquitto: Mosquitto, address: Address) -> None:
    async with running(publisher := Publisher(address, "load")):
        assert mosquitto.pid is not None
        os.kill(mosquitto.pid, signal.SIGSTOP)
        pending = [publisher.publish_nowait(TOPIC, n) for n in numbered(3000)]
        mosquitto.kill()
        outcomes = await asyncio.gather(*pending, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ConnectionLostError}


async def test_a_message_carries_its_expiry_in_version_5(address: Address) -> None:
    seen: list[int] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_message = lambda _c, _u, message: seen.append(message.properties.MessageExpiryInterval)
    client.on_connect = lambda c, *_: c.subscribe(TOPIC, 1)
    subscribed: list[int] = []
    client.on_subscribe = lambda *_: subscribed.append(1)
    client.connect(address.host, address.port)
    client.loop_start()
    try:
        await until(lambda: subscribed)
        async with running(publisher := Publisher(address, "load")):
            await publisher.publish(TOPIC, b"x", message_expiry_s=600)
            await until(lambda: seen)
    finally:
        client.disconnect()
        client.loop_stop()
    assert seen == [600]


# ------------------------------------------------------------------------------- refused and half-open


async def test_a_wrong_password_is_named_in_the_log_and_tried_again(
    server_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(server_folder / "guarded")
    users = server_folder / "guarded" / "users"
    await asyncio.to_thread(_set_password, users, "right")
    _configure(broker, f"password_file {users}", without="allow_anonymous")
    broker.start()
    try:
        for version, code in ((4, "0x05"), (5, "0x87")):
            wrong = Address(
                host=broker.host, port=broker.port, username="hub", password="wrong", version=version
            )
            task = asyncio.create_task(Consumer(wrong, "lane-1", [FILTER], Collector()).run_loop())
            await until(lambda code=code: f"not authorized ({code})" in caplog.text)
            assert [r.levelname for r in caplog.records if "not authorized" in r.message][-1] == "ERROR"
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        waiting = Publisher(replace(wrong, version=5), "load")
        task = asyncio.create_task(waiting.run_loop())
        await asyncio.to_thread(_set_password, users, "wrong")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGHUP)
        await until(lambda: waiting.connected)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finally:
        broker.kill()
    assert len([r for r in caplog.records if "not authorized" in r.message]) == 3
    assert "wrong" not in caplog.text


async def test_a_refused_subscription_is_named_in_the_log(
    nats_broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    place = _embedded(nats_broker)
    consumer = Consumer(place.address, "lane-1", [FILTER, "elsewhere/#"], Collector())
    task = asyncio.create_task(consumer.run_loop())
    await until(lambda: "refuses the subscription elsewhere/#" in caplog.text)
    assert not consumer.connected
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_broker_of_the_other_version_is_named_in_the_log(
    nats_broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.create_task(Publisher(replace(_embedded(nats_broker).address, version=5), "x").run_loop())
    await until(lambda: "set version 4" in caplog.text)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refused_message_raises(server_folder: Path) -> None:
    broker = Mosquitto(server_folder / "strict")
    rules = server_folder / "strict" / "rules"
    rules.write_text("topic write allowed/#\n")
    rules.chmod(0o644)
    _configure(broker, f"acl_file {rules}", "max_packet_size 5000")
    broker.start()
    try:
        async with running(publisher := Publisher(Address(host=broker.host, port=broker.port), "load")):
            await publisher.publish("allowed/x", b"x")
            with pytest.raises(PublishError, match="not authorized") as refusal:
                await publisher.publish("other/x", b"x")
            assert (refusal.value.code, refusal.value.permanent) == (0x87, True)
            await until(lambda: publisher.connected)  # Mosquitto 2.0.11 cuts off whoever it refuses
            with pytest.raises(PublishError, match="more than the broker takes"):
                await publisher.publish("allowed/x", bytes(6000))
            await publisher.publish("allowed/x", b"x")
    finally:
        broker.kill()


@pytest.mark.speed
async def test_a_broker_that_falls_silent_is_given_up_and_found_again(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    address = Address(host=mosquitto.host, port=mosquitto.port, keepalive_s=1)
    got = Collector()
    async with running(consumer := Consumer(address, "lane-1", [FILTER], got)):
        assert mosquitto.pid is not None
        os.kill(mosquitto.pid, signal.SIGSTOP)
        started_at = time.monotonic()
        await until(lambda: not consumer.connected)
        took_s = time.monotonic() - started_at
        assert took_s >= 1.0  # its keepalive
        assert_in_time(took_s, 3.0)
        os.kill(mosquitto.pid, signal.SIGCONT)
        await until(lambda: consumer.connected)
        await consumer.publish(TOPIC, b"back")
        await until(lambda: got.payloads == [b"back"])
    assert "not a byte from the broker" in caplog.text


async def test_an_idle_connection_is_kept_alive(mosquitto: Mosquitto) -> None:
    address = Address(host=mosquitto.host, port=mosquitto.port, keepalive_s=1)
    async with running(consumer := Consumer(address, "lane-1", [FILTER], Collector())):
        # Mosquitto cuts a client off after one and a half intervals without a packet.
        with pytest.raises(TimeoutError):
            await until(lambda: not consumer.connected, timeout_s=2.5)
    assert consumer.counters.reconnects == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid", "a" * 70 + ".cl"])
async def test_a_broker_that_cannot_be_reached_is_tried_again(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = asyncio.create_task(Publisher(Address(host=host, port=free_port()), "load").run_loop())
    await until(lambda: "no connection: " in caplog.text)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_two_consumers_of_one_name_do_not_storm_the_broker(
    address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    twins = [Consumer(address, "lane-1", [FILTER], Collector()) for _ in range(2)]
    tasks = [asyncio.create_task(twin.run_loop()) for twin in twins]
    with contextlib.suppress(TimeoutError):
        await until(lambda: sum(twin.counters.connections for twin in twins) > 12, timeout_s=1.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert caplog.text.count("another client uses the same client id") <= 2
    assert "another client uses the same client id" in caplog.text
    assert sum(twin.counters.connections for twin in twins) <= 12


def test_retries_start_at_once_and_slow_down_to_a_second() -> None:
    assert [retry_delay_s(n, jitter=0) for n in (1, 2, 3, 4, 5, 6, 1000)] == [0, 0.1, 0.2, 0.4, 0.8, 1, 1]
    assert retry_delay_s(50, jitter=1) == 0.5


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="user name"):
        Address(host="h", port=1, password="p")
    with pytest.raises(ValueError, match="version 3"):
        Address(host="h", port=1, version=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keepalive_s 0"):
        Address(host="h", port=1, keepalive_s=0)
    assert "geheim" not in repr(Address(host="h", port=1, username="u", password="geheim"))


def _configure(broker: Mosquitto, *lines: str, without: str = "nothing") -> None:
    file = broker.root / "mosquitto.conf"
    kept = [line for line in file.read_text().splitlines() if not line.startswith(without)]
    file.write_text("\n".join([*kept, *lines]) + "\n")


def _set_password(users: Path, password: str) -> None:
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "hub", password], check=True)
    users.chmod(0o644)  # the broker runs as a user of its own
