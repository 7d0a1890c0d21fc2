"""MQTT without I/O: bytes in, packets out, for 3.1.1 and 5. The client's side only.

A message above the size limit is not an error: its body is thrown away as it comes and it is handed over
cut, so that it can be refused and acknowledged like any other and does not block its session for ever.
Properties of a PUBLISH are skipped unread: the hub needs none, and a publisher chooses how many there are.
"""

from collections.abc import Callable

from hub.mqtt.errors import ProtocolError
from hub.mqtt.packets import ConnAck, Disconnect, Message, Packet, PingResp, PubAck, SubAck, Version
from hub.mqtt.properties import Properties, read_length, read_properties

DEFAULT_LIMIT_BYTES = 1024 * 1024 + 128 * 1024
"""One megabyte of payload, and room for topic and properties."""

CUT_BYTES = 512
"""How much of a payload above the limit is kept."""

# Holds any topic (65,537 bytes), the packet id, the length of the properties and some payload.
_HEAD_BYTES = 128 * 1024


class Decoder:
    """Feed it what the socket gave; every chunking of the same stream gives the same packets."""

    def __init__(self, version: Version, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._version = version
        self._limit = limit_bytes
        self._parts: list[bytes] = []
        self._held = 0
        self._wanted = 2
        self._cut: Message | None = None
        self._discard = 0

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that ``data`` completes. After a ProtocolError the decoder is of no further use."""
        packets: list[Packet] = []
        if self._discard:
            data = self._throw_away(data, packets)
        self._parts.append(data)
        self._held += len(data)
        # Joining at every chunk would make a large packet in small chunks cost its square.
        if self._held >= self._wanted:
            whole = data if len(self._parts) == 1 else b"".join(self._parts)
            rest = whole[self._parse(whole, packets) :]
            self._parts, self._held = ([rest], len(rest)) if rest else ([], 0)
        return packets

    def _parse(self, data: bytes, packets: list[Packet]) -> int:
        """Append the packets that are complete; returns how many bytes they took."""
        try:
            return self._frames(data, packets)
        except (IndexError, UnicodeDecodeError) as error:
            raise ProtocolError(f"malformed packet ({error})") from error

    def _frames(self, data: bytes, packets: list[Packet]) -> int:
        version, limit, size = self._version, self._limit, len(data)
        at = 0
        while True:
            if size - at < 2:
                self._wanted = 2
                return at
            first, length, start = data[at], data[at + 1], at + 2
            if length > 0x7F:
                if size - at < 5 and min(data[at + 1 :]) > 0x7F:
                    self._wanted = size - at + 1
                    return at
                length, start = read_length(data, at + 1)
            end = start + length
            if length > limit:
                end = self._oversized(data, first, start, length, packets)
                if not end:
                    self._wanted = start - at + min(length, _HEAD_BYTES)
                    return at
            elif end > size:
                _check_first(first, version)
                self._wanted = end - at
                return at
            elif first & 0xF0 == 0x30:
                packets.append(_message(data, first, start, end, version))
            else:
                packets.append(_control(data[start:end], first, version))
            at = end

    def _oversized(self, data: bytes, first: int, start: int, length: int, packets: list[Packet]) -> int:
        """Cut a PUBLISH above the limit; returns where to go on, or 0 while its head is incomplete."""
        if first & 0xF0 != 0x30:
            raise ProtocolError(f"a packet of type 0x{first:02X} with {length} bytes")
        head_end = start + min(length, _HEAD_BYTES)
        if len(data) < head_end:
            return 0
        self._cut = _cut_message(data, first, start, head_end, length, self._version)
        self._discard = start + length - head_end
        left = self._throw_away(data[head_end:], packets)
        return len(data) - len(left)

    def _throw_away(self, data: bytes, packets: list[Packet]) -> bytes:
        """Drop the rest of the cut message's body; returns what follows it."""
        taken = min(self._discard, len(data))
        self._discard -= taken
        if not self._discard and self._cut is not None:
            packets.append(self._cut)
            self._cut = None
        return data[taken:]


def _payload_at(data: bytes, first: int, start: int, version: Version) -> tuple[int, int, int | None]:
    """Where the topic ends, where the payload begins, and the packet id."""
    topic_end = start + 2 + (data[start] << 8 | data[start + 1])
    if topic_end == start + 2:
        raise ProtocolError("a message without a topic (topic aliases were not offered)")
    at, packet_id = topic_end, None
    if first & 0x06:
        packet_id = data[at] << 8 | data[at + 1]
        at += 2
        if first & 0x04:
            raise ProtocolError("a message with a QoS above the one subscribed to")
        if not packet_id:
            raise ProtocolError("a message with packet id 0")
    if version == 5:
        length, at = read_length(data, at)
        at += length
    return topic_end, at, packet_id


def _message(data: bytes, first: int, start: int, end: int, version: Version) -> Message:
    topic_end, payload_at, packet_id = _payload_at(data, first, start, version)
    if payload_at > end:
        raise ProtocolError("a message shorter than its header says")
    return Message(
        data[start + 2 : topic_end].decode(),
        data[payload_at:end],
        first >> 1 & 1,
        first & 0x01 == 1,
        first & 0x08 == 8,
        packet_id,
    )


def _cut_message(
    data: bytes, first: int, start: int, head_end: int, length: int, version: Version
) -> Message:
    topic_end, payload_at, packet_id = _payload_at(data, first, start, version)
    if topic_end > head_end or payload_at > start + length:
        raise ProtocolError("a message shorter than its header says")
    payload = data[payload_at : min(payload_at + CUT_BYTES, head_end)]
    # Where endless properties made it too large, the whole is the size to report.
    size = start + length - payload_at if payload_at <= head_end else length
    return Message(
        data[start + 2 : topic_end].decode(),
        payload,
        first >> 1 & 1,
        first & 0x01 == 1,
        first & 0x08 == 8,
        packet_id,
        size,
    )


def _connack(body: bytes, version: Version) -> ConnAck:
    # A 3.1.1 broker answers a version 5 CONNECT in its own format, without properties.
    properties = read_properties(body, 2)[0] if version == 5 and len(body) > 2 else {}
    return ConnAck(body[0] & 1 == 1, body[1], properties)


def _puback(body: bytes, version: Version) -> PubAck:
    code, properties = _reason(body, 2, version)
    return PubAck(_packet_id(body), code, properties)


def _suback(body: bytes, version: Version) -> SubAck:
    properties, at = read_properties(body, 2) if version == 5 else ({}, 2)
    if at == len(body):
        raise ProtocolError("a SUBACK without reason codes")
    return SubAck(_packet_id(body), body[at:], properties)


def _pingresp(body: bytes, _version: Version) -> PingResp:
    if body:
        raise ProtocolError("a PINGRESP with a body")
    return PingResp()


def _disconnect(body: bytes, version: Version) -> Disconnect:
    if version != 5:
        raise ProtocolError("a DISCONNECT from a 3.1.1 broker")
    return Disconnect(*_reason(body, 0, version))


def _reason(body: bytes, at: int, version: Version) -> tuple[int, Properties]:
    """Reason code and properties; either may be left out, which means success (2.2.2, 3.4.2.1)."""
    if version != 5:
        return 0, {}
    code = body[at] if len(body) > at else 0
    return code, read_properties(body, at + 1)[0] if len(body) > at + 1 else {}


def _packet_id(body: bytes) -> int:
    packet_id = body[0] << 8 | body[1]
    if not packet_id:
        raise ProtocolError("packet id 0")
    return packet_id


# By the whole first byte: for these packets the flags are fixed.
_READERS: dict[int, Callable[[bytes, Version], Packet]] = {
    0x20: _connack,
    0x40: _puback,
    0x90: _suback,
    0xD0: _pingresp,
    0xE0: _disconnect,
}


def _check_first(first: int, version: Version) -> None:
    """Refuse a stream that is not MQTT at its first byte, not after the megabyte that it announces."""
    if first & 0xF0 != 0x30 and (first not in _READERS or (first == 0xE0 and version != 5)):
        raise ProtocolError(f"unexpected packet type 0x{first:02X}")


def _control(body: bytes, first: int, version: Version) -> Packet:
    _check_first(first, version)
    return _READERS[first](body, version)
