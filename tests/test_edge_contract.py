"""The wire contract: what others say of it (RFC 8428, CloudEvents SDK), what was released, what is bad."""

import base64
import json
import math
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge import contract
from edge.contract import (
    Clock,
    Command,
    CommandResult,
    ContractError,
    Event,
    Leaf,
    Measurement,
    Receipt,
    Refusal,
    ResultState,
    State,
    Status,
    TimeQuality,
    Twin,
)

VECTORS = Path(__file__).parent / "vectors"
NOW_S = 1_795_478_651.5
# A loaded machine is slow; that says nothing about the code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
AT = datetime(2026, 11, 24, 0, 4, 11, 318_000, tzinfo=UTC)
BOOT = "6f1d9a52-8a6e-4c0e-9d0e-3a3c4f7f2b11"
PANIC = b'{"id":"a","source":"urn:dev:org:32473-b1","type":"panic.pressed","specversion":"1.0"}'


def with_fields(**fields: Any) -> bytes:
    """The smallest event with other or further fields; None takes one away."""
    event = json.loads(PANIC) | fields
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def with_raw(name: str, value: bytes) -> bytes:
    """The smallest event with a field that no JSON writer would write."""
    return b'%b,"%b":%b}' % (PANIC[:-1], name.encode(), value)


# --------------------------------------------------------------------------------- RFC 8428, section 5

EXAMPLES = json.loads((VECTORS / "senml_rfc8428.json").read_text("utf-8"))["examples"]


@pytest.mark.parametrize("case", EXAMPLES, ids=[f"{e['section']} {e['title']}" for e in EXAMPLES])
def test_the_rfcs_example_packs_resolve_as_it_says(case: dict[str, Any]) -> None:
    pack = contract.decode_pack(json.dumps(case["pack"]).encode(), NOW_S)
    labels = {"n": "name", "u": "unit", "v": "value", "vs": "text", "vb": "flag", "vd": "data", "t": "time"}
    expected = [
        Measurement(**{"time": NOW_S} | {labels[label]: value for label, value in record.items()})
        for record in case["resolved"]
    ]
    assert pack.measurements == expected


def test_the_rfcs_examples_are_all_there() -> None:
    sections = [example["section"] for example in EXAMPLES]
    assert {f"5.1.{n}" for n in range(1, 8)} == set(sections)
    assert len(sections) == 11


@pytest.mark.parametrize(
    ("pack", "expected"),
    [
        # Section 4.1: base value and base sum are added, and stand alone where the other is absent.
        (
            '[{"bn":"a","bv":20,"v":1.5},{"v":2},{"n":"b"}]',
            [("a", 21.5, None), ("a", 22, None), ("ab", 20, None)],
        ),
        ('[{"n":"a","bs":100,"s":5},{"n":"a","v":1}]', [("a", None, 105), ("a", 1, 100)]),
        ('[{"n":"a","v":0}]', [("a", 0, None)]),
        # A sum may come with a value or without one.
        ('[{"n":"a","v":3,"s":9},{"n":"a","s":9}]', [("a", 3, 9), ("a", None, 9)]),
    ],
)  # fmt: skip
def test_base_values_and_sums(pack: str, expected: list[tuple[str, float | None, float | None]]) -> None:
    measurements = contract.decode_pack(pack.encode(), NOW_S).measurements
    assert [(m.name, m.value, m.total) for m in measurements] == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('"t":-5', NOW_S - 5),
        ('"t":0', NOW_S),
        ('"bt":10,"t":-5', NOW_S + 5),
        ('"bt":268435455', NOW_S + 268_435_455),  # below 2**28: relative
        ('"bt":268435456', 268_435_456.0),
        ('"bt":1.795478651e9,"t":0.25', 1_795_478_651.25),
    ],
)
def test_times_below_2_28_are_relative_to_now(time: str, expected: float) -> None:
    pack = contract.decode_pack(b'[{"n":"a","v":1,%b}]' % time.encode(), NOW_S)
    assert pack.measurements[0].time == expected


def test_an_update_time_and_unknown_labels_pass() -> None:
    pack = contract.decode_pack(b'[{"n":"a","v":1,"ut":60,"color":"red","l":[]}]', NOW_S)
    assert pack.measurements[0].update_s == 60


# ------------------------------------------------------------------------------------- CloudEvents SDK


def sdk_read(payload: bytes) -> CloudEvent:
    event = JSONFormat().read(None, payload)
    assert isinstance(event, CloudEvent)
    return event


@pytest.mark.parametrize("data", [{"held_s": 2.1, "lugar": "Ñuñoa «3»"}, None, [1, 2], "texto", 7, True])
def test_the_official_sdk_accepts_what_we_write(data: Any) -> None:
    event = contract.new_event(
        source=contract.device_urn("boton-1"),
        type="panic.pressed",
        time=AT,
        data=data,
        sequence=41,
        bootid=BOOT,
    )
    read = sdk_read(contract.with_age(contract.encode_event(event), 1250))
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, "panic.pressed")
    assert (read.get_time(), read.get_data()) == (AT, data)
    extensions = {name: read.get_extension(name) for name in ("sequence", "bootid", "clock", "age")}
    assert extensions == {"sequence": "000000000041", "bootid": BOOT, "clock": "synced", "age": 1250}


def test_the_official_sdk_accepts_each_part_of_a_batch() -> None:
    events = [contract.new_event(source="s", type="gate.opened", time=AT, data={"n": n}) for n in range(3)]
    parts = json.loads(contract.encode_events(events))
    assert [sdk_read(json.dumps(part).encode()).get_id() for part in parts] == [e.id for e in events]


def test_we_read_what_the_official_sdk_writes() -> None:
    written = CloudEvent(
        {
            "id": "a-1",
            "source": "//example.com/cámara/3",
            "type": "camera.moved",
            "time": AT.astimezone(timezone(timedelta(hours=-3))),
            "subject": "norte",
            "datacontenttype": "application/json",
            "sequence": "7",
            "severity": "high",
        },
        {"similarity": 0.2},
    )
    event = contract.decode_event(JSONFormat().write(written))
    assert (event.id, event.source, event.type, event.time) == (
        "a-1",
        "//example.com/cámara/3",
        "camera.moved",
        AT,
    )
    assert (event.subject, event.sequence_number, event.fields()) == ("norte", 7, {"similarity": 0.2})


def test_we_read_binary_data_of_the_official_sdk() -> None:
    written = CloudEvent({"source": "s", "type": "frame.taken", "datacontenttype": "image/png"}, b"\x89PNG")
    event = contract.decode_event(JSONFormat().write(written))
    assert event.data_base64 is not None
    assert base64.b64decode(event.data_base64) == b"\x89PNG"
    assert event.fields() == {}


# ----------------------------------------------------------------------- released messages, for ever

SOURCE = "urn:dev:org:32473-"
GATE = {
    "id": "019ab2d4-5b96-7c3e-8f21-0a1b2c3d4e60",
    "source": f"{SOURCE}porton-quebrada",
    "type": "gate.opened",
    "time": AT,
    "sequence_number": 7,
    "bootid": BOOT,
    "clock": Clock.UNSYNCED,
    "fields": {"contact": "open"},
}
PRESS_ID, PACK_ID = "019ab2d4-5b96-7c3e-8f21-0a1b2c3d4e5f", "019ab2d4-5b96-7c3e-8f21-0a1b2c3d4e61"
COMMAND_ID = "019ab2d4-5b96-7c3e-8f21-0a1b2c3d4e63"


def sample(name: str) -> bytes:
    return (VECTORS / "v1" / f"{name}.json").read_bytes()


def seen(event: Event, expected: dict[str, Any]) -> dict[str, Any]:
    """The same attributes of an event as ``expected`` names."""
    return {name: event.fields() if name == "fields" else getattr(event, name) for name in expected}


def test_a_released_alarm_decodes() -> None:
    expected = {
        "id": PRESS_ID,
        "source": f"{SOURCE}boton-boldos-12",
        "type": "panic.pressed",
        "time": AT,
        "sequence_number": 41,
        "bootid": BOOT,
        "clock": Clock.SYNCED,
        "age_ms": 1250,
        "fields": {"held_s": 2.1, "button": "GPIO17"},
    }
    assert seen(contract.decode_event(sample("alarm")), expected) == expected


def test_a_released_event_decodes_and_states_an_age_beyond_32_bits() -> None:
    expected = GATE | {"age_ms": 3_000_000_000}
    assert seen(contract.decode_event(sample("event")), expected) == expected


def test_a_released_batch_decodes() -> None:
    (gate, bare), errors = contract.decode_events(sample("event_batch"))
    assert errors == []
    assert seen(gate, GATE | {"age_ms": None}) == GATE | {"age_ms": None}
    expected = {
        "id": "a-1",
        "source": "//example.com/cam/3",
        "type": "camera.moved",
        "time": None,
        "clock": None,
        "fields": {},
    }
    assert seen(bare, expected) == expected


def test_a_released_pack_decodes() -> None:
    pack = contract.decode_pack(sample("telemetry"), NOW_S)
    assert (pack.id, pack.clock, pack.bootid, pack.age_ms) == (PACK_ID, Clock.SYNCED, BOOT, 20)
    assert [
        (m.quantity, m.unit, m.time, m.value, m.text, m.flag, m.data, m.total) for m in pack.measurements
    ] == [
        ("level", "m", 1795478651.318, 2.53, None, None, None, None),
        ("level", "m", 1795478646.318, 2.47, None, None, None, None),
        ("battery", "/", 1795478651.318, 0.69, None, None, None, None),
        ("door", "/", 1795478651.318, None, None, True, None, None),
        ("firmware", None, 1795478651.318, None, "0.1.0", None, None, None),
        ("energy", "J", 1795478651.318, None, None, None, None, 1234.5),
        ("frame", None, 1795478651.318, None, None, None, "aGkgCg", None),
    ]
    assert {m.source for m in pack.measurements} == {f"{SOURCE}nivel-estero"}


RELEASED = {
    "status_online": Status(
        state=State.ONLINE, bootid=BOOT, epoch=12, version="0.1.0", clock=Clock.SYNCED, time=AT
    ),
    "status_offline": Status(state=State.OFFLINE, bootid=BOOT, epoch=12),
    "receipt": Receipt(
        ids=[PRESS_ID, PACK_ID],
        refused=[Refusal(id="019ab2d4-5b96-7c3e-8f21-0a1b2c3d4e62", reason="data: is not UTF-8")],
    ),
    "command": Command(
        id=COMMAND_ID,
        name="show_feedback",
        expires=AT + timedelta(minutes=5),
        arguments={
            "event_id": PRESS_ID,
            "source": f"{SOURCE}boton-boldos-12",
            "feedback": "on_its_way",
        },
    ),
    "result": CommandResult(
        id=COMMAND_ID, state=ResultState.FAILED, detail="no device here shows feedback for that event"
    ),
    "desired": Twin(version=3, properties={"health_interval_s": 60}),
    "reported": Twin(version=2, properties={"health_interval_s": 15}),
}


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_message_decodes(name: str) -> None:
    expected = RELEASED[name]
    assert contract.decode(type(expected), sample(name)) == expected


def test_every_sample_is_looked_at() -> None:
    looked_at = {*RELEASED, "alarm", "event", "event_batch", "telemetry"}
    assert {path.stem for path in (VECTORS / "v1").iterdir()} == looked_at


# ------------------------------------------------------------------------- tolerant of what is new


def test_unknown_fields_are_ignored_everywhere() -> None:
    extra = {"colour": "red", "nested": {"a": [1]}, "nothing": None}
    assert contract.decode_event(with_fields(**extra)).id == "a"
    for expected in RELEASED.values():
        message = json.loads(contract.encode(expected)) | extra
        assert contract.decode(type(expected), json.dumps(message).encode()) == expected


@pytest.mark.parametrize("type_", ["ovni.avistado", "com.example.Thing.v2", "x", "a" * 127])
def test_unknown_types_are_kept(type_: str) -> None:
    assert contract.decode_event(with_fields(type=type_)).type == type_


@pytest.mark.parametrize("year", [1970, 2026, 2099, 9999])
def test_odd_years_stay_readable(year: int) -> None:
    event = contract.decode_event(with_fields(time=f"{year}-01-01T12:00:00Z"))
    assert event.time == datetime(year, 1, 1, 12, tzinfo=UTC)


def test_nanoseconds_and_offsets_are_read() -> None:
    event = contract.decode_event(with_fields(time="2026-11-23T21:04:11.318000123-03:00"))
    assert event.time == AT


# ------------------------------------------------------------------------------- errors name the field

