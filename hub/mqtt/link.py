"""One connection to a broker, from CONNECT to its end. Never used again after that."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hub.mqtt import codes, packets
from hub.mqtt.codec import Decoder
from hub.mqtt.errors import ConnectionLostError, MqttError, ProtocolError, RefusedError
from hub.mqtt.inbox import Inbox
from hub.mqtt.outgoing import SUBSCRIBE_ID, Outgoing
from hub.mqtt.packets import ConnAck, Disconnect, Message, PingResp, PubAck, SubAck, Version
from hub.mqtt.properties import Property

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 10.0
"""For the TCP connection with TLS, for CONNACK and for SUBACK, each."""

GOODBYE_TIMEOUT_S = 1.0

DEAD_AFTER = 1.5
"""Keep-alive intervals without a byte before the broker counts as gone; it gives us as long (3.1.2.10)."""

# Mosquitto 2.0.11 does not say which, not even in version 5.
_CLOSED = "the broker closed the connection: it stops, or another client uses the same client id"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the broker is and who we are there. ``version`` 4 is MQTT 3.1.1.

    A broker that vanished without a goodbye is noticed after :data:`DEAD_AFTER` times ``keepalive_s``, and
    no alarm is heard meanwhile: so the interval is short.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    version: Version = 5
    keepalive_s: int = 6

    def __post_init__(self) -> None:
        if self.version not in (4, 5):
            raise ValueError(f"MQTT version {self.version} is neither 4 (3.1.1) nor 5")
        if not 1 <= self.keepalive_s <= 0xFFFF:
            raise ValueError(f"keepalive_s {self.keepalive_s} is not 1 to 65535")
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a user name (MQTT 3.1.1, 3.1.2.9)")


class Link(asyncio.Protocol):
    """``closed`` ends with the cause; ``session_present`` is the broker's word from CONNACK."""

    def __init__(self, address: Address, inbox: Inbox, on_messages: Callable[[], None]) -> None:
        self._address = address
        self._inbox = inbox
        self._on_messages = on_messages
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(address.version)
        self._keepalive_s = float(address.keepalive_s)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[ConnAck | SubAck] | None = None
        self._outgoing: Outgoing | None = None
        self._cause: MqttError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._heard_at = self._spoke_at = self._loop.time()
        self.session_present = False
        self.closed: asyncio.Future[MqttError] = self._loop.create_future()

    # ------------------------------------------------------------------------ what the hub asks for

    async def start(self, connect: bytes) -> None:
        """Send CONNECT and wait for CONNACK. Raises RefusedError, ConnectionLostError."""
        connack = cast("ConnAck", await self._ask(connect))
        if connack.code:
            raise self._refused("the connection", connack.code, connack.properties)
        self.session_present = connack.session_present
        self._keepalive_s = float(
            connack.properties.get(Property.SERVER_KEEP_ALIVE_S, 0) or self._address.keepalive_s
        )
        self._outgoing = Outgoing(self._address.version, connack, self._write)
        self._tick()

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 1. Raises RefusedError where the broker grants less, ConnectionLostError."""
        request = packets.subscribe(self._address.version, SUBSCRIBE_ID, filters)
        suback = cast("SubAck", await self._ask(request))
        if len(suback.codes) != len(filters):
            raise ProtocolError(f"a SUBACK with {len(suback.codes)} codes for {len(filters)} filters")
        for topic_filter, code in zip(filters, suback.codes, strict=True):
            if code >= 0x80:
                raise self._refused(f"the subscription {topic_filter}", code, suback.properties)
            if code == 0:
                raise RefusedError(f"the broker grants {topic_filter} only at QoS 0: messages get lost", 0)

    def take(self, limit: int) -> list[Message]:
        """At most ``limit`` messages in the order they came; none from a connection that is gone."""
        if self.is_ending:
            return []
        batch = self._inbox.take(limit)
        if self._inbox.has_room:
            self._read_on()
        return batch

    def acknowledge(self, batch: Sequence[Message]) -> None:
        """PUBACK every QoS 1 message of ``batch``, in its order. Nothing when the connection is gone:

        its packet ids mean other messages on the next one, and the broker sends these again.
        """
        ids = [m.packet_id for m in batch if m.packet_id is not None]
        if ids and not self.is_ending:
            self._write(packets.pubacks(ids))

    @property
    def waiting(self) -> int:
        return len(self._inbox)

    @property
    def is_ending(self) -> bool:
        return self._cause is not None or self.closed.done()

    @property
    def outgoing(self) -> Outgoing | None:
        """None before CONNACK and after the end."""
        return None if self.is_ending else self._outgoing

    def abort(self, cause: MqttError) -> None:
        """End at once; what is not acknowledged comes again."""
        if self._cause is None:
            self._cause = cause
        self._transport.abort()

    async def close(self) -> None:
        """Say goodbye; the session stays at the broker.

        The broker closes first: a connection closed with bytes unread would be reset, and the last
        acknowledgements with it.
        """
        if self.closed.done():
            return
        if self._cause is None:
            self._cause = ConnectionLostError("closed by this hub")
            self._transport.write(packets.DISCONNECT)
            self._read_on()
            await asyncio.wait([self.closed], timeout=GOODBYE_TIMEOUT_S)
        self._transport.abort()

    # ------------------------------------------------------------------------- what asyncio reports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._limit_silence()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            found = self._decoder.feed(data)
            messages = [p for p in found if type(p) is Message]
            if len(messages) < len(found):
                for packet in found:
                    if type(packet) is not Message:
                        _ON_PACKET[type(packet)](self, packet)
        except MqttError as error:
            self.abort(error)
            return
        if messages and not self.is_ending:
            self._keep(messages)

    def pause_writing(self) -> None:
        if self._outgoing is not None:
            self._outgoing.hold(True)

    def resume_writing(self) -> None:
        if self._outgoing is not None:
            self._outgoing.hold(False)

    def connection_lost(self, exc: Exception | None) -> None:
        cause = self._cause or ConnectionLostError(_CLOSED if exc is None else f"{type(exc).__name__}: {exc}")
        if self._timer is not None:
            self._timer.cancel()
        if self._outgoing is not None:
            self._outgoing.fail(cause)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(cause)
        self.closed.set_result(cause)

    # ------------------------------------------------------------------------------------- packets

    def _keep(self, messages: list[Message]) -> None:
        self._inbox.add(messages)
        if self._inbox.is_full and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._on_messages()

    def _read_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    def _on_answer(self, packet: ConnAck | SubAck) -> None:
        if self._answer is None or self._answer.done():
            raise ProtocolError(f"a {type(packet).__name__} that answers nothing")
        self._answer.set_result(packet)

    def _on_puback(self, packet: PubAck) -> None:
        if self._outgoing is None:
            raise ProtocolError("a PUBACK before CONNACK")
        self._outgoing.settle(packet)

    def _on_pingresp(self, _packet: PingResp) -> None:
        """Any byte proves that the broker lives; see data_received."""

    def _on_disconnect(self, packet: Disconnect) -> None:
        self.abort(
            ConnectionLostError(f"the broker said goodbye: {self._reason(packet.code, packet.properties)}")
        )

    async def _ask(self, request: bytes) -> ConnAck | SubAck:
        if self.closed.done():
            raise self.closed.result()
        self._answer = self._loop.create_future()
        self._write(request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._answer
        except TimeoutError as error:
            raise ConnectionLostError(f"no answer from the broker in {ANSWER_TIMEOUT_S:.0f} s") from error

    def _refused(self, what: str, code: int, properties: dict[int, Any]) -> RefusedError:
        return RefusedError(f"the broker refuses {what}: {self._reason(code, properties)}", code)

    def _reason(self, code: int, properties: dict[int, Any]) -> str:
        text = codes.words(self._address.version, code)
        return f"{text}, {properties[Property.REASON]}" if Property.REASON in properties else text

    # ------------------------------------------------------------------------------------ liveness

    def _write(self, data: bytes) -> None:
        self._spoke_at = self._loop.time()
        self._transport.write(data)

    def _tick(self) -> None:
        """Ping when either side was silent for half the interval; give a dead broker up."""
        now = self._loop.time()
        silent_s = now - self._heard_at
        # While we leave the socket unread, the broker's silence is our own doing.
        if silent_s > DEAD_AFTER * self._keepalive_s and not self._is_paused:
            self.abort(ConnectionLostError(f"not a byte from the broker in {silent_s:.1f} s"))
            return
        if max(silent_s, now - self._spoke_at) >= self._keepalive_s / 2:
            self._write(packets.PINGREQ)
        self._timer = self._loop.call_later(self._keepalive_s / 4, self._tick)

    def _limit_silence(self) -> None:
        """Let the kernel end a connection whose peer confirms no byte of ours, also while we do not read."""
        sock = self._transport.get_extra_info("socket")
        limit_ms = int(DEAD_AFTER * self._keepalive_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)


_ON_PACKET: dict[type, Callable[[Link, Any], None]] = {
    ConnAck: Link._on_answer,  # noqa: SLF001  (the class's own table)
    SubAck: Link._on_answer,  # noqa: SLF001
    PubAck: Link._on_puback,  # noqa: SLF001
    PingResp: Link._on_pingresp,  # noqa: SLF001
    Disconnect: Link._on_disconnect,  # noqa: SLF001
}


async def open_link(
    address: Address, connect: bytes, high_water: int, on_messages: Callable[[], None]
) -> Link:
    """Connect to ``address`` and send ``connect``. Raises MqttError; never leaves a connection behind."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            _, link = await loop.create_connection(
                lambda: Link(address, Inbox(high_water), on_messages),
                address.host,
                address.port,
                ssl=address.tls,
            )
    except TimeoutError as error:
        raise ConnectionLostError(f"no connection in {ANSWER_TIMEOUT_S:.0f} s") from error
    except (OSError, UnicodeError) as error:  # the latter for a host name that none can be
        raise ConnectionLostError(f"no connection: {error}") from error
    try:
        await link.start(connect)
    except BaseException:
        link.abort(ConnectionLostError("never came about"))
        raise
    return link
