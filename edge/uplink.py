"""The uplink: everything pending leaves over MQTT, most urgent first, until the hub's receipt says stored.

A broker's PUBACK proves that the link works and nothing more, so it is awaited only to find dead links.
Many messages are in flight at once (:mod:`edge.flights` says how many); every connection starts anew with
everything pending, alarms first.
"""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge import contract
from edge.clock import Clock
from edge.contract import Command, CommandResult, Leaf, Receipt, State, Status, Twin
from edge.drivers import Lane
from edge.flights import Flights, Message, Reading
from edge.outbox import Outbox, OutboxError
from edge.settings import MqttSettings

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0
_PUBACK_LIMIT_S = {Leaf.ALARM: 5.0}
"""An alarm that the broker does not take in 5 s is better sent over a new connection."""
_OTHER_PUBACK_LIMIT_S = 20.0
_FAREWELL_S = 0.7
"""For saying goodbye: stopping must end within 2 s whatever the broker does."""
_STABLE_MS = 5_000
"""A connection that lived this long was a good one: the next pause is short again."""
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 15.0
_READ_PAUSE_S = 1.0
_SESSION_EXPIRY_S = 24 * 3600
# More than our windows ever hold, so that nothing queues behind the client's own window.
_CLIENT_INFLIGHT = 1000
# Without it a small message waits up to 40 ms for the other end's delayed TCP acknowledgement.
_NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

_VERSIONS: dict[str, Sequence[aiomqtt.ProtocolVersion]] = {
    "3.1.1": [aiomqtt.ProtocolVersion.V311],
    "5": [aiomqtt.ProtocolVersion.V5],
    "auto": [aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311],
}


