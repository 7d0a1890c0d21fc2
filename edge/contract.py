"""Wire contract, version 1: topics, messages and codec between the edge and the hub.

This file is the only one that knows how the two ends talk. The edge produces the words, so it owns
them; the hub imports this module and nothing else of ``edge``. Both ends are never updated together:
unknown fields are ignored, unknown event types are kept, and one sample of every released message stays
in ``tests/vectors/`` for ever.

Sources: CloudEvents 1.0.2 (JSON event format, JSON batch format, ``sequence`` extension), RFC 8428
(SenML), RFC 9039 (``urn:dev``), RFC 9562 (UUIDv7), MQTT 3.1.1 and 5.
"""

import enum
import functools
import math
import os
import re
import time as _time
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar, cast

import msgspec

VERSION = 1
PREFIX = f"almenara/{VERSION}"
MAX_PAYLOAD_BYTES = 256 * 1024
"""Larger messages are refused before they are decoded: the largest honest pack is a tenth of this."""

_GATEWAY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}\Z")
# RFC 8428 section 4.5.1: names are letters, digits and - : . / _ and start with a letter or a digit.
# The length is ours: a source, a colon and a quantity, so that every name fits a database's index.
_SENML_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]{0,399}\Z")
_UNIT_LENGTH = 64
# RFC 8428 section 4.5.3: times below 2**28 seconds are relative to now.
_RELATIVE_BELOW_S = 2.0**28
# The last second that a date can name; what lies beyond it is no time.
_LAST_SECOND = 253_402_300_799.0
# CloudEvents integers are signed 32-bit; ``age`` beyond it (24.8 days) travels as a decimal string.
_INT32_MAX = 2**31 - 1
# RFC 5612 reserves this enterprise number for documentation; a municipality may register its own.
_PEN = 32473


class ContractError(ValueError):
    """A message breaks the contract. ``field`` is the path of the offending field, ``problem`` says why.

    ``id`` is the message's own id where it could be read, so that its sender can be told.
    """

    def __init__(self, field: str, problem: str, id: str | None = None) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.id = id


# ------------------------------------------------------------------------------------------ topics


class Leaf(enum.StrEnum):
    """Last part of a topic. Up: ALARM to RESULT and REPORTED. Down: RECEIPT, COMMAND, DESIRED."""

    ALARM = "alarm"
    EVENT = "event"
    TELEMETRY = "telemetry"
    STATUS = "status"
    RESULT = "result"
    REPORTED = "reported"
    RECEIPT = "receipt"
    COMMAND = "command"
    DESIRED = "desired"


UP = (Leaf.ALARM, Leaf.EVENT, Leaf.TELEMETRY, Leaf.STATUS, Leaf.RESULT, Leaf.REPORTED)
DOWN = (Leaf.RECEIPT, Leaf.COMMAND, Leaf.DESIRED)
RETAINED = (Leaf.STATUS, Leaf.DESIRED, Leaf.REPORTED)
_LEAVES = {leaf.value: leaf for leaf in Leaf}


def check_gateway(gateway: str) -> str:
    """Return the name; raise :class:`ContractError` unless it is 1-63 of ``a-z 0-9 -``."""
    if not _GATEWAY.match(gateway):
        raise ContractError(
            "gateway", f"{gateway[:80]!r} is not 1 to 63 of a-z, 0-9 and -, starting with a-z or 0-9"
        )
    return gateway


def topic(gateway: str, leaf: Leaf) -> str:
    """``almenara/1/<gateway>/<leaf>``."""
    return f"{PREFIX}/{check_gateway(gateway)}/{leaf.value}"


def subscription(leaf: Leaf) -> str:
    """Topic filter of one leaf over all gateways."""
    return f"{PREFIX}/+/{leaf.value}"


@functools.lru_cache(4096)  # a fleet says a few thousand topics over and over
def parse_topic(text: str) -> tuple[str, Leaf]:
    """Inverse of :func:`topic`; raises :class:`ContractError`."""
    parts = text.split("/")
    if len(parts) != 4 or parts[0] != "almenara" or parts[1] != str(VERSION):
        raise ContractError("topic", f"{text[:120]!r} is not {PREFIX}/<gateway>/<leaf>")
    leaf = _LEAVES.get(parts[3])
    if leaf is None:
        raise ContractError("topic", f"{parts[3][:40]!r} is not one of {', '.join(_LEAVES)}")
    return check_gateway(parts[2]), leaf


