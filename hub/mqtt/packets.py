"""The packets that a broker sends to a client, and the bytes of those that a client sends.

Numbers are section numbers of MQTT 5; 3.1.1 has the same layout without properties.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from hub.mqtt.properties import MAX_LENGTH, Properties, Property, write_length, write_properties

Version: TypeAlias = Literal[4, 5]
"""The protocol level of CONNECT: 4 is MQTT 3.1.1."""

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
MAX_ID = 0xFFFF


class Message(msgspec.Struct, frozen=True, gc=False):
    """One PUBLISH from the broker. (A msgspec struct: thirteen times cheaper to make than a dataclass.)

    ``packet_id`` is None at QoS 0. ``oversize`` is 0, or the true size in bytes of a payload above the
    limit, of which ``payload`` then holds only the beginning.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int | None
    oversize: int = 0


@dataclass(frozen=True, slots=True)
class ConnAck:
    session_present: bool
    code: int
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SubAck:
    packet_id: int
    codes: bytes
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PubAck:
    packet_id: int
    code: int = 0
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PingResp:
    pass


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The broker's goodbye; version 5 only."""

    code: int
    properties: Properties = field(default_factory=dict)


Packet: TypeAlias = Message | ConnAck | SubAck | PubAck | PingResp | Disconnect


def _text(value: str) -> bytes:
    return _field(value.encode())


def _field(raw: bytes) -> bytes:
    if len(raw) > 0xFFFF:
        raise ValueError("a text or password is longer than 65,535 bytes")
    return len(raw).to_bytes(2) + raw


def _framed(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) > MAX_LENGTH:
        raise ValueError("a packet is longer than 256 MB")
    return bytes((first,)) + write_length(len(body)) + body


def connect(
    version: Version,
    client_id: str,
    *,
    keepalive_s: int,
    clean_start: bool,
    session_expiry_s: int = 0,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """CONNECT (3.1). Version 5 asks for the largest Receive Maximum and for no topic aliases.

    Mosquitto 2.0.11 overruns a smaller Receive Maximum (upstream #2301); TCP holds the broker back.
    """
    flags = clean_start << 1 | (username is not None) << 7 | (password is not None) << 6
    properties = {
        Property.SESSION_EXPIRY_S: session_expiry_s,
        Property.RECEIVE_MAXIMUM: 0xFFFF,
        Property.TOPIC_ALIAS_MAXIMUM: 0,
    }
    return _framed(
        0x10,
        b"\x00\x04MQTT",
        bytes((version, flags)),
        keepalive_s.to_bytes(2),
        write_properties(properties) if version == 5 else b"",
        _text(client_id),
        b"" if username is None else _text(username),
        b"" if password is None else _text(password),
    )


def subscribe(version: Version, packet_id: int, filters: Sequence[str]) -> bytes:
    """SUBSCRIBE (3.8), every filter at QoS 1."""
    return _framed(
        0x82,
        packet_id.to_bytes(2),
        b"\x00" if version == 5 else b"",
        *(_text(topic_filter) + b"\x01" for topic_filter in filters),
    )


def publish(
    version: Version,
    topic: str,
    payload: bytes,
    *,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    packet_id: int | None = None,
    message_expiry_s: int | None = None,
) -> bytes:
    """PUBLISH (3.3). Version 3.1.1 has no message expiry and leaves it out."""
    expiry = {} if message_expiry_s is None else {Property.MESSAGE_EXPIRY_S: message_expiry_s}
    return _framed(
        0x30 | dup << 3 | qos << 1 | retain,
        _text(topic),
        b"" if packet_id is None else packet_id.to_bytes(2),
        write_properties(expiry) if version == 5 else b"",
        payload,
    )


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """PUBACK (3.4, success) of each id in the order given; the same four bytes in both versions."""
    words = [0x40020000 | packet_id for packet_id in packet_ids]
    return struct.pack(f">{len(words)}I", *words)
