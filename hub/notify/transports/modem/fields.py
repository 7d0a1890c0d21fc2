"""The fields that PDUs are made of (3GPP TS 23.040, section 9.1 and 9.2.3): reading and writing. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from hub.notify.transports.modem import alphabet


class PduError(ValueError):
    """Octets that are no PDU, or values that fit into none. ``octet`` counts from 0; None when building."""

    def __init__(self, problem: str, octet: int | None = None) -> None:
        super().__init__(problem if octet is None else f"octet {octet}: {problem}")
        self.octet = octet


@dataclass(slots=True)
class Reader:
    """Takes octets off the front and knows where it stands."""

    octets: bytes
    at: int = 0

    def take(self, count: int, what: str) -> bytes:
        """Raises :class:`PduError` when fewer are left."""
        end = self.at + count
        if end > len(self.octets):
            raise PduError(f"{what} is cut short", len(self.octets))
        taken, self.at = self.octets[self.at : end], end
        return taken

    def one(self, what: str) -> int:
        return self.take(1, what)[0]


# ------------------------------------------------------------------------------------------ addresses

_DIGITS = "0123456789*#abc"
_FILLER = 0xF
_MAX_DIGITS = 20
_INTERNATIONAL, _UNKNOWN, _ALPHANUMERIC = 0x91, 0x81, 0xD0
_TYPE_BITS = 0x70


def write_address(number: str) -> bytes:
    """Length, type and value of an address field: ``+569..``, a short or national number, or letters."""
    digits = number.removeprefix("+")
    if digits and all(char in _DIGITS for char in digits):
        return _number_address(digits, is_international=number.startswith("+"))
    return _name_address(number)


def write_recipient(number: str) -> bytes:
    """As :func:`write_address`, for a number that a text goes to. Raises :class:`PduError` for letters."""
    digits = number.removeprefix("+")
    if not digits or any(char not in _DIGITS for char in digits):
        raise PduError("the recipient is not a number")
    return write_address(number)


def _number_address(digits: str, *, is_international: bool) -> bytes:
    if len(digits) > _MAX_DIGITS:
        raise PduError(f"a number of {len(digits)} digits; at most {_MAX_DIGITS}")
    kind = _INTERNATIONAL if is_international else _UNKNOWN
    return bytes([len(digits), kind]) + semi_octets(digits)


def _name_address(name: str) -> bytes:
    if not alphabet.is_gsm(name) or alphabet.septet_count(name) > 11:
        raise PduError("a sender's name has at most 11 characters of the GSM alphabet")
    septets = alphabet.encode(name)
    return bytes([math.ceil(len(septets) * 7 / 4), _ALPHANUMERIC]) + alphabet.pack(septets)


def write_centre(number: str) -> bytes:
    """The service centre in front of the PDU; ``""`` leaves it to the SIM."""
    if not number:
        return b"\0"
    address = write_address(number)
    return bytes([len(address) - 1]) + address[1:]


def semi_octets(digits: str) -> bytes:
    """Two digits to an octet, the first in the low half, filled up with F."""
    values = [_DIGITS.index(digit) for digit in digits] + [_FILLER] * (len(digits) % 2)
    return bytes([low | high << 4 for low, high in zip(values[::2], values[1::2], strict=True)])


def read_address(reader: Reader, what: str) -> str:
    """``+`` in front of an international number; national and unknown ones as they are; or a name."""
    length = reader.one(f"the length of the {what}")
    kind = reader.one(f"the type of the {what}")
    value = reader.take((length + 1) // 2, f"the {what}")
    if kind & _TYPE_BITS == _ALPHANUMERIC & _TYPE_BITS:
        return _name(value, length * 4 // 7)
    return _prefix(kind) + _digits(value)[:length]


def _name(value: bytes, count: int) -> str:
    """Centres that count in whole octets add an eighth septet of zeros to a name of seven; it is no @."""
    septets = alphabet.unpack(value, count)
    if count % 8 == 0 and septets.endswith(b"\0"):
        septets = septets[:-1]
    return alphabet.decode(septets)


def _prefix(kind: int) -> str:
    return "+" if kind & _TYPE_BITS == _INTERNATIONAL & _TYPE_BITS else ""


def _digits(value: bytes) -> str:
    nibbles = [nibble for octet in value for nibble in (octet & 0xF, octet >> 4)]
    return "".join([_DIGITS[nibble] for nibble in nibbles if nibble != _FILLER])


def read_centre(reader: Reader) -> str:
    """The service centre's number; ``""`` when the PDU leaves it open."""
    length = reader.one("the length of the service centre")
    if length == 0:
        return ""
    value = reader.take(length, "the service centre")
    return _prefix(value[0]) + _digits(value[1:])


# ------------------------------------------------------------------------------------------------ times