def pause_s(failures: int, chance: random.Random) -> float:
    """How long to wait before the n-th attempt in a row; up to half less, so that gateways spread."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)) * chance.uniform(0.5, 1.0)


def tls_context(mqtt: MqttSettings) -> ssl.SSLContext | None:
    """From the files as they are now: a renewed certificate counts from the next connection on."""
    if mqtt.ca_file is None:
        return None
    context = ssl.create_default_context(cafile=str(mqtt.ca_file))
    if mqtt.cert_file is not None and mqtt.key_file is not None:
        context.load_cert_chain(str(mqtt.cert_file), str(mqtt.key_file))
    return context


class _Client(aiomqtt.Client):
    """Fails at once when the broker hangs up before it has answered; aiomqtt would wait out its limit."""

    def _on_disconnect(self, *arguments: Any, **options: Any) -> None:
        if self._connected.cancelled():
            return  # we were stopped before the broker answered; aiomqtt would stumble over that
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("the broker hung up without an answer"))
        super()._on_disconnect(*arguments, **options)
        if self._disconnected.done():
            self._disconnected.exception()  # seen: asyncio need not complain that nobody looked


class Uplink:
    """One gateway's connection to the broker. ``received`` hears ids that the hub has stored."""

    def __init__(
        self,
        *,
        gateway: str,
        mqtt: MqttSettings,
        outbox: Outbox,
        clock: Clock,
        answer: Callable[[Command], Awaitable[CommandResult]],
        received: Callable[[Sequence[str]], None],
        beat: Callable[[], None] = lambda: None,
        version: str = "",
        chance: random.Random | None = None,
    ) -> None:
        self._gateway = gateway
        self._mqtt = mqtt
        self._outbox = outbox
        self._clock = clock
        self._answer = answer
        self._received = received
        self._beat = beat
        self._version = version
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, keeps no secret
        self._flights = Flights(self._chance)
        self._wake = asyncio.Event()
        self._fresh: set[Lane] = set()
        self._epoch = 0
        self._failures = 0
        self._attempts_failed = 0
        self._sessions_lost = 0
        self._node = mqtt.address(0)
        self._client: aiomqtt.Client | None = None
        self._handlers: dict[Leaf, Callable[[aiomqtt.Client, bytes], Awaitable[None]]] = {
            Leaf.RECEIPT: self._take_receipt,
            Leaf.COMMAND: self._take_command,
            Leaf.DESIRED: self._take_desired,
        }
        outbox.follow(self._put)

    @property
    def is_connected(self) -> bool:
        return self._client is not None

    async def run(self) -> None:
        """Connect, and again, for ever; a cancellation says goodbye to the broker first."""
        while True:
            await self._next_epoch()
            began_ms = self._clock.boottime_ms()
            self._beat()
            try:
                await self._connection()
            except* (aiomqtt.MqttError, OSError) as errors:
                cause = _first(errors)
            if self._clock.boottime_ms() - began_ms >= _STABLE_MS:
                self._failures = 0
            self._failures += 1
            delay_s = pause_s(self._failures, self._chance)
            log.warning("no connection to the broker (%s); again in %.1f s", cause, delay_s)
            self._beat()
            await self._clock.sleep(delay_s)

    async def shout(self, leaf: Leaf, payload: bytes) -> bool:
        """Send something that could not be stored, once; returns whether the broker took it."""
        if self._client is None:
            return False
        try:
            await self._publish(self._client, leaf, payload)
        except aiomqtt.MqttError:
            return False
        return True

    # -------------------------------------------------------------------------------- connection

    async def _next_epoch(self) -> None:
        try:
            self._epoch = await self._outbox.next_epoch()
        except OutboxError as error:
            log.warning("the session's number is not durable (%s)", error)
            self._epoch += 1

    async def _connection(self) -> None:
        client = self._new_client()
        try:
            await client.__aenter__()
        except BaseException:
            self._attempts_failed += 1
            _abandon(client)
            raise
        client.timeout = _FAREWELL_S
        try:
            _check_cancelled()
            self._client = client
            await self._session(client)
        finally:
            self._sessions_lost += 1
            self._client = None
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    def _new_client(self) -> aiomqtt.Client:
        versions = _VERSIONS[self._mqtt.protocol]
        version = versions[self._attempts_failed % len(versions)]
        # Whether it never answered or hung up: the next node of a cluster is the better try.
        self._node = self._mqtt.address(self._sessions_lost + self._attempts_failed // len(versions))
        client = _Client(
            *self._node,
            username=self._mqtt.username,
            password=self._mqtt.secret(),
            identifier=self._gateway,
            will=aiomqtt.Will(self._topic(Leaf.STATUS), self._status(State.OFFLINE), qos=1, retain=True),
            timeout=_CONNECT_TIMEOUT_S,
            keepalive=self._mqtt.keepalive_s,
            max_inflight_messages=_CLIENT_INFLIGHT,
            tls_context=tls_context(self._mqtt),
            logger=log,
            socket_options=[_NO_DELAY],
            **_session_options(version),
        )
        client.pending_calls_threshold = _CLIENT_INFLIGHT
        return client

    def _topic(self, leaf: Leaf) -> str:
        return contract.topic(self._gateway, leaf)

    def _status(self, state: State) -> bytes:
        return contract.encode(
            Status(
                state=state,
                bootid=self._clock.boot_id,
                epoch=self._epoch,
                version=self._version,
                clock=self._clock.quality(),
                time=self._clock.wall(),
            )
        )

    async def _session(self, client: aiomqtt.Client) -> None:
        log.info("connected to %s:%d as %s, session %d", *self._node, self._gateway, self._epoch)
        self._flights.clear()
        self._fresh = set(Lane)
        try:
            async with asyncio.TaskGroup() as group:
                # In this order on the wire, without waiting: an alarm must not wait for round trips.
                group.create_task(self._subscribe(client))
                group.create_task(self._publish(client, Leaf.STATUS, self._status(State.ONLINE), retain=True))
                group.create_task(self._receive_loop(client, group))
                await asyncio.sleep(0)
                await self._send_loop(client, group)
        except asyncio.CancelledError:
            with suppress(aiomqtt.MqttError):
                await self._publish(
                    client, Leaf.STATUS, self._status(State.OFFLINE), retain=True, limit_s=_FAREWELL_S
                )
            raise

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        topics = [(self._topic(leaf), 1) for leaf in contract.DOWN]
        granted = await client.subscribe(topics, timeout=_OTHER_PUBACK_LIMIT_S)
        if any((code if isinstance(code, int) else code.value) >= 0x80 for code in granted):
            log.error("the broker refuses the subscriptions of %s; check its access list", self._gateway)

    async def _publish(
        self,
        client: aiomqtt.Client,
        leaf: Leaf,
        payload: bytes,
        *,
        retain: bool = False,
        limit_s: float | None = None,
    ) -> None:
        limit_s = limit_s or _PUBACK_LIMIT_S.get(leaf, _OTHER_PUBACK_LIMIT_S)
        await client.publish(self._topic(leaf), payload, qos=1, retain=retain, timeout=limit_s)

    # ------------------------------------------------------------------------------------ sending

    def _put(self, lane: Lane) -> None:
        self._fresh.add(lane)
        self._wake.set()

    async def _send_loop(self, client: aiomqtt.Client, group: asyncio.TaskGroup) -> None:
        while True:
            self._beat()
            self._wake.clear()
            await self._send_due(client, group)
            await self._rest()

    async def _send_due(self, client: aiomqtt.Client, group: asyncio.TaskGroup) -> None:
        for lane in Lane:
            if lane is not Lane.ALARM and Lane.ALARM in self._fresh and self._flights.room(Lane.ALARM):
                self._wake.set()  # an alarm came meanwhile: begin again with it
                return
            await self._fill(lane)
            for message in self._flights.due(lane, self._reading()):
                group.create_task(self._send(client, message))

    async def _send(self, client: aiomqtt.Client, message: Message) -> None:
        await self._publish(client, message.leaf, message.payload)

    async def _fill(self, lane: Lane) -> None:
        """Take up fresh rows of the outbox as far as the lane's window goes."""
        room = self._flights.room(lane)
        if lane not in self._fresh or not room:
            return
        self._fresh.discard(lane)
        try:
            rows = await self._outbox.next(lane, room, after=self._flights.last_row_id[lane])
        except OutboxError as error:
            log.warning("the outbox cannot be read (%s); again in %.0f s", error, _READ_PAUSE_S)
            self._fresh.add(lane)
            await self._clock.sleep(_READ_PAUSE_S)
            return
        took_all = self._flights.take_up(lane, rows, self._clock.boottime_ms())
        if len(rows) == room or not took_all:
            self._fresh.add(lane)

    def _reading(self) -> Reading:
        return Reading(
            boottime_ms=self._clock.boottime_ms(),
            boot_id=self._clock.boot_id,
            wall_ms=round(self._clock.wall().timestamp() * 1000),
            is_synced=self._clock.quality() is contract.Clock.SYNCED,
        )

    async def _rest(self) -> None:
        """Until something changes, the next resending is due, or it is time to beat."""
        due_ms = self._flights.next_due_ms()
        delay_s = 1.0 if due_ms is None else (due_ms - self._clock.boottime_ms()) / 1000
        with suppress(TimeoutError):
            async with asyncio.timeout(min(1.0, max(0.0, delay_s))):
                await self._wake.wait()

    # ---------------------------------------------------------------------------------- receiving

    async def _receive_loop(self, client: aiomqtt.Client, group: asyncio.TaskGroup) -> None:
        async for message in client.messages:
            receiving = self._receive(client, message)
            if message.topic.matches(self._topic(Leaf.RECEIPT)):
                await receiving
            else:
                group.create_task(receiving)  # a command may take its time; receipts must not wait for it

    async def _receive(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        try:
            _, leaf = contract.parse_topic(message.topic.value)
            handler = self._handlers.get(leaf)
            if handler is not None and isinstance(message.payload, bytes | bytearray):
                await handler(client, bytes(message.payload))
        except contract.ContractError as error:
            log.warning("a message from the hub breaks the contract (%s)", error)
        except OutboxError as error:
            log.warning("a message from the hub could not be booked (%s)", error)

    async def _take_receipt(self, _client: aiomqtt.Client, payload: bytes) -> None:
        receipt = contract.decode(Receipt, payload)
        refused = {refusal.id: refusal.reason for refusal in receipt.refused}
        # Booked first: what the outbox cannot book now stays in flight, is sent again and answered again.
        for message_id, reason in refused.items():
            log.warning("the hub refuses %s (%s); it is set aside", message_id, reason)
            await self._outbox.refuse(message_id, reason)
        if receipt.ids:
            await self._outbox.receipt(receipt.ids)
        self._flights.land([*receipt.ids, *refused])
        self._wake.set()
        if receipt.ids:
            self._received(receipt.ids)

    async def _take_command(self, client: aiomqtt.Client, payload: bytes) -> None:
        command = contract.decode(Command, payload)
        result = await self._answer(command)
        await self._publish(client, Leaf.RESULT, contract.encode(result))

    async def _take_desired(self, client: aiomqtt.Client, payload: bytes) -> None:
        """Nothing can be desired of this version yet; the hub learns that it was read."""
        desired = contract.decode(Twin, payload)
        reported = Twin(version=desired.version, properties={"version": self._version})
        await self._publish(client, Leaf.REPORTED, contract.encode(reported), retain=True)


def _check_cancelled() -> None:
    """Python 3.11's ``wait_for`` swallows a cancellation that comes together with its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _session_options(version: aiomqtt.ProtocolVersion) -> dict[str, Any]:
    """A session that outlives the connection: commands wait at the broker meanwhile."""
    if version is not aiomqtt.ProtocolVersion.V5:
        return {"protocol": version, "clean_session": False}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _SESSION_EXPIRY_S
    return {"protocol": version, "clean_start": False, "properties": properties}


def _abandon(client: aiomqtt.Client) -> None:
    """Close the socket of a connection that never got through: aiomqtt leaves it open."""
    client._client.disconnect()  # noqa: SLF001


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    """The cause, out of the groups around it."""
    cause: BaseException = errors
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause
