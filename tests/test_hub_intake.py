"""The intake's lanes on a real database: what is stored, refused, confirmed, and what the next one finds."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import VirtualClock

from edge import contract
from edge.contract import Clock as DeviceClock
from edge.contract import Leaf, Measurement
from hub.alerts.finding import Finding
from hub.database import Connection, Pool
from hub.devices.registry import Registry
from hub.intake.clock_offsets import ClockOffsets
from hub.intake.partitions import drop_old_event_partitions, ensure_event_partitions
from hub.intake.pipeline import Handler, Intake, event_lane, telemetry_lane
from hub.intake.presence import Presence
from hub.metrics import Metrics
from hub.mqtt.packets import Message
from hub.rule_work.work import RuleWork
from hub.rules.library import ready_rules
from hub.telemetry.partitions import drop_old_partitions, ensure_partitions
from hub.telemetry.postgres import PostgresTelemetry

GATEWAY = "gw-boldos"
BUTTON = contract.device_urn("boton-1")
CAMERA = contract.device_urn("camara-1")
FOREIGN = contract.device_urn("boton-ajeno")


@dataclass
class Lanes:
    """The intake with everything real but the broker, and what it told the world."""

    intake: Intake
    receipts: list[tuple[str, contract.Receipt]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def alarm(self) -> Handler:
        return event_lane(self.intake, Leaf.ALARM)

    @property
    def event(self) -> Handler:
        return event_lane(self.intake, Leaf.EVENT)

    @property
    def telemetry(self) -> Handler:
        return telemetry_lane(self.intake)

    def counter(self, name: str, **labels: str) -> float:
        return self.intake.metrics.registry.get_sample_value(f"almenara_{name}_total", labels) or 0

    def received(self) -> list[str]:
        return [id_ for _, receipt in self.receipts for id_ in receipt.ids]

    def refused(self) -> list[str]:
        return [r.id for _, receipt in self.receipts for r in receipt.refused]


@pytest.fixture
async def lanes(pool: Pool) -> Lanes:
    await pool.execute("insert into gateways (gateway) values ($1), ('gw-otro')", GATEWAY)
    await pool.executemany(
        "insert into devices (source, gateway, kind, name) values ($1, $2, $3, $4)",
        [
            (BUTTON, GATEWAY, "panic_button", "Los Boldos 12"),
            (CAMERA, GATEWAY, "camera", "Plaza"),
            (FOREIGN, "gw-otro", "panic_button", "Otro"),
        ],
    )
    return await build(pool)


async def build(pool: Pool, adopts_unknown: bool = False) -> Lanes:
    registry = Registry()
    await registry.load(pool)
    clock = VirtualClock()
    made: list[Lanes] = []

    async def react(connection: Connection, findings: Sequence[Finding], now: datetime) -> Callable[[], None]:
        assert connection.is_in_transaction()
        return lambda: made[0].findings.extend(findings)

    intake = Intake(
        pool=pool,
        registry=registry,
        rules=RuleWork(ready_rules()),
        react=react,
        send_receipt=lambda gateway, receipt: made[0].receipts.append((gateway, receipt)),
        telemetry=PostgresTelemetry(),
        offsets=ClockOffsets(),
        presence=Presence(),
        metrics=Metrics(),
        clock=clock,
        adopts_unknown=adopts_unknown,
    )
    made.append(Lanes(intake))
    await intake.load()
    return made[0]


def message(leaf: Leaf, payload: bytes, gateway: str = GATEWAY, oversize: int = 0) -> Message:
    return Message(
        topic=contract.topic(gateway, leaf),
        payload=payload,
        qos=1,
        retain=False,
        dup=False,
        packet_id=1,
        oversize=oversize,
    )


def press(lanes: Lanes, source: str = BUTTON, **changes: Any) -> contract.Event:
    given = {
        "source": source,
        "type": "panic.pressed",
        "time": lanes.intake.clock.now(),
        "data": {"held_s": 2.1},
    }
    return contract.new_event(**(given | changes))


async def send(handler: Handler, leaf: Leaf, *payloads: bytes, gateway: str = GATEWAY) -> None:
    await handler([message(leaf, payload, gateway) for payload in payloads])


# ------------------------------------------------------------------------------------------- events


async def test_a_press_is_stored_judged_and_confirmed(lanes: Lanes, pool: Pool) -> None:
    event = press(lanes, sequence=41, bootid="b1")
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(event))
    row = await pool.fetchrow("select * from events")
    assert str(row["id"]) == event.id
    assert (row["type"], row["gateway"], row["sequence"]) == ("panic.pressed", GATEWAY, 41)
    assert json.loads(row["data"]) == {"held_s": 2.1}
    assert lanes.receipts == [(GATEWAY, contract.Receipt(ids=[event.id]))]
    assert [f.kind for f in lanes.findings] == ["panic"]


async def test_a_repeat_is_confirmed_again_and_judged_once(lanes: Lanes, pool: Pool) -> None:
    event = contract.encode_event(press(lanes))
    await send(lanes.alarm, Leaf.ALARM, event, contract.with_age(event, 9))
    await send(lanes.alarm, Leaf.ALARM, contract.with_age(event, 5000))
    assert await pool.fetchval("select count(*) from events") == 1
    assert len(lanes.findings) == 1
    assert len(lanes.receipts) == 2
    assert lanes.counter("duplicates", lane="alarm") == 2
    assert lanes.counter("id_clashes") == 0


async def test_two_events_under_one_id_the_first_stays(lanes: Lanes, pool: Pool) -> None:
    first = press(lanes)
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(first))
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes, id=first.id, data={"held_s": 99})))
    assert json.loads(await pool.fetchval("select data from events")) == {"held_s": 2.1}
    assert lanes.counter("id_clashes") == 1
    await lanes.intake.presence.flush(pool)
    assert await pool.fetchval("select cause from refusals") == "id_clash"
    assert lanes.received() == [first.id, first.id]


async def test_the_same_id_of_two_devices_is_two_events(lanes: Lanes, pool: Pool) -> None:
    event = press(lanes)
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(event))
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes, source=CAMERA, id=event.id)))
    assert await pool.fetchval("select count(*) from events") == 2


ODD_IDS = ["7", "BTN-0001/ñandú", "0B9F61E2-3C47-4B0A-9D2E-5A7C1F0E8D33", "{x}", "f" * 128]


@pytest.mark.parametrize("id_", ODD_IDS)
async def test_an_id_that_is_no_uuid_is_a_key_too(lanes: Lanes, pool: Pool, id_: str) -> None:
    event = contract.encode_event(press(lanes, id=id_))
    for _ in range(2):
        await send(lanes.alarm, Leaf.ALARM, event)
    assert await pool.fetch("select event_id from events") == [(id_,)]
    assert lanes.received() == [id_, id_]


async def test_a_batch_with_bad_events_keeps_the_good_ones(lanes: Lanes, pool: Pool) -> None:
    good, other = press(lanes), press(lanes, source=CAMERA, type="camera.moved")
    batch = [
        json.loads(contract.encode_event(good)),
        {"id": "roto", "source": BUTTON, "type": "panic.pressed"},
        17,
        json.loads(contract.encode_event(other)),
    ]
    await send(lanes.event, Leaf.EVENT, json.dumps(batch).encode())
    assert await pool.fetchval("select count(*) from events") == 2
    assert sorted(lanes.received()) == sorted([good.id, other.id])
    assert lanes.refused() == ["roto"]
    assert lanes.counter("refused", cause="malformed") == 2
    await lanes.intake.presence.flush(pool)
    refusal = await pool.fetchrow("select * from refusals")
    assert refusal["count"] == 2


BAD = {
    "not JSON": (b"{hola", "malformed"),
    "empty": (b"", "malformed"),
    "a number": (b"17", "malformed"),
    "not UTF-8": (b'{"id": "\xff"}', "malformed"),
    "wrong types": (b'{"specversion":"1.0","id":7,"source":"x","type":"y"}', "malformed"),
    "1 MB": (b'{"id":"' + b"x" * 1_000_000 + b'"}', "too_large"),
    "nested without end": (b"[" * 100_000, "malformed"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_counted_and_the_next_good_message_is_handled(
    lanes: Lanes, pool: Pool, name: str
) -> None:
    payload, cause = BAD[name]
    await send(lanes.alarm, Leaf.ALARM, payload, contract.encode_event(press(lanes)))
    assert lanes.counter("refused", cause=cause) == 1
    assert await pool.fetchval("select count(*) from events") == 1
    await lanes.intake.presence.flush(pool)
    row = await pool.fetchrow("select * from refusals")
    assert (row["gateway"], row["cause"]) == (GATEWAY, cause)
    assert len(row["sample"]) <= 512


async def test_a_message_that_the_broker_cut_is_named_too_large(lanes: Lanes) -> None:
    await lanes.alarm([message(Leaf.ALARM, b"x" * 512, oversize=3_000_000)])
    assert lanes.counter("refused", cause="too_large") == 1


async def test_a_time_to_come_is_kept_beside_the_time_of_receipt(lanes: Lanes, pool: Pool) -> None:
    claimed = datetime(2099, 1, 1, tzinfo=UTC)
    event = contract.encode_event(press(lanes, time=claimed))
    await send(lanes.alarm, Leaf.ALARM, contract.with_age(event, 1500))
    row = await pool.fetchrow("select happened_at, claimed_at, time_quality from events")
    assert row["claimed_at"] == claimed
    assert row["happened_at"] == lanes.intake.clock.now() - timedelta(milliseconds=1500)
    assert row["time_quality"] == "age"
    assert lanes.counter("future_times", lane="alarm") == 1
    assert len(lanes.findings) == 1


async def test_a_foreign_gateways_device_is_refused_and_not_confirmed(lanes: Lanes, pool: Pool) -> None:
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes, source=FOREIGN)))
    assert await pool.fetchval("select count(*) from events") == 0
    assert lanes.receipts == []
    assert lanes.counter("refused", cause="foreign_device") == 1


@pytest.mark.parametrize(
    ("gateway", "source", "cause"),
    [
        ("gw-nadie", BUTTON, "foreign_device"),
        ("gw-nadie", "urn:x:1", "unknown_gateway"),
        (GATEWAY, "urn:x:1", "unknown_device"),
    ],
)
async def test_the_unknown_is_refused_until_it_is_registered(
    lanes: Lanes, gateway: str, source: str, cause: str
) -> None:
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes, source=source)), gateway=gateway)
    assert lanes.counter("refused", cause=cause) == 1
    assert lanes.receipts == []


async def test_a_laboratory_adopts_on_first_contact(pool: Pool) -> None:
    lanes = await build(pool, adopts_unknown=True)
    await send(
        lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes, source="urn:x:9")), gateway="gw-nuevo"
    )
    assert await pool.fetchval("select count(*) from events") == 1
    assert len(lanes.received()) == 1
    assert await pool.fetchval("select adopted from devices where source = 'urn:x:9'")


async def test_an_unknown_event_type_is_kept(lanes: Lanes, pool: Pool) -> None:
    await send(lanes.event, Leaf.EVENT, contract.encode_event(press(lanes, type="goat.sighted")))
    assert await pool.fetchval("select type from events") == "goat.sighted"
    assert lanes.counter("unknown_event_types") == 1
    assert lanes.findings == []


@pytest.mark.parametrize("data", [b'{"x":"a\\u0000b"}', b'{"x":1e999999}', b"[" * 90 + b"]" * 90])
async def test_odd_data_never_stops_an_alarm_nor_its_batch(lanes: Lanes, pool: Pool, data: bytes) -> None:
    odd = contract.encode_event(press(lanes, data="@")).replace(b'"@"', data)
    await send(lanes.alarm, Leaf.ALARM, *(contract.encode_event(press(lanes)) for _ in range(5)), odd)
    assert await pool.fetchval("select count(*) from events") == 6
    assert len(lanes.findings) == 6


async def test_a_database_that_went_away_holds_the_batch_until_it_is_back(lanes: Lanes, pool: Pool) -> None:
    clock = lanes.intake.clock
    assert isinstance(clock, VirtualClock)
    await pool.execute("alter table events rename to events_away")
    await pool.execute("create view events as select * from events_away")
    # A server that shuts down says 57P01; a trigger of ours says it in its place.
    await pool.execute(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'going down' using errcode = '57P01'; end $$"
    )
    await pool.execute("create trigger t instead of insert on events for each row execute function refuse()")
    waiting = asyncio.ensure_future(send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes))))
    await clock.sleeping()
    assert not waiting.done()
    assert lanes.receipts == []
    await pool.execute("drop view events")
    await pool.execute("alter table events_away rename to events")
    await clock.advance(5)
    await waiting
    assert await pool.fetchval("select count(*) from events") == 1
    assert len(lanes.received()) == 1


async def test_a_reaction_that_fails_takes_the_event_back(lanes: Lanes, pool: Pool) -> None:
    async def fail(connection: Connection, findings: Sequence[Finding], now: datetime) -> Callable[[], None]:
        raise RuntimeError("no alert")

    object.__setattr__(lanes.intake, "react", fail)
    with pytest.raises(RuntimeError, match="no alert"):
        await send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes)))
    assert await pool.fetchval("select count(*) from events") == 0
    assert lanes.receipts == []


# ---------------------------------------------------------------------------------------- telemetry


def pack(lanes: Lanes, *values: float, quantity: str = "battery", back_s: float = 0, **marks: Any) -> bytes:
    start = lanes.intake.clock.now().timestamp() - back_s
    measurements = [
        Measurement(name=f"{CAMERA}:{quantity}", time=round(start + i * 0.5, 3), unit="/", value=value)
        for i, value in enumerate(values)
    ]
    return contract.encode_pack(measurements, **marks)


async def test_a_pack_is_stored_once_and_confirmed_each_time(lanes: Lanes, pool: Pool) -> None:
    payload = pack(lanes, 0.9, 0.8, 0.7, id="p-1", back_s=60)
    await send(lanes.telemetry, Leaf.TELEMETRY, payload, payload)
    await send(lanes.telemetry, Leaf.TELEMETRY, payload)
    assert await pool.fetchval("select count(*) from telemetry") == 3
    assert lanes.counter("duplicates", lane="telemetry") == 6
    assert lanes.received() == ["p-1", "p-1"]
    latest = await pool.fetchrow("select value from telemetry_latest")
    assert latest["value"] == 0.7


async def test_a_future_reading_is_kept_and_never_the_latest(lanes: Lanes, pool: Pool) -> None:
    await send(
        lanes.telemetry, Leaf.TELEMETRY, pack(lanes, 0.1, back_s=-3_000_000_000), pack(lanes, 0.6, back_s=10)
    )
    assert await pool.fetchval("select count(*) from telemetry") == 2
    assert await pool.fetchval("select value from telemetry_latest") == 0.6
    assert lanes.counter("future_times", lane="telemetry") == 1
    assert lanes.findings == []


async def test_a_low_battery_is_found_once_and_remembered_over_a_restart(lanes: Lanes, pool: Pool) -> None:
    await send(lanes.telemetry, Leaf.TELEMETRY, pack(lanes, 0.5, 0.15, 0.14, back_s=30))
    assert [f.kind for f in lanes.findings] == ["battery_low"]
    again = await build(pool)
    await send(again.telemetry, Leaf.TELEMETRY, pack(again, 0.13, back_s=20))
    assert again.findings == []
    await send(again.telemetry, Leaf.TELEMETRY, pack(again, 0.9, 0.1, back_s=10))
    assert [f.kind for f in again.findings] == ["battery_low"]


async def test_times_of_an_unsynchronised_boot_are_shifted_the_same_way_each_time(
    lanes: Lanes, pool: Pool
) -> None:
    clock = lanes.intake.clock
    assert isinstance(clock, VirtualClock)
    boot = contract.encode_pack(
        [
            Measurement(name=f"{CAMERA}:battery", time=1_000_000_000.0 + i, unit="/", value=0.5)
            for i in range(3)
        ],
        id="p-9",
        clock=DeviceClock.UNSYNCED,
        bootid="boot-1",
    )
    first_at = clock.now()
    await send(lanes.telemetry, Leaf.TELEMETRY, contract.with_age(boot, 4000))
    await clock.advance(75)
    await send(lanes.telemetry, Leaf.TELEMETRY, contract.with_age(boot, 79_250))
    again = await build(pool)
    await send(again.telemetry, Leaf.TELEMETRY, contract.with_age(boot, 80_000))
    rows = await pool.fetch("select at from telemetry order by at")
    assert [r["at"] for r in rows] == [first_at - timedelta(seconds=s) for s in (6, 5, 4)]


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"[]", "malformed"),
        (b'[{"n":"a b","v":1}]', "malformed"),
        (b'[{"bn":"urn:x:1:","n":"t"}]', "malformed"),
        (b'[{"n":"t","v":"hot"}]', "malformed"),
        (b'[{"n":"urn:x:77:t","v":1}]', "unknown_device"),
        (json.dumps([{"n": f"{CAMERA}:t", "t": 1e300, "v": 1}]).encode(), "malformed"),
        (json.dumps([{"n": f"{CAMERA}:{'t' * 500}", "v": 1}]).encode(), "malformed"),
        (json.dumps([{"n": f"{CAMERA}:t", "vs": "a\x00b"}]).encode(), "malformed"),
    ],
)
async def test_bad_packs_are_refused_and_the_next_is_stored(
    lanes: Lanes, pool: Pool, payload: bytes, cause: str
) -> None:
    await send(lanes.telemetry, Leaf.TELEMETRY, payload, pack(lanes, 0.4, id="good", back_s=5))
    assert lanes.counter("refused", cause=cause) == 1
    assert await pool.fetchval("select count(*) from telemetry") == 1
    assert lanes.received() == ["good"]


async def test_text_flags_and_sums_are_kept(lanes: Lanes, pool: Pool) -> None:
    now = lanes.intake.clock.now().timestamp()
    records = [
        {"bn": f"{CAMERA}:", "bt": now - 5, "n": "mode", "vs": "night"},
        {"n": "door", "vb": True},
        {"n": "rain", "s": 3.5, "u": "m"},
    ]
    await send(lanes.telemetry, Leaf.TELEMETRY, json.dumps(records).encode())
    rows = await pool.fetch(
        "select name, value, text from telemetry join quantities using (quantity_id) order by name"
    )
    assert [tuple(r) for r in rows] == [("door", 1.0, None), ("mode", None, "night"), ("rain", 3.5, None)]


async def test_day_partitions_take_over_what_waited_in_the_default(lanes: Lanes, pool: Pool) -> None:
    await send(lanes.telemetry, Leaf.TELEMETRY, pack(lanes, 0.4, back_s=5))
    assert await pool.fetchval("select count(*) from telemetry_default") == 1
    today = lanes.intake.clock.now().date()
    assert await ensure_partitions(pool, today, days_ahead=2) == 4
    assert await ensure_partitions(pool, today, days_ahead=2) == 0
    assert await pool.fetchval("select count(*) from telemetry_default") == 0
    assert await pool.fetchval("select count(*) from telemetry") == 1
    dropped = await drop_old_partitions(pool, today + timedelta(days=12), keep_days=12)
    assert dropped == [f"telemetry_{today - timedelta(days=1):%Y%m%d}"]
    assert await pool.fetchval("select count(*) from telemetry") == 1


async def test_month_partitions_hold_the_ids_of_their_month(lanes: Lanes, pool: Pool) -> None:
    event = press(lanes)
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(event))
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(press(lanes, id="no uuid")))
    today = lanes.intake.clock.now().date()
    assert await ensure_event_partitions(pool, today, months_ahead=1) == 2
    assert await ensure_event_partitions(pool, today, months_ahead=1) == 0
    assert await pool.fetchval(f"select count(*) from events_{today:%Y%m}") == 1
    assert await pool.fetchval("select event_id from events_default") == "no uuid"
    # The key still holds after the move.
    await send(lanes.alarm, Leaf.ALARM, contract.encode_event(event))
    assert await pool.fetchval("select count(*) from events") == 2
    assert await drop_old_event_partitions(pool, today + timedelta(days=70), keep_days=1) == [
        f"events_{today:%Y%m}",
        f"events_{today + timedelta(days=31):%Y%m}",
    ]