def write_timestamp(at: datetime) -> bytes:
    """Seven octets in the zone of ``at``, which is aware."""
    offset = at.utcoffset() or timedelta()
    quarters = abs(offset) // timedelta(minutes=15)
    zone = _swapped(quarters) | (0x08 if offset < timedelta() else 0)
    parts = (at.year % 100, at.month, at.day, at.hour, at.minute, at.second)
    return bytes([*map(_swapped, parts), zone])


def read_timestamp(reader: Reader, what: str) -> datetime | None:
    """An aware instant; None when the centre gave an impossible one (all zeros are seen in practice)."""
    octets = reader.take(7, what)
    year, month, day, hour, minute, second = map(_unswapped, octets[:6])
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=_zone(octets[6]))
    except ValueError:
        return None


def _zone(octet: int) -> timezone:
    minutes = 15 * _unswapped(octet & ~0x08)
    return timezone(timedelta(minutes=-minutes if octet & 0x08 else minutes)) if minutes else UTC


def _swapped(value: int) -> int:
    return value % 10 << 4 | value // 10


def _unswapped(octet: int) -> int:
    """Over 99 for what is no pair of digits, so that no date comes of it."""
    tens, units = octet & 0xF, octet >> 4
    return tens * 10 + units if tens < 10 and units < 10 else 1000


# --------------------------------------------------------------------------------------- validity

_MINUTE_S, _HOUR_S, _DAY_S, _WEEK_S = 60, 3600, 86_400, 604_800


def write_validity(validity_s: float) -> int:
    """The relative form (9.2.3.12.1), rounded up: a text never expires before it was asked to."""
    if validity_s <= 12 * _HOUR_S:
        return max(math.ceil(validity_s / (5 * _MINUTE_S)) - 1, 0)
    if validity_s <= _DAY_S:
        return 143 + math.ceil((validity_s - 12 * _HOUR_S) / (30 * _MINUTE_S))
    if validity_s <= 30 * _DAY_S:
        return 166 + max(math.ceil(validity_s / _DAY_S), 2)
    return min(192 + max(math.ceil(validity_s / _WEEK_S), 5), 255)


def read_validity(octet: int) -> float:
    """Seconds."""
    if octet <= 143:
        return (octet + 1) * 5 * _MINUTE_S
    if octet <= 167:
        return 12 * _HOUR_S + (octet - 143) * 30 * _MINUTE_S
    if octet <= 196:
        return (octet - 166) * _DAY_S
    return (octet - 192) * _WEEK_S


# ----------------------------------------------------------------------------------- user data header


@dataclass(frozen=True, slots=True)
class Concat:
    """Which part of which message: ``number`` from 1 to ``total``; ``reference`` is the sender's own."""

    reference: int
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Header:
    """What is read of a user data header; ``size`` is its octets, the length octet included."""

    size: int = 0
    concat: Concat | None = None
    shift: Mapping[int, str] | None = None
    elements: Mapping[int, bytes] = field(default_factory=dict)


_CONCAT_8, _CONCAT_16, _SINGLE_SHIFT = 0x00, 0x08, 0x24
_SPANISH = 2


def write_header(concat: Concat) -> bytes:
    """With its length octet; a reference above 255 takes the form of 16 bits."""
    parts = bytes([concat.total, concat.number])
    if concat.reference > 0xFF:
        return bytes([6, _CONCAT_16, 4]) + concat.reference.to_bytes(2) + parts
    return bytes([5, _CONCAT_8, 3, concat.reference]) + parts


def read_header(data: bytes, octet: int) -> Header:
    """``data`` is the user data, which starts at ``octet`` of the PDU. Unknown elements are passed over."""
    if not data or data[0] + 1 > len(data):
        raise PduError("the header is longer than the user data", octet)
    elements = _elements(data[1 : data[0] + 1], octet + 1)
    is_spanish = elements.get(_SINGLE_SHIFT) == bytes([_SPANISH])
    return Header(
        size=data[0] + 1,
        concat=_concat(elements),
        shift=alphabet.SPANISH_SHIFT if is_spanish else None,
        elements=elements,
    )


def _elements(data: bytes, octet: int) -> dict[int, bytes]:
    """By identifier; of a repeated one the last counts (9.2.3.24)."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        end = at + 2 + (data[at + 1] if at + 1 < len(data) else 0)
        if at + 1 >= len(data) or end > len(data):
            raise PduError("an element of the header is cut short", octet + at)
        found[data[at]] = data[at + 2 : end]
        at = end
    return found


def _concat(elements: Mapping[int, bytes]) -> Concat | None:
    """None for one that cannot be, which is to be ignored (9.2.3.24.1)."""
    narrow, wide = elements.get(_CONCAT_8, b""), elements.get(_CONCAT_16, b"")
    if len(wide) == 4:
        concat = Concat(int.from_bytes(wide[:2]), wide[3], wide[2])
    elif len(narrow) == 3:
        concat = Concat(narrow[0], narrow[2], narrow[1])
    else:
        return None
    return concat if 1 <= concat.number <= concat.total else None