# --------------------------------------------------------------------------------------------- ids


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(at: datetime | None = None) -> uuid.UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random. ``at`` defaults to the wall clock."""
    ms = _time.time_ns() // 1_000_000 if at is None else (at - _EPOCH) // timedelta(milliseconds=1)
    value = (ms & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10))
    return uuid.UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | (0x7 << 76) | (0x2 << 62))


def device_urn(name: str) -> str:
    """``urn:dev:org:32473-<name>`` (RFC 9039): the source of a device known by a short name.

    A text that already is a URI (holds a colon) is returned as it is: a device may bring its own.
    """
    return name if ":" in name else f"urn:dev:org:{_PEN}-{name}"


# ------------------------------------------------------------------------------------------ events


class Clock(enum.StrEnum):
    """Whether the sender's wall clock was synchronised when the thing happened."""

    SYNCED = "synced"
    UNSYNCED = "unsynced"


# One object: fields are left out when they are identical to their default, and an empty Raw is no JSON.
_NO_DATA = msgspec.Raw()


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One CloudEvent 1.0 in structured JSON mode. (``source``, ``id``) is the key for duplicates.

    ``time`` is what the device's wall clock said, aware UTC; ``age`` is how long ago it happened, in
    milliseconds by the monotonic clock, at the moment of sending. ``sequence`` counts up per device and
    survives restarts. ``data`` is any JSON, kept as the bytes that came.
    """

    id: str
    source: str
    type: str
    specversion: str
    time: datetime | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    sequence: int | str | None = None
    bootid: str | None = None
    clock: Clock | None = None
    age: int | str | None = None
    data: msgspec.Raw = _NO_DATA
    data_base64: str | None = None

    @property
    def sequence_number(self) -> int | None:
        """``sequence`` as an integer (it travels as text, as the extension asks)."""
        return None if self.sequence is None else int(self.sequence)

    @property
    def age_ms(self) -> int | None:
        return None if self.age is None else int(self.age)

    def fields(self) -> dict[str, Any]:
        """``data`` as a dictionary; empty when there is none or when it is not a readable JSON object."""
        if not bytes(self.data):
            return {}
        try:
            value = msgspec.json.decode(self.data)
        except _UNREADABLE:  # a number beyond all numbers passes as raw JSON
            return {}
        return value if isinstance(value, dict) else {}


def new_event(
    *,
    source: str,
    type: str,
    time: datetime,
    data: Any = None,
    id: str | None = None,
    sequence: int | None = None,
    bootid: str | None = None,
    clock: Clock = Clock.SYNCED,
) -> Event:
    """An event ready for the outbox; ``age`` is added when it is sent (:func:`with_age`)."""
    return Event(
        id=id or str(uuid7(time)),
        source=source,
        type=type,
        specversion="1.0",
        time=time,
        # The extension wants text that sorts as the numbers do.
        sequence=None if sequence is None else f"{sequence:012d}",
        bootid=bootid,
        clock=clock,
        datacontenttype=None if data is None else "application/json",
        data=_NO_DATA if data is None else msgspec.Raw(msgspec.json.encode(data)),
    )


def with_age(payload: bytes, age_ms: int) -> bytes:
    """An encoded event or pack of ours, stating how long ago it happened; added at each sending."""
    age = max(0, age_ms)
    text = str(age) if age <= _INT32_MAX else f'"{age}"'
    opening, rest = (payload[:2], payload[2:]) if payload[:1] == b"[" else (payload[:1], payload[1:])
    return b'%b"age":%b,%b' % (opening, text.encode(), rest)


_event_decoder = msgspec.json.Decoder(Event)
_events_decoder = msgspec.json.Decoder(list[Event])
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()
# Nesting without end is bad input like any other.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_AT = re.compile(r" - at `(?P<path>[^`]*)`\Z")
_KEYED = re.compile(r"(missing required field|unknown enum|contains unknown field) `(?P<name>[^`]*)`")


def _contract_error(error: Exception, payload: bytes | msgspec.Raw) -> ContractError:
    """Say which field a decoder's message is about."""
    text = str(error)
    match, keyed = _AT.search(text), _KEYED.search(text)
    path = match["path"].removeprefix("$").removeprefix(".") if match else ""
    if keyed and "missing" in keyed[1]:
        path = f"{path}.{keyed['name']}".lstrip(".")
    problem = text[: match.start()] if match else text
    return ContractError(path or "payload", problem, _id_of(payload))


