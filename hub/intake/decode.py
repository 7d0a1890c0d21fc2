"""From MQTT messages to rows, or to refusals that say why. Pure: the registry comes in as a mapping."""

import hashlib
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

from edge import contract
from edge.contract import ContractError, Event, Leaf, TimeQuality
from hub.devices.registry import Device


class Incoming(Protocol):
    """What a message from the broker offers; ``hub.mqtt.Message`` fits."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def oversize(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A message, or a part of one, that is not taken in.

    ``cause`` is a metric's label; ``detail`` names the field. ``id`` is set where its sender must be told
    that resending is useless; without it the edge keeps the message and tries again later.
    """

    gateway: str
    cause: str
    detail: str
    sample: bytes
    id: str | None = None


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """One event as the database keeps it, beside the device that the registry gave for its source.

    ``id`` is a UUID in its canonical form. (A msgspec struct: there are tens of thousands a second.)
    """

    id: str
    device: Device
    event_id: str
    foreign_id: str | None
    gateway: str
    type: str
    happened_at: datetime
    time_quality: TimeQuality
    claimed_at: datetime | None
    received_at: datetime
    sequence: int | None
    boot_id: str | None
    digest: bytes
    data: str | None
    is_drill: bool


class Decoded(msgspec.Struct, frozen=True):
    """One message's content: who sent it, what is good and what is not."""

    gateway: str
    events: list[Event]
    pack: contract.Pack | None
    refused: list[Refused]


SAMPLE_BYTES = 512


def decode(message: Incoming, leaf: Leaf, now: datetime) -> Decoded:
    """Decode one message of a lane; never raises for bad input."""
    try:
        gateway, found = contract.parse_topic(message.topic)
    except ContractError as error:
        return Decoded("", [], None, [Refused("", "bad_topic", str(error), message.payload[:SAMPLE_BYTES])])
    if message.oversize:
        detail = f"payload: {message.oversize} bytes, more than the limit of {contract.MAX_PAYLOAD_BYTES}"
        return Decoded(
            gateway, [], None, [Refused(gateway, "too_large", detail, message.payload[:SAMPLE_BYTES])]
        )
    if found is not leaf:
        return Decoded(
            gateway, [], None, [_refused(gateway, ContractError("topic", f"not {leaf}"), message.payload)]
        )
    if leaf is Leaf.TELEMETRY:
        try:
            return Decoded(gateway, [], contract.decode_pack(message.payload, now.timestamp()), [])
        except ContractError as error:
            return Decoded(gateway, [], None, [_refused(gateway, error, message.payload)])
    events, errors = contract.decode_events(message.payload)
    return Decoded(gateway, events, None, [_refused(gateway, e, message.payload) for e in errors])


def _refused(gateway: str, error: ContractError, payload: bytes) -> Refused:
    cause = "too_large" if len(payload) > contract.MAX_PAYLOAD_BYTES else "malformed"
    return Refused(gateway, cause, str(error), payload[:SAMPLE_BYTES], error.id)


# An id that is no canonical UUID gets one under this prefix, beyond every UUIDv7 until the year 10889:
# such events share the default partition, where their key stays unique too.
_FOREIGN_PREFIX = b"\xff\xff"
_OWN_ID = re.compile(r"(?!ffff)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


def row_id(event: Event) -> tuple[str, str | None]:
    """The database's id of an event, and the original id where that is no canonical UUID."""
    if _OWN_ID.match(event.id):
        return event.id, None
    digest = hashlib.sha256(event.id.encode()).digest()
    return str(uuid.UUID(bytes=_FOREIGN_PREFIX + digest[:14])), event.id


def digest_of(event: Event) -> bytes:
    """Tells a repeat (same content) from two different events under one id."""
    content = event.type.encode() + bytes(event.data)
    if event.data_base64 is not None:
        content += event.data_base64.encode()
    return hashlib.blake2b(content, digest_size=12).digest()


def event_row(event: Event, device: Device, gateway: str, received_at: datetime) -> EventRow:
    """The row of one decoded event; ``received_at`` is the hub's clock."""
    id_, foreign_id = row_id(event)
    happened_at, quality = contract.happened_at(event, received_at)
    raw = bytes(event.data)
    data = raw.decode() if raw else None
    if data is None and event.data_base64 is not None:
        data = msgspec.json.encode({"data_base64": event.data_base64}).decode()
    # By position: names would cost as much as the rest of this function.
    return EventRow(
        id_,
        device,
        event.id,
        foreign_id,
        gateway,
        event.type,
        happened_at,
        quality,
        None if event.time is None else contract.in_utc(event.time),
        received_at,
        event.sequence_number,
        event.bootid,
        digest_of(event),
        data,
        b'"drill"' in raw and event.fields().get("drill") is True,
    )


def point_value(m: contract.Measurement) -> tuple[float | None, str | None]:
    """(number, text) of a measurement; a flag is 1 or 0, binary data stays base64 text."""
    if m.value is not None:
        return m.value, None
    if m.flag is not None:
        return float(m.flag), None
    if m.text is not None or m.data is not None:
        return None, m.text if m.text is not None else m.data
    return m.total, None


def group_ids(receipts: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """gateway → ids, in order, each once."""
    grouped: dict[str, dict[str, None]] = {}
    for gateway, id_ in receipts:
        grouped.setdefault(gateway, {})[id_] = None
    return {gateway: list(ids) for gateway, ids in grouped.items()}
