"""A month of a fictional commune of 28,400 inhabitants, made from a seed: history for rehearsals.

The same seed and end give the same rows. Nothing in it is real: no place, nobody, no case.
"""

import math
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from hub.database import Pool
from hub.intake.partitions import ensure_event_partitions
from hub.rules.schedule import SANTIAGO
from hub.telemetry import rollups
from hub.telemetry.partitions import ensure_partitions

INHABITANTS = 28_400
SEED = 20261124
GATEWAYS = 24
READ_EVERY = timedelta(minutes=7)
"""Cadence of the sensors: with thirty days, a little over a million signals in all."""
SECTORS = ("Centro", "Puerto", "Los Boldos", "La Quebrada", "El Molino", "Las Dunas", "Bajo Río")
CENTRE = (-34.39, -72.0)


class HistoryError(Exception):
    """The example cannot be written; the message (Spanish) says what to do."""


@dataclass(frozen=True, slots=True)
class Habit:
    """What one kind of device does: ``per_day`` events of ``type`` a device, weighted by the local hour."""

    type: str
    kind: str
    summary: str
    priority: int
    per_day: float
    is_nightly: bool = False
    false_share: float = 0.3
    """How often it turns out to be nothing, over all devices; each has its own share around it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity of a device: a mean, a swing over the day, noise, and now and then a swell."""

    quantity: str
    unit: str
    mean: float
    swing: float
    noise: float
    swell: float = 0.0
    every: timedelta = READ_EVERY


@dataclass(frozen=True, slots=True)
class Sort:
    """How many devices of a kind there are, and what they do."""

    kind: str
    count: int
    habits: tuple[Habit, ...] = ()
    series: tuple[Series, ...] = ()


_BATTERY = Series("battery", "/", 0.85, 0.02, 0.004, every=timedelta(hours=1))
FLEET = (
    Sort(
        "panic_button",
        INHABITANTS // 100,
        (Habit("panic.pressed", "panic", "Botón de pánico", 1, 0.05, is_nightly=True, false_share=0.45),),
        (_BATTERY,),
    ),
    Sort(
        "gate",
        60,
        (Habit("gate.opened", "gate_open", "Portón abierto", 3, 9.0, false_share=0.6),),
        (_BATTERY,),
    ),
    Sort("camera", 40, (Habit("camera.moved", "camera_moved", "Cámara movida", 3, 0.02, false_share=0.7),)),
    Sort(
        "smoke_detector",
        60,
        (Habit("smoke.detected", "smoke", "Humo", 1, 0.01, false_share=0.5),),
        (Series("temperature", "Cel", 15.0, 7.0, 0.6),),
    ),
    Sort("river_level", 4, (), (Series("level", "m", 1.4, 0.1, 0.03, swell=1.6),)),
    Sort("water_tank", 12, (), (Series("level", "m", 2.6, 0.5, 0.02),)),
    Sort(
        "weather",
        12,
        (),
        (
            Series("temperature", "Cel", 16.0, 8.0, 0.5),
            Series("humidity", "%RH", 60.0, -25.0, 3.0),
            Series("wind", "m/s", 5.0, 3.0, 1.2),
        ),
    ),
    Sort("pump", 8, (), (Series("current", "A", 7.4, 0.3, 0.1),)),
)


@dataclass(frozen=True, slots=True)
class Thing:
    """One device, before the database has given it a number."""

    source: str
    sort: Sort
    name: str
    gateway: str
    place: str
    sector: str
    latitude: float
    longitude: float
    false_share: float
    """Its own leaning to false alarms, around that of its habits: -0.3 .. 0.3."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a thing and, where it became a case, how that was closed (None: it is still open)."""

    at: datetime
    habit: Habit
    data: Mapping[str, object]
    is_case: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Length:
    """From ``since`` until before ``until``, aware UTC."""

    since: datetime
    until: datetime

    @property
    def days(self) -> float:
        return (self.until - self.since) / timedelta(days=1)


@dataclass(slots=True)
class Written:
    """What went into the database."""

    devices: int = 0
    events: int = 0
    measurements: int = 0
    alerts: int = 0


# ------------------------------------------------------------------------------------------- making


def things(seed: int) -> list[Thing]:
    made = []
    for sort in FLEET:
        for number in range(1, sort.count + 1):
            source = f"urn:example:{sort.kind}-{number}"
            chance = random.Random(f"{seed}:{source}")  # noqa: S311 - repeatable, nothing secret
            made.append(_thing(source, sort, number, chance))
    return made