def _id_of(payload: bytes | msgspec.Raw) -> str | None:
    try:
        value = msgspec.json.decode(payload)
    except _UNREADABLE:
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ContractError("payload", f"{len(payload)} bytes, more than the limit of {MAX_PAYLOAD_BYTES}")


def _count(field: str, value: int | str | None, id: str | None) -> int | None:
    """A count of at most 63 bits, which may travel as text with leading zeros."""
    if isinstance(value, str) and len(value) <= 40 and value.isascii() and value.isdigit():
        value = int(value)
    if value is None or (isinstance(value, int) and 0 <= value < 2**63):
        return value
    raise ContractError(field, f"{str(value)[:40]!r} is not a count", id)


def _time_problem(time: datetime) -> str | None:
    if time.tzinfo is UTC:
        return None
    if time.tzinfo is None:
        return "has no time zone (RFC 3339 needs one)"
    try:
        time.astimezone(UTC)
    except OverflowError:
        return "lies outside the years 1 to 9999 in UTC"
    return None


def _data_problem(data: bytes) -> str | None:
    """Raw JSON is only skimmed by the decoder."""
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return None


def _check(event: Event) -> Event:
    """What the types alone do not say; every error names the field."""
    if event.specversion != "1.0":
        raise ContractError("specversion", f"{event.specversion[:20]!r} is not '1.0'", event.id)
    if not 0 < len(event.id) <= 128 or "\x00" in event.id:
        raise ContractError("id", "must have 1 to 128 characters", event.id[:128])
    if not 0 < len(event.source) <= 255 or "\x00" in event.source:
        raise ContractError("source", "must have 1 to 255 characters", event.id)
    if not _TYPE.match(event.type):
        raise ContractError("type", f"{event.type[:40]!r} is not a name like 'panic.pressed'", event.id)
    if event.time is not None and (problem := _time_problem(event.time)):
        raise ContractError("time", problem, event.id)
    if event.bootid is not None and (len(event.bootid) > 64 or "\x00" in event.bootid):
        raise ContractError("bootid", "must have at most 64 characters", event.id)
    if problem := _data_problem(bytes(event.data)):
        raise ContractError("data", problem, event.id)
    if event.sequence is not None:
        _count("sequence", event.sequence, event.id)
    if event.age is not None:
        _count("age", event.age, event.id)
    return event


def decode_event(payload: bytes | msgspec.Raw) -> Event:
    """One structured CloudEvent; raises :class:`ContractError` naming the field."""
    _check_size(bytes(payload))
    try:
        return _check(_event_decoder.decode(payload))
    except ContractError:
        raise
    except _UNREADABLE as error:
        raise _contract_error(error, payload) from error


def decode_events(payload: bytes) -> tuple[list[Event], list[ContractError]]:
    """One CloudEvent or a JSON batch of them: the good ones, and one error for each bad one.

    A payload that is neither gives one error and no event. One bad event never stops the others.
    """
    try:
        _check_size(payload)
        if payload[:1] == b"{" or payload.lstrip()[:1] != b"[":
            return [decode_event(payload)], []
        try:
            return [_check(event) for event in _events_decoder.decode(payload)], []
        except (*_UNREADABLE, ContractError):
            parts = _raw_list_decoder.decode(payload)
    except ContractError as error:
        return [], [error]
    except _UNREADABLE as error:
        return [], [_contract_error(error, payload)]
    events: list[Event] = []
    errors: list[ContractError] = []
    for index, part in enumerate(parts):
        try:
            events.append(decode_event(part))
        except ContractError as error:
            errors.append(ContractError(f"[{index}].{error.field}", error.problem, error.id))
    return events, errors


def encode_event(event: Event) -> bytes:
    return _encoder.encode(event)


def encode_events(events: Sequence[Event]) -> bytes:
    """JSON batch format."""
    return _encoder.encode(list(events))


