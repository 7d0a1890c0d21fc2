"""The uplink over real brokers, with a small hub on the other side that gives receipts."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import aiomqtt
import pytest
from conftest import Mosquitto
from hypothesis import given
from hypothesis import strategies as st

from edge import contract, flights
from edge.clock import SystemClock
from edge.contract import Command, CommandResult, Leaf, Receipt, Refusal, ResultState, State, Status
from edge.drivers import Lane
from edge.flights import Flights, Reading
from edge.outbox import Entry, Outbox, OutboxError, Row
from edge.settings import MqttSettings
from edge.uplink import Uplink, pause_s
from hub.servers.broker import HUB_USER, EmbeddedBroker
from hub.servers.child import free_port

GATEWAY = "gw-1"
CLOCK = SystemClock()


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], limit_s: float = 60.0) -> None:
    """Poll until the condition holds; fails after ``limit_s``."""
    async with asyncio.timeout(limit_s):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


def entry(lane: Lane = Lane.EVENT, size: int = 0, **changes: object) -> Entry:
    at = CLOCK.wall()
    message_id = str(contract.uuid7(at))
    source = "urn:dev:org:32473-boton-1"
    if lane is Lane.TELEMETRY:
        reading = contract.Measurement(name=f"{source}:level", time=at.timestamp(), unit="m", value=1.5)
        payload = contract.encode_pack([reading], id=message_id)
    else:
        event = contract.new_event(
            source=source, type="panic.pressed", time=at, id=message_id, data={"x": "y" * size}
        )
        payload = contract.encode_event(event)
    fields = {
        "lane": lane,
        "message_id": message_id,
        "source": source,
        "payload": payload,
        "boot_id": CLOCK.boot_id,
        "boottime_ms": CLOCK.boottime_ms(),
        "wall": at,
        "clock": contract.Clock.UNSYNCED,
    }
    return Entry(**(fields | changes))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- the peers


@dataclass
class FakeHub:
    """Subscribes like the hub, keeps what comes in order and gives receipts while ``answers`` is set."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    answers: bool = True
    refuses: set[str] = field(default_factory=set)
    received: list[tuple[Leaf, str]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    results: list[CommandResult] = field(default_factory=list)
    reported: list[contract.Twin] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    client: aiomqtt.Client | None = None

    def ids(self, leaf: Leaf | None = None) -> list[str]:
        return [one for of, one in self.received if leaf in (None, of)]

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                await self._connection()
            self.is_up.clear()
            await asyncio.sleep(0.05)

    async def _connection(self) -> None:
        async with aiomqtt.Client(
            self.host,
            self.port,
            username=self.username,
            password=self.password,
            identifier="hub",
            timeout=1,  # a broker that dies before it answers is not noticed sooner
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        ) as client:
            client.pending_calls_threshold = 10_000
            self.client = client
            await client.subscribe([(contract.subscription(leaf), 1) for leaf in contract.UP])
            self.is_up.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                gateway, leaf = contract.parse_topic(message.topic.value)
                assert gateway == GATEWAY
                await self._take(client, leaf, message.payload)

    async def _take(self, client: aiomqtt.Client, leaf: Leaf, payload: bytes) -> None:
        if leaf is Leaf.STATUS:
            self.statuses.append(contract.decode(Status, payload))
        elif leaf is Leaf.REPORTED:
            self.reported.append(contract.decode(contract.Twin, payload))
        elif leaf is Leaf.RESULT:
            self.results.append(contract.decode(CommandResult, payload))
        elif leaf in (Leaf.ALARM, Leaf.EVENT, Leaf.TELEMETRY):
            ids = _ids(leaf, payload)
            self.received += [(leaf, one) for one in ids]
            self.payloads.append(payload)
            if self.answers:
                await self._answer(client, ids)

    async def _answer(self, client: aiomqtt.Client, ids: list[str]) -> None:
        receipt = Receipt(
            ids=[one for one in ids if one not in self.refuses],
            refused=[Refusal(id=one, reason="data: strange") for one in ids if one in self.refuses],
        )
        await client.publish(contract.topic(GATEWAY, Leaf.RECEIPT), contract.encode(receipt), qos=1)

    async def send(self, leaf: Leaf, message: Command | Receipt | contract.Twin | bytes) -> None:
        assert self.client is not None
        payload = message if isinstance(message, bytes) else contract.encode(message)
        await self.client.publish(contract.topic(GATEWAY, leaf), payload, qos=1)


def _ids(leaf: Leaf, payload: bytes) -> list[str]:
    if leaf is Leaf.TELEMETRY:
        pack = contract.decode_pack(payload, 0)
        assert pack.id is not None
        return [pack.id]
    events, errors = contract.decode_events(payload)
    assert errors == []
    return [event.id for event in events]


@dataclass
class Edge:
    outbox: Outbox
    uplink: Uplink
    stored: list[str]
    commands: list[Command]
    task: "asyncio.Task[None]"

    async def put(self, *entries: Entry) -> list[str]:
        await asyncio.gather(*(self.outbox.put(one) for one in entries))
        return [one.message_id for one in entries]

    async def is_empty(self) -> bool:
        return sum((await self.outbox.stats()).pending.values()) == 0

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@asynccontextmanager
async def edge_on(path: Path, mqtt: MqttSettings) -> AsyncIterator[Edge]:
    outbox = await Outbox.open(path / "outbox.db", 16 * 1024 * 1024)
    stored: list[str] = []
    commands: list[Command] = []

    async def answer(command: Command) -> CommandResult:
        commands.append(command)
        return CommandResult(id=command.id, state=ResultState.DONE)

    uplink = Uplink(
        gateway=GATEWAY,
        mqtt=mqtt,
        outbox=outbox,
        clock=CLOCK,
        answer=answer,
        received=stored.extend,
        version="1.2.3",
    )
    edge = Edge(outbox, uplink, stored, commands, asyncio.create_task(uplink.run()))
    try:
        yield edge
    finally:
        await edge.stop()
        await outbox.close()


@asynccontextmanager
async def hub_on(host: str, port: int, **login: str) -> AsyncIterator[FakeHub]:
    hub = FakeHub(host, port, **login)  # type: ignore[arg-type]
    task = asyncio.create_task(hub.run())
    await hub.is_up.wait()
    try:
        yield hub
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def hub(mosquitto: Mosquitto) -> AsyncIterator[FakeHub]:
    async with hub_on(mosquitto.host, mosquitto.port) as running:
        yield running


@pytest.fixture
async def edge(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Edge]:
    async with edge_on(tmp_path, MqttSettings(host=mosquitto.host, port=mosquitto.port)) as running:
        yield running


# --------------------------------------------------------------------------------- over Mosquitto


async def test_what_is_put_arrives_and_the_receipt_removes_it(edge: Edge, hub: FakeHub) -> None:
    ids = await edge.put(*(entry(lane) for lane in Lane))
    await until(edge.is_empty)
    assert sorted(hub.ids()) == sorted(ids) == sorted(edge.stored)
    assert {leaf for leaf, _ in hub.received} == {Leaf.ALARM, Leaf.EVENT, Leaf.TELEMETRY}


async def test_without_a_receipt_it_stays_and_is_sent_again_alarms_soonest(edge: Edge, hub: FakeHub) -> None:
    hub.answers = False
    (alarm, _) = await edge.put(entry(Lane.ALARM), entry(Lane.EVENT))
    await until(lambda: hub.ids().count(alarm) >= 2)
    assert len(hub.ids(Leaf.EVENT)) == 1
    assert (await edge.outbox.stats()).pending == {"alarm": 1, "event": 1, "telemetry": 0}
    hub.answers = True
    await until(edge.is_empty)
    assert (await edge.outbox.stats()).receipted == {"alarm": 1, "event": 1, "telemetry": 0}


async def test_events_share_messages(edge: Edge, hub: FakeHub) -> None:
    hub.answers = False
    await until(lambda: edge.uplink.is_connected)
    ids = await edge.put(*(entry(size=100) for _ in range(120)))
    await until(lambda: len(set(hub.ids())) == 120)
    assert hub.ids() == sorted(ids, key=ids.index)
    assert len(hub.payloads) <= 6
    assert max(len(contract.decode_events(p)[0]) for p in hub.payloads) <= 50
    assert max(map(len, hub.payloads)) < 70_000


async def test_every_sending_states_the_age_of_that_moment(edge: Edge, hub: FakeHub) -> None:
    hub.answers = False
    now_ms = CLOCK.boottime_ms()
    (alarm,) = await edge.put(entry(Lane.ALARM, boottime_ms=now_ms - 60_000))
    await until(lambda: hub.ids().count(alarm) >= 2)
    ages = [contract.decode_event(payload).age_ms for payload in hub.payloads]
    assert ages[0] is not None
    assert ages[1] is not None
    assert 60_000 <= ages[0] < ages[1] < 75_000
    assert ages[1] - ages[0] >= 700


async def test_an_alarm_overtakes_thousands_of_readings(edge: Edge, hub: FakeHub) -> None:
    hub.answers = False
    await edge.put(*(entry(Lane.TELEMETRY) for _ in range(3000)))
    await until(lambda: len(hub.received) >= flights.RULES[Lane.TELEMETRY].window_rows)
    hub.answers = True
    await hub.send(Leaf.RECEIPT, Receipt(ids=hub.ids()))
    await until(lambda: len(hub.received) > 200)
    before = len(hub.received)
    (alarm,) = await edge.put(entry(Lane.ALARM))
    await until(lambda: alarm in hub.ids())
    # What had left before it, and what was in flight while it was written to disk.
    assert hub.ids().index(alarm) - before <= 10 * flights.RULES[Lane.TELEMETRY].window_rows
    assert not await edge.is_empty()
    await until(edge.is_empty)
    assert len(hub.ids()) == len(set(hub.ids())) == 3001


async def test_readings_that_nobody_answers_do_not_hold_back_the_others(edge: Edge, hub: FakeHub) -> None:
    hub.answers = False
    await edge.put(*(entry(Lane.TELEMETRY) for _ in range(100)))
    window = flights.RULES[Lane.TELEMETRY].window_rows
    await until(lambda: len(hub.received) == window)
    hub.answers = True
    ids = await edge.put(*(entry(lane) for lane in (Lane.ALARM, Lane.EVENT)))
    await until(lambda: set(ids) <= set(edge.stored))
    assert len(hub.ids(Leaf.TELEMETRY)) == window


async def test_a_refused_message_is_set_aside(edge: Edge, hub: FakeHub) -> None:
    good, bad = entry(), entry()
    hub.refuses.add(bad.message_id)
    await edge.put(good, bad)
    await until(edge.is_empty)
    assert await edge.outbox.refused() == [(bad.message_id, "data: strange")]
    assert edge.stored == [good.message_id]


async def test_a_receipt_that_could_not_be_booked_is_asked_for_again(
    edge: Edge, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk; the row must not wait for the next connection."""
    book, tries = edge.outbox.receipt, iter([OutboxError("the disk is full")])

    async def receipt(message_ids: Iterable[str]) -> None:
        for error in tries:
            raise error
        await book(message_ids)

    monkeypatch.setattr(edge.outbox, "receipt", receipt)
    (alarm,) = await edge.put(entry(Lane.ALARM))
    await until(edge.is_empty)
    assert hub.ids(Leaf.ALARM) == [alarm, alarm]
    assert edge.stored == [alarm]


async def test_a_killed_broker_without_memory_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub
) -> None:
    async with edge_on(tmp_path, MqttSettings(port=mosquitto.port)) as edge:
        ids: list[str] = []
        for _ in range(3):
            await until(lambda: edge.uplink.is_connected)
            hub.answers = False  # what it takes now it forgets
            ids += await edge.put(*(entry(Lane(n % 3)) for n in range(30)))
            mosquitto.kill()
            hub.answers = True
            ids += await edge.put(*(entry(Lane(n % 3)) for n in range(30)))
            mosquitto.start()
        await until(edge.is_empty)
        assert sorted(set(hub.ids())) == sorted(ids)
        await until(lambda: hub.statuses[-1].state is State.ONLINE)
        epochs = [status.epoch for status in hub.statuses if status.state is State.ONLINE]
        assert epochs == sorted(epochs)
        assert len(set(epochs)) >= 3


async def test_after_a_reconnection_alarms_leave_first(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with edge_on(tmp_path, MqttSettings(port=mosquitto.port)) as edge:
        await until(lambda: edge.uplink.is_connected)
        mosquitto.kill()
        await until(lambda: not edge.uplink.is_connected)
        await edge.put(*(entry(Lane.TELEMETRY) for _ in range(10)))
        await edge.put(*(entry(Lane.EVENT) for _ in range(10)))
        (alarm,) = await edge.put(entry(Lane.ALARM))
        async with _hub_before_the_edge(mosquitto) as hub:
            await until(edge.is_empty)
            first = {
                leaf: [of for of, _ in hub.received].index(leaf) for leaf in (Leaf.ALARM, Leaf.TELEMETRY)
            }
            assert hub.ids().index(alarm) == first[Leaf.ALARM] < first[Leaf.TELEMETRY]


@asynccontextmanager
async def _hub_before_the_edge(mosquitto: Mosquitto) -> AsyncIterator[FakeHub]:
    """A hub that waits for the broker; the edge's messages are kept for it by its own receipts' absence."""
    hub = FakeHub(mosquitto.host, mosquitto.port)
    task = asyncio.create_task(hub.run())
    mosquitto.start()
    await hub.is_up.wait()
    try:
        yield hub
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_silent_network_is_noticed_and_left(
    tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub
) -> None:
    """The line goes dead without a word: an alarm does not wait for the keep-alive."""
    async with dead_line(mosquitto.port) as line, edge_on(tmp_path, MqttSettings(port=line.port)) as edge:
        await edge.put(entry())
        await until(edge.is_empty)
        line.is_cut = True
        (alarm,) = await edge.put(entry(Lane.ALARM))
        await until(lambda: not edge.uplink.is_connected)
        line.is_cut = False
        await until(lambda: alarm in edge.stored)


async def test_a_cluster_is_entered_by_whichever_node_answers(
    tmp_path: Path, mosquitto: Mosquitto, server_folder: Path
) -> None:
    """The first node is dead from the start; the second dies with an alarm on its way to nobody."""
    third = Mosquitto(server_folder / "third")
    third.start()
    others = (f"127.0.0.1:{mosquitto.port}", f"127.0.0.1:{third.port}")
    try:
        async with (
            hub_on(third.host, third.port),
            edge_on(tmp_path, MqttSettings(port=free_port(), others=others)) as edge,
        ):
            async with hub_on(mosquitto.host, mosquitto.port):
                (first,) = await edge.put(entry(Lane.ALARM))
                await until(lambda: first in edge.stored)
            mosquitto.kill()
            (second,) = await edge.put(entry(Lane.ALARM))
            await until(lambda: second in edge.stored)
    finally:
        third.kill()


@dataclass
class Line:
    port: int
    is_cut: bool = False


@asynccontextmanager
async def dead_line(to_port: int) -> AsyncIterator[Line]:
    """A TCP relay that swallows everything, new connections' bytes too, while the line is cut."""
    line = Line(0)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        was_cut = False
        with suppress(OSError):
            while data := await reader.read(65536):
                was_cut = was_cut or line.is_cut
                if not was_cut:
                    writer.write(data)
                    await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", to_port)
        for pair in ((reader, back), (there, writer)):
            task = asyncio.create_task(pump(*pair))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        line.port = server.sockets[0].getsockname()[1]
        yield line
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ------------------------------------------------------------------------------- birth and death


async def test_birth_goodbye_and_rising_epochs(tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub) -> None:
    for _ in range(2):
        async with edge_on(tmp_path, MqttSettings(port=mosquitto.port)) as edge:
            await until(lambda: edge.uplink.is_connected and hub.statuses[-1:] != [])
            await until(lambda: hub.statuses[-1].state is State.ONLINE)
        await until(lambda: hub.statuses[-1].state is State.OFFLINE)
    states = [status.state for status in hub.statuses]
    assert states == [State.ONLINE, State.OFFLINE] * 2
    first, first_end, second, _ = hub.statuses
    assert first.epoch == first_end.epoch < second.epoch
    assert (first.bootid, first.version) == (CLOCK.boot_id, "1.2.3")
    async with hub_on(mosquitto.host, mosquitto.port) as late:
        await until(lambda: late.statuses != [])
        assert late.statuses[0].state is State.OFFLINE  # retained


async def test_the_will_speaks_for_a_gateway_that_vanished(
    tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub
) -> None:
    async with edge_on(tmp_path, MqttSettings(port=mosquitto.port)) as edge:
        await until(lambda: hub.statuses[-1:] != [])
        client = edge.uplink._client
        assert client is not None
        tcp = client._client.socket()
        assert tcp is not None
        tcp.shutdown(socket.SHUT_RDWR)
        await until(lambda: [s.state for s in hub.statuses] == [State.ONLINE, State.OFFLINE, State.ONLINE])
        died, born = hub.statuses[1:]
        assert died.epoch < born.epoch


async def test_stopping_ends_in_time_though_the_broker_hangs(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with dead_line(mosquitto.port) as line, edge_on(tmp_path, MqttSettings(port=line.port)) as edge:
        await until(lambda: edge.uplink.is_connected)
        line.is_cut = True
        began_ms = CLOCK.boottime_ms()
        await edge.stop()
        assert CLOCK.boottime_ms() - began_ms < 2000


# ------------------------------------------------------------------------------------- commands


async def test_commands_are_answered_even_those_given_while_away(
    tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub
) -> None:
    expires = datetime.now(UTC) + timedelta(minutes=1)
    async with edge_on(tmp_path, MqttSettings(port=mosquitto.port)) as edge:
        await until(lambda: hub.statuses != [])
        await edge.put(entry())
        await until(edge.is_empty)
        await hub.send(Leaf.COMMAND, b'{"id": 7}')
        await hub.send(Leaf.COMMAND, Command(id="c1", name="ping", expires=expires))
        await until(lambda: [r.id for r in hub.results] == ["c1"])
    await hub.send(Leaf.COMMAND, Command(id="c2", name="ping", expires=expires))
    async with edge_on(tmp_path, MqttSettings(port=mosquitto.port)) as edge:
        await until(lambda: [r.id for r in hub.results] == ["c1", "c2"])
        await hub.send(Leaf.DESIRED, contract.Twin(version=3, properties={"x": 1}))
        await until(lambda: hub.reported != [])
        assert hub.reported == [contract.Twin(version=3, properties={"version": "1.2.3"})]
        assert [c.id for c in edge.commands] == ["c2"]


# ---------------------------------------------------------------------------- protocols, brokers


@pytest.mark.parametrize("protocol", ["5", "auto"])
async def test_mqtt_5(tmp_path: Path, mosquitto: Mosquitto, hub: FakeHub, protocol: str) -> None:
    mqtt = MqttSettings.model_validate({"port": mosquitto.port, "protocol": protocol})
    async with edge_on(tmp_path, mqtt) as edge:
        ids = await edge.put(*(entry(lane) for lane in Lane))
        await until(edge.is_empty)
        assert sorted(hub.ids()) == sorted(ids)


async def test_shouting_reaches_the_hub_past_the_outbox(edge: Edge, hub: FakeHub) -> None:
    assert await edge.uplink.shout(Leaf.ALARM, entry(Lane.ALARM).payload) is edge.uplink.is_connected
    await until(lambda: edge.uplink.is_connected)
    alarm = entry(Lane.ALARM)
    assert await edge.uplink.shout(Leaf.ALARM, alarm.payload)
    await until(lambda: alarm.message_id in hub.ids())


# --------------------------------------------------------------------------------- pure decisions


def reading(now_ms: int, **changes: object) -> Reading:
    fields = {"boottime_ms": now_ms, "boot_id": CLOCK.boot_id, "wall_ms": 0, "is_synced": False}
    return Reading(**(fields | changes))  # type: ignore[arg-type]


def rows(lane: Lane, n: int, size: int = 0) -> list[Row]:
    return [Row(row_id=k + 1, entry=entry(lane, size)) for k in range(n)]


def test_the_age_is_only_stated_when_a_clock_knows_it() -> None:
    here = entry(boottime_ms=1_000)
    assert flights.age_ms(here, reading(3_500)) == 2_500
    before = entry(boot_id="earlier", wall=datetime(2026, 1, 1, tzinfo=UTC), clock=contract.Clock.SYNCED)
    wall_ms = round(before.wall.timestamp() * 1000) + 9_000
    assert flights.age_ms(before, reading(0, wall_ms=wall_ms, is_synced=True)) == 9_000
    assert flights.age_ms(before, reading(0, wall_ms=wall_ms)) is None
    assert contract.decode_event(flights.aged(before, reading(0))).age is None


def test_resending_backs_off_to_its_limit() -> None:
    flying = Flights(random.Random(1))
    flying.take_up(Lane.ALARM, rows(Lane.ALARM, 1), 0)
    sent_ms = []
    now_ms = 0
    while len(sent_ms) < 8:
        if flying.due(Lane.ALARM, reading(now_ms)):
            sent_ms.append(now_ms)
        due_ms = flying.next_due_ms()
        assert due_ms is not None
        assert due_ms > now_ms
        now_ms = due_ms
    gaps = [later - earlier for earlier, later in pairwise(sent_ms)]
    for gap, full_s in zip(gaps, (1, 2, 4, 8, 15, 15, 15), strict=True):
        assert 0.8 * full_s * 1000 - 1 <= gap <= full_s * 1000


@given(sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=60))
def test_the_window_bounds_what_is_in_flight(sizes: list[int]) -> None:
    flying = Flights(random.Random(1))
    waiting = [Row(row_id=k + 1, entry=entry(Lane.EVENT, size)) for k, size in enumerate(sizes)]
    rules = flights.RULES[Lane.EVENT]
    arrived: list[str] = []
    while waiting:
        took_all = flying.take_up(Lane.EVENT, waiting[: flying.room(Lane.EVENT)], 0)
        taken = [row for row in waiting if row.row_id <= flying.last_row_id[Lane.EVENT]]
        assert taken
        assert took_all or flying.room(Lane.EVENT) == 0
        assert sum(len(row.entry.payload) for row in taken[:-1]) < rules.window_bytes
        messages = flying.due(Lane.EVENT, reading(0))
        ids = [one for message in messages for one in message.message_ids]
        assert ids == [row.entry.message_id for row in taken]
        for message in messages:
            sent = json.loads(message.payload)
            assert isinstance(sent, list) == (len(message.message_ids) > 1)
            assert len(message.message_ids) == 1 or len(message.payload) < flights.BATCH_BYTES + 2_000
        arrived += ids
        assert flying.land(ids) == taken
        waiting = waiting[len(taken) :]
    assert len(arrived) == len(sizes)
    assert flying.next_due_ms() is None


def test_pauses_grow_from_a_fifth_of_a_second_to_fifteen() -> None:
    pauses = [pause_s(n, random.Random(n)) for n in range(1, 30)]
    assert pauses[0] <= 0.2
    assert all(7.5 <= pause <= 15 for pause in pauses[8:])


# ---------------------------------------------------------------------------- the embedded broker


@asynccontextmanager
async def hub_on_nats(broker: EmbeddedBroker) -> AsyncIterator[FakeHub]:
    login = {"username": HUB_USER, "password": broker.hub_password}
    async with hub_on("127.0.0.1", broker.mqtt_port, **login) as running:
        yield running


def as_gateway(broker: EmbeddedBroker, password: str) -> MqttSettings:
    values = {"port": broker.mqtt_port, "username": GATEWAY, "password": password}
    return MqttSettings.model_validate(values)


async def test_the_embedded_broker_killed_and_started_again(
    tmp_path: Path, nats_broker: EmbeddedBroker
) -> None:
    mqtt = as_gateway(nats_broker, nats_broker.gateway_password(GATEWAY))
    async with hub_on_nats(nats_broker) as hub, edge_on(tmp_path, mqtt) as edge:
        ids = await edge.put(*(entry(Lane(n % 3)) for n in range(60)))
        await until(edge.is_empty)
        await nats_broker.wipe()
        ids += await edge.put(*(entry(Lane(n % 3)) for n in range(60)))
        await nats_broker.start()
        await until(edge.is_empty)
        assert sorted(set(hub.ids())) == sorted(ids)
        command = Command(id="c1", name="ping", expires=CLOCK.wall() + timedelta(minutes=1))
        await until(lambda: hub.statuses[-1].state is State.ONLINE)
        await hub.send(Leaf.COMMAND, command)
        await until(lambda: [result.id for result in hub.results] == ["c1"])


async def test_a_wrong_password_is_tried_again_for_ever(
    tmp_path: Path, nats_broker: EmbeddedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_on(tmp_path, as_gateway(nats_broker, "wrong")) as edge:
        (alarm,) = await edge.put(entry(Lane.ALARM))
        await until(lambda: caplog.text.count("no connection to the broker") >= 2)
        assert not edge.uplink.is_connected
        assert not edge.task.done()
    mqtt = as_gateway(nats_broker, nats_broker.gateway_password(GATEWAY))
    async with hub_on_nats(nats_broker), edge_on(tmp_path, mqtt) as edge:
        await until(lambda: alarm in edge.stored)
