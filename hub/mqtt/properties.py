"""MQTT 5 properties (section 2.2.2): one table of kinds, one reader, one writer."""

import enum
from collections.abc import Callable, Mapping
from typing import TypeAlias

from hub.mqtt.errors import ProtocolError

Value: TypeAlias = int | str | bytes
Properties: TypeAlias = dict[int, Value]

MAX_LENGTH = 268_435_455
"""The largest number that a variable byte integer holds."""


class Property(enum.IntEnum):
    """The ones that the hub sends or acts upon."""

    MESSAGE_EXPIRY_S = 0x02
    SESSION_EXPIRY_S = 0x11
    SERVER_KEEP_ALIVE_S = 0x13
    REASON = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    MAXIMUM_PACKET_BYTES = 0x27


def _u8(data: bytes, at: int) -> tuple[Value, int]:
    return data[at], at + 1


def _u16(data: bytes, at: int) -> tuple[Value, int]:
    return int.from_bytes(data[at : at + 2]), at + 2


def _u32(data: bytes, at: int) -> tuple[Value, int]:
    return int.from_bytes(data[at : at + 4]), at + 4


def _binary(data: bytes, at: int) -> tuple[Value, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2])
    return data[at + 2 : end], end


def _text(data: bytes, at: int) -> tuple[Value, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2])
    return data[at + 2 : end].decode(), end


def _pair(data: bytes, at: int) -> tuple[Value, int]:
    _name, at = _text(data, at)
    return _text(data, at)


def _number(data: bytes, at: int) -> tuple[Value, int]:
    return read_length(data, at)


_READERS: Mapping[int, Callable[[bytes, int], tuple[Value, int]]] = (
    dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), _u8)
    | dict.fromkeys((0x13, 0x21, 0x22, 0x23), _u16)
    | dict.fromkeys((0x02, 0x11, 0x18, 0x27), _u32)
    | dict.fromkeys((0x09, 0x16), _binary)
    | dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), _text)
    | {0x0B: _number, 0x26: _pair}
)
_WIDTHS = {
    Property.MESSAGE_EXPIRY_S: 4,
    Property.SESSION_EXPIRY_S: 4,
    Property.RECEIVE_MAXIMUM: 2,
    Property.TOPIC_ALIAS_MAXIMUM: 2,
}


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends. Raises ProtocolError, IndexError when bytes are missing."""
    value = 0
    for shift in (0, 7, 14, 21):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ProtocolError("a length of more than four bytes")


def write_length(value: int) -> bytes:
    """``value`` (0 to :data:`MAX_LENGTH`) as a variable byte integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_properties(data: bytes, at: int) -> tuple[Properties, int]:
    """The properties that start with their length at ``at``, and where they end.

    Of a repeated property the last stays. Raises ProtocolError, IndexError or UnicodeDecodeError.
    """
    length, at = read_length(data, at)
    end = at + length
    if end > len(data):
        raise ProtocolError("properties longer than their packet")
    found: Properties = {}
    while at < end:
        kind = data[at]
        reader = _READERS.get(kind)
        if reader is None:
            raise ProtocolError(f"unknown property 0x{kind:02X}")
        found[kind], at = reader(data, at + 1)
    if at != end:
        raise ProtocolError("a property longer than its packet")
    return found, end


def write_properties(values: dict[Property, int]) -> bytes:
    """Length and ``values`` in the order given; only the numeric ones that the hub sends."""
    body = b"".join(bytes((kind,)) + value.to_bytes(_WIDTHS[kind]) for kind, value in values.items())
    return write_length(len(body)) + body