# --------------------------------------------------------------------------------------- telemetry


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One SenML record as it travels (RFC 8428 section 4). Unknown labels are ignored.

    Three labels are ours and only in the first record: ``id`` names the pack in receipts, ``clock`` and
    ``bootid`` say how far its times can be trusted.
    """

    bn: str | None = None
    bt: float | None = None
    bu: str | None = None
    bv: float | None = None
    bs: float | None = None
    bver: int | None = None
    n: str | None = None
    u: str | None = None
    v: float | None = None
    vs: str | None = None
    vb: bool | None = None
    vd: str | None = None
    s: float | None = None
    t: float | None = None
    ut: float | None = None
    id: str | None = None
    clock: Clock | None = None
    bootid: str | None = None
    age: int | str | None = None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One resolved SenML record (RFC 8428 section 4.6): absolute name, unit, value and Unix time in seconds.

    ``name`` is the device's source, a colon and the quantity's name. Exactly one of value, text, flag,
    data, or at least ``total``, is set.
    """

    name: str
    time: float
    unit: str | None = None
    value: float | None = None
    text: str | None = None
    flag: bool | None = None
    data: str | None = None
    total: float | None = None
    update_s: float | None = None

    @property
    def source(self) -> str:
        """The device's part of the name."""
        return self.name.rpartition(":")[0]

    @property
    def quantity(self) -> str:
        return self.name.rpartition(":")[2]


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded SenML pack."""

    measurements: list[Measurement]
    id: str | None = None
    clock: Clock | None = None
    bootid: str | None = None
    age_ms: int | None = None


_records_decoder = msgspec.json.Decoder(list[Record])
_SENML_VERSION = 10


def resolve(records: Iterable[Record], now: float) -> list[Measurement]:
    """Apply base values to each record, in order (RFC 8428 sections 4.1 to 4.6); ``now`` is Unix seconds.

    Raises :class:`ContractError` when a name is missing or malformed, a version is unknown or a record
    carries no value or several.
    """
    name, at, unit = "", 0.0, None
    base_value = base_sum = None
    resolved: list[Measurement] = []
    for index, r in enumerate(records):
        name = r.bn if r.bn is not None else name
        at = r.bt if r.bt is not None else at
        unit = r.bu if r.bu is not None else unit
        base_value = r.bv if r.bv is not None else base_value
        base_sum = r.bs if r.bs is not None else base_sum
        if r.bver is not None and r.bver > _SENML_VERSION:
            raise ContractError(f"[{index}].bver", f"version {r.bver} is newer than {_SENML_VERSION}")
        value = (
            r.v if base_value is None or (r.v is None and _has_other_value(r)) else (r.v or 0.0) + base_value
        )
        total = r.s if base_sum is None else (r.s or 0.0) + base_sum
        if base_value is not None or base_sum is not None:
            _check_finite(index, value, total)
        count = (value is not None) + (r.vs is not None) + (r.vb is not None) + (r.vd is not None)
        if count > 1:
            raise ContractError(f"[{index}]", "has more than one of v, vs, vb and vd")
        if count == 0 and total is None:
            if r.n is not None or (r.bn is None and r.bt is None and r.bu is None):
                raise ContractError(f"[{index}]", "has none of v, vs, vb, vd and s")
            continue  # a record of base values alone only prepares those that follow
        if r.vs is not None and "\x00" in r.vs:
            raise ContractError(
                f"[{index}].vs", "holds the character U+0000, which no database text can keep"
            )
        full = name + (r.n or "")
        if not _SENML_NAME.match(full):
            raise ContractError(f"[{index}].n", f"{full[:80]!r} is not a SenML name")
        moment = at + (r.t or 0.0)
        its_unit = r.u if r.u is not None else unit
        if its_unit is not None and len(its_unit) > _UNIT_LENGTH:
            raise ContractError(f"[{index}].u", f"has more than {_UNIT_LENGTH} characters")
        time = moment if moment >= _RELATIVE_BELOW_S else now + moment
        if not 0.0 <= time <= _LAST_SECOND:
            raise ContractError(f"[{index}].t", f"{time!r} is no time of the years 1970 to 9999")
        resolved.append(
            Measurement(
                name=full,
                time=time,
                unit=its_unit,
                value=value,
                text=r.vs,
                flag=r.vb,
                data=r.vd,
                total=total,
                update_s=r.ut,
            )
        )
    return resolved


def _check_finite(index: int, value: float | None, total: float | None) -> None:
    """Each number is finite as it travels; what base values make of it need not be."""
    if not (math.isfinite(value or 0.0) and math.isfinite(total or 0.0)):
        raise ContractError(f"[{index}].v", "is beyond all numbers")


def _has_other_value(r: Record) -> bool:
    return r.vs is not None or r.vb is not None or r.vd is not None or r.s is not None


_labels_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TEXTS = ("bu", "u", "vd", "id", "bootid")


def _check_labels(payload: bytes, records: Sequence[Record]) -> None:
    """What is rare enough to be looked for in the bytes first."""
    if b"\\u0000" in payload:
        for index, r in enumerate(records):
            for label in _TEXTS:
                if "\x00" in (getattr(r, label) or ""):
                    raise ContractError(f"[{index}].{label}", "holds the character U+0000")
    if b'_"' in payload:
        # RFC 8428 section 4.4: who does not understand such a label must not use the pack.
        for index, raw in enumerate(_labels_decoder.decode(payload)):
            if unknown := next((label for label in raw if label.endswith("_")), None):
                raise ContractError(f"[{index}].{unknown[:40]}", "must be understood and is not")


def decode_pack(payload: bytes, now: float) -> Pack:
    """A SenML JSON pack; raises :class:`ContractError` naming the record and field."""
    _check_size(payload)
    try:
        records = _records_decoder.decode(payload)
    except _UNREADABLE as error:
        raise _contract_error(error, payload) from error
    if not records:
        raise ContractError("payload", "the pack holds no record")
    first = records[0]
    try:
        _check_labels(payload, records)
        measurements = resolve(records, now)
        age = _count("[0].age", first.age, first.id)
    except ContractError as error:
        raise ContractError(error.field, error.problem, first.id) from None
    except _UNREADABLE as error:
        raise _contract_error(error, payload) from error
    return Pack(measurements=measurements, id=first.id, clock=first.clock, bootid=first.bootid, age_ms=age)


def encode_pack(
    measurements: Sequence[Measurement],
    *,
    id: str | None = None,
    clock: Clock | None = None,
    bootid: str | None = None,
) -> bytes:
    """The shortest pack that resolves to the same measurements: shared name, time and unit become bases.

    Raises :class:`ContractError` for what would not arrive as it is: no measurement at all, a value that is
    no finite number, times that cannot be written exactly.
    """
    if not measurements:
        raise ContractError("payload", "the pack holds no record")
    if any(not math.isfinite(number) for m in measurements for number in (m.value or 0.0, m.total or 0.0)):
        raise ContractError("v", "is not a finite number, which JSON cannot carry")
    sources = {m.source for m in measurements}
    base_name = f"{sources.pop()}:" if len(sources) == 1 and "" not in sources else ""
    base_time = measurements[0].time
    # A base unit would also be given to those that have none.
    base_unit = None if any(m.unit is None for m in measurements) else measurements[0].unit
    records = [
        Record(
            bn=base_name or None if index == 0 else None,
            bt=base_time if index == 0 else None,
            bu=base_unit if index == 0 else None,
            n=m.name[len(base_name) :] or None,
            t=None if m.time == base_time else _exact_offset(base_time, m.time),
            u=None if m.unit == base_unit else m.unit,
            v=m.value,
            vs=m.text,
            vb=m.flag,
            vd=m.data,
            s=m.total,
            ut=m.update_s,
            id=id if index == 0 else None,
            clock=clock if index == 0 else None,
            bootid=bootid if index == 0 else None,
        )
        for index, m in enumerate(measurements)
    ]
    return _encoder.encode(records)


def _exact_offset(base: float, moment: float) -> float:
    """The offset that gives back the very same time: it is part of a measurement's key."""
    offset = moment - base
    if base + offset != moment:
        raise ContractError(
            "t", f"{moment!r} cannot be written as an offset from {base!r}; round times to 1 ms"
        )
    return offset