DEEP = b"[" * 100_000 + b"]" * 100_000
BAD_EVENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "payload"),
    "not JSON": (b"panic!", "payload"),
    "cut off": (PANIC[:-1], "payload"),
    "something after it": (PANIC + b"x", "payload"),
    "a number": (b"7", "payload"),
    "null": (b"null", "payload"),
    "1 MB": (with_fields(data="x" * 1_000_000), "payload"),
    "deep": (with_raw("data", DEEP), "payload"),
    "deep and unknown": (with_raw("other", DEEP), "payload"),
    "not UTF-8": (with_raw("subject", b'"\xff"'), "payload"),
    "data not UTF-8": (with_raw("data", b'"\xff"'), "data"),
    "half a surrogate pair": (with_raw("subject", b'"\\ud800"'), "payload"),
    "NaN": (with_raw("data", b'{"v":NaN}'), "payload"),
    "Infinity": (with_raw("data", b"-Infinity"), "payload"),
    "no id": (with_fields(id=None), "id"),
    "no source": (with_fields(source=None), "source"),
    "no type": (with_fields(type=None), "type"),
    "no specversion": (with_fields(specversion=None), "specversion"),
    "empty id": (with_fields(id=""), "id"),
    "endless id": (with_fields(id="i" * 129), "id"),
    "NUL in id": (with_fields(id="a\0"), "id"),
    "empty source": (with_fields(source=""), "source"),
    "endless source": (with_fields(source="s" * 256), "source"),
    "NUL in source": (with_fields(source="a\0"), "source"),
    "id a number": (with_fields(id=7), "id"),
    "source a list": (with_fields(source=["s"]), "source"),
    "type with a space": (with_fields(type="panic pressed"), "type"),
    "type with a line break": (with_fields(type="panic.pressed\n"), "type"),
    "type empty": (with_fields(type=""), "type"),
    "other specversion": (with_fields(specversion="0.3"), "specversion"),
    "no time": (with_fields(time="yesterday"), "time"),
    "time a number": (with_fields(time=1_795_478_651), "time"),
    "no time zone": (with_fields(time="2026-11-24T00:04:11"), "time"),
    "before the year 1 in UTC": (with_fields(time="0001-01-01T00:00:00+14:00"), "time"),
    "after the year 9999 in UTC": (with_fields(time="9999-12-31T23:59:59-14:00"), "time"),
    "sequence negative": (with_fields(sequence=-1), "sequence"),
    "sequence a word": (with_fields(sequence="many"), "sequence"),
    "sequence a boolean": (with_fields(sequence=True), "sequence"),
    "sequence beyond 63 bits": (with_fields(sequence=2**63), "sequence"),
    "sequence of 5000 digits": (with_fields(sequence="9" * 5000), "sequence"),
    "sequence of 5000 zeros": (with_fields(sequence="0" * 5000), "sequence"),
    "sequence in other digits": (with_fields(sequence="٣"), "sequence"),
    "age a fraction": (with_fields(age=1.5), "age"),
    "age an endless integer": (with_raw("age", b"9" * 5000), "age"),
    "bootid endless": (with_fields(bootid="b" * 65), "bootid"),
    "NUL in bootid": (with_fields(bootid="b\0"), "bootid"),
    "clock unknown": (with_fields(clock="drifting"), "clock"),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_a_bad_event_is_refused_naming_the_field(name: str) -> None:
    payload, field = BAD_EVENTS[name]
    with pytest.raises(ContractError) as caught:
        contract.decode_event(payload)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", sorted(BAD_EVENTS.keys() - {"deep", "deep and unknown", "1 MB"}))
def test_one_bad_event_never_stops_the_others_of_its_batch(name: str) -> None:
    payload, field = BAD_EVENTS[name]
    batch = b"[%b,%b,%b]" % (PANIC, payload, PANIC)
    events, errors = contract.decode_events(batch)
    if field == "payload" and name not in ("a number", "null", "not UTF-8"):
        # What is no JSON has no parts.
        assert (events, [error.field for error in errors]) == ([], ["payload"])
        return
    assert [event.id for event in events] == ["a", "a"]
    assert [error.field for error in errors] == [f"[1].{field}"]


def test_the_sender_of_a_bad_event_can_be_told_which_one_it_was() -> None:
    for payload in (with_fields(time="soon"), with_fields(type=7), with_fields(sequence=-1)):
        with pytest.raises(ContractError) as caught:
            contract.decode_event(payload)
        assert caught.value.id == "a"


def test_an_empty_batch_is_no_error() -> None:
    assert contract.decode_events(b"[]") == ([], [])


def test_an_oversized_batch_is_refused_as_a_whole() -> None:
    events, errors = contract.decode_events(b"[" + b",".join([PANIC] * 20_000) + b"]")
    assert (events, [error.field for error in errors]) == ([], ["payload"])


def test_numbers_beyond_all_numbers_in_data_are_kept_but_not_read() -> None:
    event = contract.decode_event(with_raw("data", b'{"v":1e999}'))
    assert (bytes(event.data), event.fields()) == (b'{"v":1e999}', {})


