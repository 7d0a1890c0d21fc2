"""Publishes on their way: packet ids, the broker's window, and whoever waits for a PUBACK."""

import asyncio
from collections import deque
from collections.abc import Callable

from hub.mqtt import codes
from hub.mqtt.errors import ConnectionLostError, ProtocolError, PublishError
from hub.mqtt.packets import MAX_ID, ConnAck, PubAck, Version, publish
from hub.mqtt.properties import Property

MAX_OUTSTANDING = 50_000
"""Publishes sent or waiting on one connection; more are refused. Below the number of packet ids."""

WINDOW = 4096
"""Publishes without PUBACK where the broker states no Receive Maximum, or a larger one."""

# The highest id belongs to SUBSCRIBE.
SUBSCRIBE_ID = MAX_ID
_IDS = MAX_ID - 1


def check_topic(topic: str) -> None:
    """Raise ValueError unless ``topic`` can be published to (MQTT 5, 4.7.3)."""
    if not topic or any(c in topic for c in "+#\0") or len(topic.encode()) > 0xFFFF:
        raise ValueError(f"{topic[:80]!r} is no topic to publish to")


class Outgoing:
    """The publishes of one connection, in order. ``write`` gets the bytes once the window allows it."""

    def __init__(self, version: Version, connack: ConnAck, write: Callable[[bytes], None]) -> None:
        limits = connack.properties
        self._version = version
        self._write = write
        self._window = min(WINDOW, int(limits.get(Property.RECEIVE_MAXIMUM, WINDOW)))
        self._max_bytes = int(limits.get(Property.MAXIMUM_PACKET_BYTES, 2**28))
        self._max_qos = int(limits.get(Property.MAXIMUM_QOS, 2))
        self._futures: dict[int, asyncio.Future[None]] = {}
        self._queue: deque[tuple[bytes, asyncio.Future[None] | None]] = deque()
        self._in_flight = 0
        self._last_id = 0
        self._is_held = False
        self._is_due = False

    def submit(
        self, topic: str, payload: bytes, qos: int, retain: bool, message_expiry_s: int | None
    ) -> asyncio.Future[None]:
        """Done on PUBACK, or once written at QoS 0; raises PublishError when it cannot be sent at all."""
        if len(self._queue) + self._in_flight >= MAX_OUTSTANDING:
            raise PublishError("too many publishes wait for the broker", permanent=False)
        if qos > self._max_qos:
            raise PublishError("the broker takes QoS 0 only", code=0x9B)
        packet_id = self._next_id() if qos else None
        packet = publish(
            self._version,
            topic,
            payload,
            qos=qos,
            retain=retain,
            packet_id=packet_id,
            message_expiry_s=message_expiry_s,
        )
        if len(packet) > self._max_bytes:
            raise PublishError(f"{len(packet)} bytes are more than the broker takes", code=0x95)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if packet_id is not None:
            self._futures[packet_id] = future
        self._queue.append((packet, None if qos else future))
        self._flush_soon()
        return future

    def settle(self, puback: PubAck) -> None:
        """The broker answered one publish."""
        future = self._futures.pop(puback.packet_id, None)
        if future is None:
            raise ProtocolError(f"a PUBACK for packet id {puback.packet_id}, which is not under way")
        self._in_flight -= 1
        if self._queue:
            self._flush_soon()
        if future.done():
            return
        if puback.code < 0x80:
            future.set_result(None)
        else:
            _fail(future, _refusal(self._version, puback.code))

    def hold(self, is_held: bool) -> None:
        """Stop or go on: the socket's buffer is full, or empty enough again."""
        self._is_held = is_held
        if not is_held:
            self._flush_soon()

    def fail(self, cause: Exception) -> None:
        """The connection is gone: everybody who waits learns it."""
        waiting = [*self._futures.values(), *(f for _, f in self._queue if f is not None)]
        self._futures.clear()
        self._queue.clear()
        for future in waiting:
            _fail(future, ConnectionLostError(str(cause)))

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % _IDS + 1
            if self._last_id not in self._futures:
                return self._last_id

    def _flush_soon(self) -> None:
        # Once per turn of the loop: a thousand receipts of one batch leave in one write.
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        packets: list[bytes] = []
        while self._queue and not self._is_held and self._in_flight < self._window:
            packet, future = self._queue.popleft()
            packets.append(packet)
            if future is None:
                self._in_flight += 1
            elif not future.done():
                future.set_result(None)
        if packets:
            self._write(b"".join(packets))


def failed(error: Exception) -> asyncio.Future[None]:
    """A future that has failed already, and says nothing when nobody looks at it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _fail(future, error)
    return future


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        # Reading it here keeps asyncio from reporting a receipt that nobody waits for.
        future.exception()


def _refusal(version: Version, code: int) -> PublishError:
    return PublishError(
        f"the broker refused the message: {codes.words(version, code)}",
        code=code,
        permanent=code not in codes.TRANSIENT,
    )