UNITS = frozenset(
    "m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 l m/s m/s2"
    " m3/s l/s W/m2 cd/m2 bit bit/s lat lon pH dB dBW Bspl count / %RH %EL EL 1/s 1/min beat/min beats S/m B "
    " VA VAs var vars J/m kg/m3 deg NTU".split()
)
"""Units of the SenML registry (RFC 8428 section 12.1, RFC 8798): what the edge may write."""


# ----------------------------------------------------------------------- status, receipts, commands


class State(enum.StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"


# What a database keeps as text and bigint; checked as it comes in.
_Text = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]*\Z")]
_Id = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]{1,128}\Z")]
_BootId = Annotated[str, msgspec.Meta(pattern=r"\A[^\x00]{0,64}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Birth (``online``) and death (``offline``, the last will) of a gateway; retained.

    ``epoch`` counts connections for ever: a will that arrives after a newer birth carries an older epoch
    and is ignored.
    """

    state: State
    bootid: _BootId
    epoch: _Number
    version: _Text = ""
    clock: Clock = Clock.UNSYNCED
    time: _Instant | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A message that will never be accepted as it is; the sender sets it aside instead of resending."""

    id: str
    reason: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ids of events and packs that the hub has committed to its database, or refused for good."""

    ids: list[str] = []
    refused: list[Refusal] = []


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hub to gateway, imperative; answered by a :class:`CommandResult`. Not carried out after ``expires``."""

    id: _Id
    name: _Text
    expires: _Instant
    arguments: dict[str, Any] = {}


class ResultState(enum.StrEnum):
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"


class CommandResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a command; ``id`` is the command's."""

    id: _Id
    state: ResultState
    detail: _Text = ""


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a gateway's twin (``desired`` or ``reported``); the higher version wins."""

    version: _Number
    properties: dict[str, Any] = {}


type_of_leaf: dict[Leaf, type[msgspec.Struct]] = {
    Leaf.STATUS: Status,
    Leaf.RECEIPT: Receipt,
    Leaf.COMMAND: Command,
    Leaf.RESULT: CommandResult,
    Leaf.DESIRED: Twin,
    Leaf.REPORTED: Twin,
}
_decoders = {kind: msgspec.json.Decoder(kind) for kind in set(type_of_leaf.values())}


def encode(message: Status | Receipt | Command | CommandResult | Twin) -> bytes:
    return _encoder.encode(message)


_T = TypeVar("_T", bound=msgspec.Struct)


def decode(kind: type[_T], payload: bytes) -> _T:
    """A :class:`Status`, :class:`Receipt`, :class:`Command`, :class:`CommandResult` or :class:`Twin`.

    Raises :class:`ContractError` naming the field.
    """
    _check_size(payload)
    try:
        return cast("_T", _decoders[kind].decode(payload))
    except _UNREADABLE as error:
        raise _contract_error(error, payload) from error


# -------------------------------------------------------------------------------------------- time


class TimeQuality(enum.StrEnum):
    """Where an event's ``happened_at`` comes from."""

    DEVICE = "device"
    """The device's own clock, synchronised."""
    AGE = "age"
    """Receipt time less the age that the device's monotonic clock measured."""
    RECEIPT = "receipt"
    """Nothing better than the moment of receipt."""


FUTURE_TOLERANCE = timedelta(seconds=5)
"""A claimed time may be this far ahead before it is distrusted: more than NTP's error, less than a story."""
PLAUSIBLE_FROM = datetime(2024, 1, 1, tzinfo=UTC)


def in_utc(time: datetime) -> datetime:
    """The same instant in UTC; most times come in it."""
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def happened_at(event: Event, received_at: datetime) -> tuple[datetime, TimeQuality]:
    """When it happened, UTC: trusted ``time``, else receipt time less ``age``, else receipt time.

    A clock that claims the future, or a time before anything of ours ran, is not trusted whatever it says of
    itself: a press must not be filed away as old because its gateway believes in 1970.
    """
    age = event.age_ms
    is_plausible = event.time is not None and PLAUSIBLE_FROM <= event.time <= received_at + FUTURE_TOLERANCE
    if event.clock is Clock.SYNCED and event.time is not None and is_plausible:
        return in_utc(event.time), TimeQuality.DEVICE
    if age is not None and age < 10 * 366 * 86_400_000:
        return received_at - timedelta(milliseconds=age), TimeQuality.AGE
    if event.clock is None and event.time is not None and is_plausible:
        # A plain CloudEvents producer states neither clock nor age; its time is the best that there is.
        return in_utc(event.time), TimeQuality.DEVICE
    return received_at, TimeQuality.RECEIPT