def _thing(source: str, sort: Sort, number: int, chance: random.Random) -> Thing:
    sector = chance.choice(SECTORS)
    return Thing(
        source=source,
        sort=sort,
        name=f"{sort.kind} {number}",
        gateway=f"gw-ejemplo-{chance.randrange(GATEWAYS) + 1}",
        place=f"{sector}, lote {chance.randrange(1, 90)}",
        sector=sector,
        latitude=round(CENTRE[0] + chance.uniform(-0.05, 0.05), 5),
        longitude=round(CENTRE[1] + chance.uniform(-0.05, 0.05), 5),
        false_share=chance.uniform(-0.3, 0.3),
    )


def events_of(thing: Thing, length: Length, seed: int) -> Iterator[Happened]:
    """In the order of time; most follow the hours of people, the others those of the night."""
    for habit in thing.sort.habits:
        chance = random.Random(f"{seed}:{thing.source}:{habit.type}")  # noqa: S311
        at = length.since
        while (at := at + timedelta(days=chance.expovariate(3 * habit.per_day))) < length.until:
            if chance.random() < _weight(at, habit.is_nightly) / 3:
                yield _happened(thing, habit, at, length, chance)


def _weight(at: datetime, is_nightly: bool) -> float:
    """0..3, about 1 over a day, by the local hour."""
    hour = at.astimezone(SANTIAGO).hour
    is_night = hour >= 20 or hour < 6
    return (2.0 if is_night else 0.3) if is_nightly else (0.3 if is_night else 1.5)


def _happened(thing: Thing, habit: Habit, at: datetime, length: Length, chance: random.Random) -> Happened:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    data = {"width_cm": chance.randrange(5, 120)} if habit.type == "gate.opened" else {}
    is_case = habit.priority == 1 or chance.random() < 0.25
    is_open = length.until - at < timedelta(hours=12) and chance.random() < 0.4
    return Happened(at, habit, data, is_case, None if is_open else _reason(thing, habit, chance))


def _reason(thing: Thing, habit: Habit, chance: random.Random) -> str:
    if chance.random() < 0.04:
        return chance.choice(("test", "drill", "duplicate"))
    if chance.random() < habit.false_share + thing.false_share:
        return chance.choice(("nothing_found", "mistaken", "technical"))
    return chance.choice(("attended", "attended", "referred"))


def values_of(thing: Thing, series: Series, length: Length, seed: int) -> Iterator[tuple[datetime, float]]:
    chance = random.Random(f"{seed}:{thing.source}:{series.quantity}")  # noqa: S311
    swells = [chance.uniform(0, length.days) for _ in range(math.ceil(length.days / 10))]
    count = int((length.until - length.since) / series.every)
    offset = series.every * chance.random()
    for number in range(count):
        at = length.since + series.every * number + offset
        day = (at - length.since) / timedelta(days=1)
        # Highest in the middle of Chile's afternoon.
        value = series.mean + series.swing * math.sin(2 * math.pi * (at.hour / 24 + at.minute / 1440 - 0.5))
        value += series.noise * chance.gauss(0, 1)
        if series.swell:
            value += series.swell * sum(math.exp(-(((day - swell) / 0.25) ** 2)) for swell in swells)
        yield at.replace(microsecond=at.microsecond // 1000 * 1000), round(value, 3)


def _uuid7(at: datetime, chance: random.Random) -> uuid.UUID:
    """A UUIDv7 (RFC 9562 section 5.7) whose random bits come from the seed."""
    ms = int(at.timestamp() * 1000)
    return uuid.UUID(int=ms << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62))


# ------------------------------------------------------------------------------------------ writing


async def write(pool: Pool, length: Length, seed: int = SEED) -> Written:
    """Fill an empty database. Raises :class:`HistoryError` where devices are in it already."""
    if await pool.fetchval("select count(*) from devices"):
        raise HistoryError(
            "esta base ya tiene dispositivos; el ejemplo solo se escribe en una base vacía: use otra --data"
        )
    await _make_partitions(pool, length)
    fleet = things(seed)
    ids = await _register(pool, fleet)
    written = Written(devices=len(fleet))
    await _write_cases(pool, fleet, ids, length, seed, written)
    await _write_values(pool, fleet, ids, length, seed, written)
    await rollups.note_all(pool)
    for table in ("events", "telemetry", "alerts"):
        await pool.execute(f"analyze {table}")
    return written