BAD_PACKS: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"level=3", "payload"),
    "no record": (b"[]", "payload"),
    "an object": (b'{"n":"a","v":1}', "payload"),
    "1 MB": (b'[{"n":"a","vs":"' + b"x" * 1_000_000 + b'"}]', "payload"),
    "deep": (b'[{"n":"a","v":1,"x":' + DEEP + b"}]", "payload"),
    "not UTF-8": (b'[{"n":"a","vs":"\xff"}]', "payload"),
    "no name": (b'[{"v":1}]', "[0].n"),
    "name with a space": (b'[{"n":"a","v":1},{"n":"a b","v":1}]', "[1].n"),
    "name begins badly": (b'[{"n":"-a","v":1}]', "[0].n"),
    "name with NUL": (b'[{"n":"a\\u0000","v":1}]', "[0].n"),
    "name endless": (b'[{"bn":"' + b"a" * 300 + b'","n":"' + b"b" * 101 + b'","v":1}]', "[0].n"),
    "no value": (b'[{"n":"a"}]', "[0]"),
    "value null": (b'[{"n":"a","v":null}]', "[0]"),
    "two values": (b'[{"n":"a","v":1,"vs":"x"}]', "[0]"),
    "value a text": (b'[{"n":"a","v":"1"}]', "[0].v"),
    "value NaN": (b'[{"n":"a","v":NaN}]', "payload"),
    "value Infinity": (b'[{"n":"a","v":Infinity}]', "payload"),
    "value 1e999": (b'[{"n":"a","v":1e999}]', "[0].v"),
    "value of 400 digits": (b'[{"n":"a","v":' + b"9" * 400 + b"}]", "[0].v"),
    "sum beyond all numbers": (b'[{"n":"a","bv":1.7e308,"v":1.7e308}]', "[0].v"),
    "flag a number": (b'[{"n":"a","vb":1}]', "[0].vb"),
    "time a text": (b'[{"n":"a","v":1,"t":"now"}]', "[0].t"),
    "time beyond all dates": (b'[{"n":"a","v":1,"t":1e300}]', "[0].t"),
    "time before 1970": (b'[{"n":"a","v":1,"t":-1e12}]', "[0].t"),
    "times that add up to infinity": (b'[{"n":"a","v":1,"bt":1.7e308,"t":1.7e308}]', "[0].t"),
    "a newer version": (b'[{"n":"a","v":1,"bver":11}]', "[0].bver"),
    "a label that must be understood": (b'[{"n":"a","v":1},{"n":"a","v":2,"crs_":"moon"}]', "[1].crs_"),
    "unit endless": (b'[{"n":"a","v":1,"u":"' + b"m" * 65 + b'"}]', "[0].u"),
    "NUL in unit": (b'[{"n":"a","v":1,"u":"m\\u0000"}]', "[0].u"),
    "NUL in text": (b'[{"n":"a","vs":"\\u0000"}]', "[0].vs"),
    "NUL in data": (b'[{"n":"a","vd":"\\u0000"}]', "[0].vd"),
    "NUL in id": (b'[{"n":"a","v":1,"id":"\\u0000"}]', "[0].id"),
    "NUL in bootid": (b'[{"n":"a","v":1,"bootid":"\\u0000"}]', "[0].bootid"),
    "age negative": (b'[{"n":"a","v":1,"age":-1}]', "[0].age"),
    "age of 5000 digits": (b'[{"n":"a","v":1,"age":"' + b"9" * 5000 + b'"}]', "[0].age"),
    "age with a separator": (b'[{"n":"a","v":1,"age":"1_0"}]', "[0].age"),
    "clock unknown": (b'[{"n":"a","v":1,"clock":"drifting"}]', "[0].clock"),
}


@pytest.mark.parametrize("name", BAD_PACKS)
def test_a_bad_pack_is_refused_naming_the_field(name: str) -> None:
    payload, field = BAD_PACKS[name]
    with pytest.raises(ContractError) as caught:
        contract.decode_pack(payload, NOW_S)
    assert caught.value.field == field


def test_the_sender_of_a_bad_pack_can_be_told_which_one_it_was() -> None:
    with pytest.raises(ContractError) as caught:
        contract.decode_pack(b'[{"n":"a","v":1,"id":"p-1"},{"n":"a"}]', NOW_S)
    assert caught.value.id == "p-1"


STATUS = {"state": "online", "bootid": BOOT, "epoch": 1}
COMMAND = {"id": "c", "name": "ping", "expires": "2026-11-24T00:00:00Z"}


@pytest.mark.parametrize(
    ("kind", "message", "field"),
    [
        (Status, STATUS | {"state": "asleep"}, "state"),
        (Status, {"state": "online", "epoch": 1}, "bootid"),
        (Status, STATUS | {"bootid": "a\0"}, "bootid"),
        (Status, STATUS | {"epoch": -1}, "epoch"),
        (Status, STATUS | {"epoch": 2**63}, "epoch"),
        (Status, STATUS | {"epoch": "1"}, "epoch"),
        (Status, STATUS | {"version": "1\0"}, "version"),
        (Status, STATUS | {"time": "2026-11-24T00:00:00"}, "time"),
        (Command, COMMAND | {"expires": "2026-11-24T00:00:00"}, "expires"),
        (Command, COMMAND | {"id": ""}, "id"),
        (Command, COMMAND | {"arguments": []}, "arguments"),
        (CommandResult, {"id": "c", "state": "maybe"}, "state"),
        (CommandResult, {"id": "c", "state": "done", "detail": "\0"}, "detail"),
        (Receipt, {"ids": ["a", 7]}, "ids[1]"),
        (Receipt, {"refused": [{"id": "a"}]}, "refused[0].reason"),
        (Twin, {"version": -1}, "version"),
        (Twin, {"properties": {}}, "version"),
    ],
)
def test_bad_control_messages_are_refused_naming_the_field(
    kind: type[Status], message: dict[str, Any], field: str
) -> None:
    with pytest.raises(ContractError) as caught:
        contract.decode(kind, json.dumps(message).encode())
    assert caught.value.field == field


@patient
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@example(b"[")
@example(b"\xef\xbb\xbf{}")
@example(b"[[]]")
def test_noise_gives_contract_errors_and_nothing_else(noise: bytes) -> None:
    _, errors = contract.decode_events(noise)
    assert errors or noise.strip() == b"[]"
    readers: list[Callable[[bytes], object]] = [
        lambda payload: contract.decode_pack(payload, NOW_S),
        *(lambda payload, kind=kind: contract.decode(kind, payload) for kind in (Status, Command, Twin)),
    ]
    for read in readers:
        with pytest.raises(ContractError):
            read(noise)


# --------------------------------------------------------------------------------- round trips

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ids = plain.filter(bool)
instants = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis wants naive bounds
    datetime(2199, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3)), timezone(timedelta(hours=14))]),
)
types = st.from_regex(r"[a-z]{1,12}(\.[a-z_]{1,12}){1,2}", fullmatch=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | finite | texts
json_values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(texts, leaves, max_size=3)
counts = st.integers(0, 10**12 - 1)
clocks = st.sampled_from(Clock)


@st.composite
def events(draw: st.DrawFn) -> Event:
    return contract.new_event(
        source=draw(ids),
        type=draw(types),
        time=draw(instants),
        data=draw(st.none() | st.dictionaries(texts, json_values, max_size=4)),
        id=draw(st.none() | ids),
        sequence=draw(st.none() | counts),
        bootid=draw(st.none() | plain),
        clock=draw(clocks),
    )


def same(left: Event, right: Event) -> bool:
    """Raw data compares by its bytes."""
    names = [name for name in Event.__struct_fields__ if name != "data"]
    return bytes(left.data) == bytes(right.data) and all(getattr(left, n) == getattr(right, n) for n in names)


@patient
@given(events())
def test_an_event_comes_out_as_it_went_in(event: Event) -> None:
    decoded = contract.decode_event(contract.encode_event(event))
    assert same(decoded, event)
    assert decoded.fields() == event.fields()


@patient
@given(st.lists(events(), max_size=5))
def test_a_batch_comes_out_as_it_went_in(batch: list[Event]) -> None:
    decoded, errors = contract.decode_events(contract.encode_events(batch))
    assert errors == []
    assert len(decoded) == len(batch)
    assert all(same(left, right) for left, right in zip(decoded, batch, strict=True))


@patient
@given(events(), st.integers(-1000, 2**62))
def test_the_age_is_added_to_an_event_and_nothing_else_changes(event: Event, age_ms: int) -> None:
    aged = contract.decode_event(contract.with_age(contract.encode_event(event), age_ms))
    assert aged.age_ms == max(0, age_ms)
    bare = {n: getattr(aged, n) for n in Event.__struct_fields__ if n not in ("age", "data")}
    assert bare == {n: getattr(event, n) for n in bare}
    # CloudEvents integers have 32 bits.
    assert isinstance(aged.age, str) == (age_ms >= 2**31)


names = st.from_regex(r"urn:dev:org:32473-[a-z0-9]{1,8}:[a-z][a-z_]{0,8}", fullmatch=True)
# Milliseconds of this century and the next: what the edge writes.
moments = st.integers(946_684_800_000, 4_102_444_800_000).map(lambda ms: ms / 1000)
kinds_of_value = st.one_of(
    st.fixed_dictionaries({"value": finite}, optional={"total": finite}),
    st.fixed_dictionaries({"total": finite}),
    st.fixed_dictionaries({"text": plain}),
    st.fixed_dictionaries({"flag": st.booleans()}),
    st.fixed_dictionaries({"data": st.binary(max_size=12).map(lambda raw: base64.b64encode(raw).decode())}),
)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    return Measurement(
        name=draw(names),
        time=draw(moments),
        unit=draw(st.none() | st.sampled_from(sorted(contract.UNITS))),
        update_s=draw(st.none() | st.floats(0, 1e6)),
        **draw(kinds_of_value),
    )


@patient
@given(
    st.lists(measurements(), min_size=1, max_size=8),
    st.none() | ids,
    st.none() | clocks,
    st.none() | st.integers(0, 2**40),
)
def test_a_pack_comes_out_as_it_went_in(
    readings: list[Measurement], id_: str | None, clock: Clock | None, age_ms: int | None
) -> None:
    """Times to the very millisecond: they are part of a measurement's key."""
    try:
        payload = contract.encode_pack(readings, id=id_, clock=clock, bootid=BOOT)
    except ContractError:  # times decades apart may not be exact as offsets; then nothing goes out wrong
        assert max(m.time for m in readings) - min(m.time for m in readings) > 86_400
        return
    if age_ms is not None:
        payload = contract.with_age(payload, age_ms)
    pack = contract.decode_pack(payload, NOW_S)
    assert pack.measurements == readings
    assert (pack.id, pack.clock, pack.bootid, pack.age_ms) == (id_, clock, BOOT, age_ms)


@patient
@given(
    st.integers(1_600_000_000_000, 2_500_000_000_000),
    st.lists(st.integers(-3_600_000, 3_600_000), min_size=1, max_size=20),
)
def test_times_of_the_same_hour_are_exact_to_the_millisecond(start_ms: int, offsets_ms: list[int]) -> None:
    times = [(start_ms + offset_ms) / 1000 for offset_ms in offsets_ms]
    readings = [Measurement(name="urn:x:a", time=time, value=1.0) for time in times]
    decoded = contract.decode_pack(contract.encode_pack(readings), NOW_S).measurements
    assert [round(m.time * 1000) for m in decoded] == [start_ms + offset_ms for offset_ms in offsets_ms]
    assert [m.time for m in decoded] == times


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_json_cannot_carry_is_refused_where_it_is_made(value: float) -> None:
    with pytest.raises(ContractError, match="finite"):
        contract.encode_pack([Measurement(name="urn:x:a", time=NOW_S, value=value)])


def test_a_pack_of_nothing_is_refused_where_it_is_made() -> None:
    with pytest.raises(ContractError, match="no record"):
        contract.encode_pack([])


@patient
@given(st.sampled_from(State), plain, st.integers(0, 2**63 - 1), plain, clocks, st.none() | instants)
def test_a_status_comes_out_as_it_went_in(
    state: State, bootid: str, epoch: int, version: str, clock: Clock, time: datetime | None
) -> None:
    status = Status(state=state, bootid=bootid, epoch=epoch, version=version, clock=clock, time=time)
    assert contract.decode(Status, contract.encode(status)) == status


@patient
@given(ids, plain, instants, st.dictionaries(texts, json_values, max_size=3))
def test_a_command_comes_out_as_it_went_in(
    id_: str, name: str, expires: datetime, arguments: dict[str, Any]
) -> None:
    command = Command(id=id_, name=name, expires=expires, arguments=arguments)
    assert contract.decode(Command, contract.encode(command)) == command


@patient
@given(st.lists(texts, max_size=5), st.lists(st.tuples(texts, texts), max_size=3))
def test_a_receipt_comes_out_as_it_went_in(received: list[str], refused: list[tuple[str, str]]) -> None:
    receipt = Receipt(ids=received, refused=[Refusal(id=id_, reason=reason) for id_, reason in refused])
    assert contract.decode(Receipt, contract.encode(receipt)) == receipt


# ------------------------------------------------------------------------------------------- time

RECEIVED = AT + timedelta(seconds=90)
AGO = AT - timedelta(days=400)
SOON, LATER = RECEIVED + timedelta(seconds=5), RECEIVED + timedelta(seconds=6)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # a clock that is right is believed, however late the message
        ({"clock": "synced", "time": AT}, (AT, TimeQuality.DEVICE)),
        ({"clock": "synced", "time": AT, "age": 1}, (AT, TimeQuality.DEVICE)),
        ({"clock": "synced", "time": AGO}, (AGO, TimeQuality.DEVICE)),
        ({"clock": "synced", "time": SOON}, (SOON, TimeQuality.DEVICE)),
        # but not when it claims the future
        ({"clock": "synced", "time": LATER}, (RECEIVED, TimeQuality.RECEIPT)),
        ({"clock": "synced", "time": LATER, "age": 90_000}, (AT, TimeQuality.AGE)),
        ({"time": datetime(2099, 1, 1, tzinfo=UTC)}, (RECEIVED, TimeQuality.RECEIPT)),
        # nor a time at which nobody had this software
        ({"clock": "synced", "time": LONG_AGO, "age": 90_000}, (AT, TimeQuality.AGE)),
        ({"clock": "synced", "time": LONG_AGO}, (RECEIVED, TimeQuality.RECEIPT)),
        ({"time": LONG_AGO}, (RECEIVED, TimeQuality.RECEIPT)),
        # a clock that is not right: the age counts
        ({"clock": "unsynced", "time": LONG_AGO, "age": 90_000}, (AT, TimeQuality.AGE)),
        ({"clock": "unsynced", "time": AT, "age": "90000"}, (AT, TimeQuality.AGE)),
        ({"clock": "unsynced", "time": AT}, (RECEIVED, TimeQuality.RECEIPT)),
        ({"clock": "unsynced", "time": AT, "age": 2**62}, (RECEIVED, TimeQuality.RECEIPT)),
        # a foreign producer knows nothing of clocks and ages
        ({"time": AT}, (AT, TimeQuality.DEVICE)),
        ({"time": AT, "age": 30_000}, (AT + timedelta(seconds=60), TimeQuality.AGE)),
        ({}, (RECEIVED, TimeQuality.RECEIPT)),
        ({"clock": "synced"}, (RECEIVED, TimeQuality.RECEIPT)),
    ],
)  # fmt: skip
def test_when_it_happened(fields: dict[str, Any], expected: tuple[datetime, TimeQuality]) -> None:
    written = {n: v.isoformat() if isinstance(v, datetime) else v for n, v in fields.items()}
    event = contract.decode_event(with_fields(**written))
    assert contract.happened_at(event, RECEIVED) == expected