async def _make_partitions(pool: Pool, length: Length) -> None:
    await ensure_event_partitions(pool, length.since.date(), math.ceil(length.days / 28))
    await ensure_partitions(pool, length.since.date(), math.ceil(length.days) + 1)


async def _register(pool: Pool, fleet: Sequence[Thing]) -> dict[str, int]:
    gateways = sorted({t.gateway for t in fleet})
    await pool.execute("insert into gateways (gateway) select unnest($1::text[])", gateways)
    await pool.executemany(
        "insert into devices"
        " (source, gateway, kind, name, place, sector, latitude, longitude, silent_after_s)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, 7200)",
        [
            (t.source, t.gateway, t.sort.kind, t.name, t.place, t.sector, t.latitude, t.longitude)
            for t in fleet
        ],
    )
    rows = await pool.fetch("select source, device_id from devices")
    return {row["source"]: row["device_id"] for row in rows}


_EVENT_COLUMNS = (
    "id",
    "device_id",
    "gateway",
    "type",
    "happened_at",
    "time_quality",
    "received_at",
    "digest",
    "data",
)
_ALERT_COLUMNS = (
    "alert_id", "code", "kind", "priority", "state", "reason", "dedup_key", "device_id", "gateway", "place",
    "sector", "latitude", "longitude", "summary", "rule", "happened_at", "opened_at", "last_event_at",
    "is_drill", "closed_at",
)  # fmt: skip


@dataclass(slots=True)
class _Cases:
    """The rows of events and of alerts; a device has one open alert at most."""

    events: list[tuple[object, ...]] = field(default_factory=list)
    alerts: list[tuple[object, ...]] = field(default_factory=list)
    open: set[str] = field(default_factory=set)


async def _write_cases(
    pool: Pool, fleet: Iterable[Thing], ids: Mapping[str, int], length: Length, seed: int, written: Written
) -> None:
    cases = _Cases()
    for thing in fleet:
        chance = random.Random(f"{seed}:{thing.source}:ids")  # noqa: S311
        for happened in events_of(thing, length, seed):
            _take(cases, thing, ids[thing.source], happened, chance)
    async with pool.acquire() as connection:
        await connection.copy_records_to_table("events", records=cases.events, columns=_EVENT_COLUMNS)
        await connection.copy_records_to_table("alerts", records=cases.alerts, columns=_ALERT_COLUMNS)
    written.events, written.alerts = len(cases.events), len(cases.alerts)


def _take(cases: _Cases, thing: Thing, device_id: int, happened: Happened, chance: random.Random) -> None:
    at, habit = happened.at, happened.habit
    data = msgspec.json.encode(happened.data).decode() if happened.data else None
    received_at = at + timedelta(seconds=chance.uniform(0.1, 3))
    id_ = _uuid7(at, chance)
    cases.events.append((id_, device_id, thing.gateway, habit.type, at, "device", received_at, b"", data))
    key = f"{habit.kind}:{device_id}"
    if not happened.is_case or key in cases.open:
        return
    if happened.reason is None:
        cases.open.add(key)
    closed_at = None if happened.reason is None else at + timedelta(minutes=chance.uniform(3, 90))
    cases.alerts.append(
        (
            _uuid7(received_at, chance), f"H{len(cases.alerts) + 1}", habit.kind, habit.priority,
            "received" if happened.reason is None else "closed", happened.reason, key, device_id,
            thing.gateway, thing.place, thing.sector, thing.latitude, thing.longitude,
            f"{habit.summary}: {thing.name}", habit.kind, at, received_at, at,
            happened.reason == "drill", closed_at,
        )
    )  # fmt: skip


async def _write_values(
    pool: Pool, fleet: Iterable[Thing], ids: Mapping[str, int], length: Length, seed: int, written: Written
) -> None:
    quantities: dict[tuple[str, str], int] = {}
    async with pool.acquire() as connection:
        for thing in fleet:
            for series in thing.sort.series:
                name = (series.quantity, series.unit)
                if name not in quantities:
                    quantities[name] = await pool.fetchval(
                        "insert into quantities (name, unit) values ($1, $2) returning quantity_id", *name
                    )
                rows = [
                    (ids[thing.source], quantities[name], at, value)
                    for at, value in values_of(thing, series, length, seed)
                ]
                await connection.copy_records_to_table(
                    "telemetry", records=rows, columns=("device_id", "quantity_id", "at", "value")
                )
                written.measurements += len(rows)