@patient
@given(events(), st.none() | st.integers(0, 2**63 - 1), instants)
def test_nothing_ever_happened_in_the_future(event: Event, age_ms: int | None, received: datetime) -> None:
    payload = contract.encode_event(event)
    decoded = contract.decode_event(payload if age_ms is None else contract.with_age(payload, age_ms))
    received_at = received.astimezone(UTC)
    at, _ = contract.happened_at(decoded, received_at)
    assert at <= received_at + contract.FUTURE_TOLERANCE
    assert at.utcoffset() == timedelta(0)


# ------------------------------------------------------------------------------------ topics and ids

gateways = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@patient
@given(gateways, st.sampled_from(Leaf))
def test_a_topic_says_gateway_and_leaf(gateway: str, leaf: Leaf) -> None:
    text = contract.topic(gateway, leaf)
    assert text == f"almenara/1/{gateway}/{leaf}"
    assert contract.parse_topic(text) == (gateway, leaf)
    assert contract.subscription(leaf) == text.replace(gateway, "+", 1) or gateway in "almenara/1"


@pytest.mark.parametrize(
    "text",
    [
        "", "almenara", "almenara/1/gw/alarm/x", "almenara/2/gw/alarm", "other/1/gw/alarm",
        "almenara/1//alarm",
        "almenara/1/gw/panic", "almenara/1/GW/alarm", "almenara/1/-gw/alarm", "almenara/1/gw\n/alarm",
        "almenara/1/+/alarm", f"almenara/1/{'g' * 64}/alarm", "/almenara/1/gw/alarm", "almenara/1/gw/ALARM",
    ],
)  # fmt: skip
def test_other_topics_are_refused(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        contract.parse_topic(text)
    assert caught.value.field in ("topic", "gateway")


@pytest.mark.parametrize("gateway", ["", "GW", "gw_1", "gw/1", "+", "#", "ñ", "g" * 64, "gw\n", "-gw"])
def test_a_gateways_name_cannot_break_a_topic(gateway: str) -> None:
    with pytest.raises(ContractError, match="gateway"):
        contract.topic(gateway, Leaf.ALARM)


@patient
@given(instants, instants)
def test_ids_sort_by_their_time(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    earlier, later = contract.uuid7(first), contract.uuid7(second)
    if (second - first) >= timedelta(milliseconds=1):
        assert str(earlier) < str(later)
    for id_, at in ((earlier, first), (later, second)):
        assert (id_.version, id_.variant) == (7, uuid.RFC_4122)
        assert id_.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_ids_of_one_moment_differ_and_the_clock_is_used_without_one() -> None:
    assert len({contract.uuid7(AT) for _ in range(1000)}) == 1000
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made_at = datetime.fromtimestamp((contract.uuid7().int >> 80) / 1000, UTC)
    assert before <= made_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("boton-1", "urn:dev:org:32473-boton-1"),
        ("urn:dev:mac:0024befffe804ff1", "urn:dev:mac:0024befffe804ff1"),
        ("https://example.com/cam/3", "https://example.com/cam/3"),
    ],
)
def test_a_device_has_one_source(name: str, source: str) -> None:
    assert contract.device_urn(name) == source
    assert contract.device_urn(source) == source
