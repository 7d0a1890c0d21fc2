"""Time series behind one protocol: the same calls, the same answers, whatever store keeps them."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from fakes import eventually
from influx_engine import ORG, TOKEN, InfluxEngine, Shim

from hub.clock import SystemClock
from hub.database import Pool, connect, migrate, persist
from hub.metrics import Metrics
from hub.servers.postgres import ROLE, Binaries, EmbeddedPostgres, installations
from hub.telemetry import (
    Aggregate,
    Keep,
    Point,
    Reading,
    Resolution,
    Series,
    TelemetryStore,
    resolution_for,
)
from hub.telemetry.influx import Access
from hub.telemetry.influx.setup import set_up
from hub.telemetry.influx.store import InfluxTelemetry, open_influx
from hub.telemetry.partitions import ensure_partitions
from hub.telemetry.postgres import PostgresTelemetry
from hub.telemetry.slots import SLOT, floor, spans

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("span", "resolution"),
    [
        (timedelta(minutes=5), Resolution.RAW),
        (timedelta(hours=6), Resolution.RAW),
        (timedelta(hours=24), Resolution.MINUTE),
        (timedelta(days=7), Resolution.HOUR),
        (timedelta(days=365), Resolution.DAY),
    ],
)
def test_a_range_chooses_its_resolution(span: timedelta, resolution: Resolution) -> None:
    assert resolution_for(span) is resolution


def test_neighbouring_slots_are_one_span_and_grow_to_whole_hours() -> None:
    slots = [NOON + SLOT, NOON, NOON + 3 * HOUR]
    assert spans(slots) == [(NOON, NOON + 2 * SLOT), (NOON + 3 * HOUR, NOON + 3 * HOUR + SLOT)]
    assert spans(slots, HOUR) == [(NOON, NOON + HOUR), (NOON + 3 * HOUR, NOON + 4 * HOUR)]
    assert floor(NOON + timedelta(minutes=19, seconds=59), SLOT) == NOON + SLOT


# ------------------------------------------------------------------------------ one suite, every store


@dataclass
class World:
    """A store, the database beside it, and the server that may be killed."""

    store: TelemetryStore
    pool: Pool
    server: EmbeddedPostgres | InfluxEngine
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    kills: int = 0

    async def write(self, *points: Point, now: datetime = NOON) -> int:
        await self.store.prepare(self.pool, points)
        return await self.store.write(self.pool, points, now)

    async def settle(self) -> None:
        """Everything delivered and rolled up."""
        if isinstance(self.store, InfluxTelemetry):
            await self.store.send_waiting(self.pool, SystemClock())
        while await self.store.roll_up(self.pool, NOON):
            pass

    async def history(
        self, resolution: Resolution | None, since: datetime, until: datetime, series: Series | None = None
    ) -> list[Aggregate]:
        return await self.store.history(self.pool, series or TEMPERATURE, since, until, resolution)

    async def kill_and_revive(self) -> None:
        async with self.turn:
            if isinstance(self.server, InfluxEngine):
                await self.server.kill()
            else:
                assert self.server.pid is not None
                os.kill(self.server.pid, signal.SIGKILL)
                await eventually(lambda: self.server.pid is None)
            self.kills += 1
            await self.server.start()


def reading(value: float, after: timedelta = timedelta(), device_id: int = 1) -> Point:
    return Point(device_id, "temperature", "Cel", NOON + after, value)


TEMPERATURE = Series(1, "temperature", "Cel")
KEEP = Keep(raw_days=4000, rollup_days=9000)  # NOON is fixed, the engine's clock is not


@asynccontextmanager
async def postgres(server: EmbeddedPostgres) -> AsyncIterator[Pool]:
    """A migrated database of its own."""
    name = f"telemetry_{next(NUMBERS)}"
    admin = await asyncpg.connect(server.admin_dsn)
    await admin.execute(f"create database {name} owner {ROLE}")
    await admin.close()
    pool = await connect(f"{server.address.rpartition('/')[0]}/{name}")
    try:
        await migrate(pool)
        await pool.execute("insert into gateways (gateway) values ('gw-1')")
        await pool.execute(
            "insert into devices (source, gateway, kind, name)"
            " select 'urn:dev:org:32473-sensor-' || n, 'gw-1', 'sensor', '' from generate_series(1, 10) n"
        )
        await ensure_partitions(pool, NOON.date())
        yield pool
    finally:
        await pool.close()


NUMBERS = itertools.count(1)


@asynccontextmanager
async def influx(engine: InfluxEngine, pool: Pool, folder: Path) -> AsyncIterator[World]:
    async with Shim(engine) as shim:
        access = Access(url=shim.url, org=ORG, bucket="almenara", token=TOKEN)
        # a million readings are 80 MB, and a slow server takes them later than we write them
        async with open_influx(access, folder, 2**30, KEEP, Metrics()) as store:
            await set_up(store.server, KEEP)
            await store.load(pool)
            yield World(store, pool, engine)


def debian_only() -> Iterator[Binaries]:
    return (found for found in installations() if found.major == 15)


@pytest_asyncio.fixture(params=["postgresql 18", "postgresql 15", "influxdb"])
async def world(
    request: pytest.FixtureRequest, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Every store on a server of its own, so that a test may kill it."""
    if request.param == "postgresql 15":
        monkeypatch.setattr("hub.servers.postgres.installations", debian_only)
    server = EmbeddedPostgres(server_folder / "postgres")
    await server.start()
    try:
        async with postgres(server) as pool:
            if request.param == "influxdb":
                engine = InfluxEngine(server_folder / "influx")
                await engine.start()
                try:
                    async with influx(engine, pool, server_folder / "spool") as made:
                        yield made
                finally:
                    await engine.kill()
            else:
                assert (await pool.fetchval("show server_version")).startswith(request.param.split()[1])
                store = PostgresTelemetry(KEEP)
                await store.load(pool)
                yield World(store, pool, server)
    finally:
        await server.stop()


async def test_readings_come_back_in_order_and_a_repeat_is_harmless(world: World) -> None:
    points = [reading(20.0 + n, timedelta(seconds=n)) for n in (2, 0, 1)]
    assert await world.write(*points) == 3
    await world.write(*points)
    await world.write(reading(7.5, device_id=2))
    await world.settle()
    found = await world.history(None, NOON, NOON + timedelta(seconds=2))
    assert found == [Aggregate(NOON + timedelta(seconds=n), 1, 20.0 + n, 20.0 + n, 20.0 + n) for n in (0, 1)]
    everything = await world.history(Resolution.RAW, NOON, NOON + HOUR)
    assert [row.mean for row in everything] == [20.0, 21.0, 22.0]


async def test_rollups_hold_count_sum_lowest_and_highest_of_each_length(world: World) -> None:
    await world.write(*[reading(float(n % 60), timedelta(seconds=20 * n)) for n in range(540)])
    await world.settle()
    minutes = await world.history(Resolution.MINUTE, NOON, NOON + 3 * HOUR)
    assert len(minutes) == 180
    assert minutes[1] == Aggregate(NOON + timedelta(minutes=1), 3, 3.0 + 4 + 5, 3.0, 5.0)
    hours = await world.history(Resolution.HOUR, NOON, NOON + 3 * HOUR)
    assert [(row.at, row.n, row.min, row.max) for row in hours] == [
        (NOON + n * HOUR, 180, 0.0, 59.0) for n in range(3)
    ]
    assert sum(row.sum for row in hours) == sum(float(n % 60) for n in range(540))
    days = await world.history(Resolution.DAY, NOON - 12 * HOUR, NOON + 12 * HOUR)
    assert [(row.at, row.n) for row in days] == [(NOON - 12 * HOUR, 540)]


async def test_late_readings_find_their_way_into_the_rollups(world: World) -> None:
    await world.write(reading(10.0), reading(12.0, 3 * HOUR))
    await world.settle()
    await world.write(reading(40.0, timedelta(seconds=30)), reading(-5.0, timedelta(days=-20)))
    await world.settle()
    hours = await world.history(Resolution.HOUR, NOON - timedelta(days=30), NOON + 4 * HOUR)
    assert [(row.n, row.min, row.max) for row in hours] == [
        (1, -5.0, -5.0),
        (2, 10.0, 40.0),
        (1, 12.0, 12.0),
    ]
    assert await world.store.roll_up(world.pool, NOON) == 0


async def test_the_newest_reading_is_never_one_from_the_future(world: World) -> None:
    text = Point(1, "door", "", NOON - HOUR, None, 'abierta "sur"')
    await world.write(reading(1.0), reading(2.0, timedelta(days=9)), reading(0.5, -HOUR), text)
    assert await world.store.latest(world.pool, [1, 2]) == [
        Reading(Series(1, "door"), NOON - HOUR, None, 'abierta "sur"'),
        Reading(TEMPERATURE, NOON, 1.0, None),
    ]
    await world.write(reading(3.0, timedelta(seconds=-1)))
    assert (await world.store.latest(world.pool, [1]))[1].value == 1.0


async def test_units_and_odd_names_stay_apart(world: World) -> None:
    names = [("level", "m"), ("level", "%"), ("caudal río, 2", "m3/s"), ("a=b c", ""), ('d"e\\', "x y")]
    await world.write(*[Point(1, name, unit, NOON, float(n)) for n, (name, unit) in enumerate(names)])
    await world.settle()
    for n, (name, unit) in enumerate(names):
        rows = await world.history(Resolution.RAW, NOON, NOON + HOUR, Series(1, name, unit))
        assert [row.sum for row in rows] == [float(n)], (name, unit)
        assert len(await world.history(Resolution.HOUR, NOON, NOON + HOUR, Series(1, name, unit))) == 1
    assert await world.history(Resolution.RAW, NOON, NOON + HOUR, Series(1, "nothing' or 1=1", "")) == []


async def test_health_says_whether_it_answers(world: World) -> None:
    health = await world.store.health(world.pool)
    assert health.is_up
    assert health.detail.split()[0] in ("PostgreSQL", "InfluxDB")


async def test_a_kill_in_the_middle_of_writes_loses_nothing_and_doubles_nothing(world: World) -> None:
    """``ALMENARA_TELEMETRY_POINTS`` makes it longer: ``make telemetry-kill`` runs it with a million."""
    total = int(os.environ.get("ALMENARA_TELEMETRY_POINTS", "100000"))
    batches = [
        [
            reading(n % 50, timedelta(milliseconds=250 * (n // 10)), 1 + n % 10)
            for n in range(start, start + 1000)
        ]
        for start in range(0, total, 1000)
    ]
    clock, kills = SystemClock(), (len(batches) // 3, 2 * len(batches) // 3)
    async with asyncio.TaskGroup() as tasks:
        if isinstance(world.store, InfluxTelemetry):
            sender = tasks.create_task(world.store.send_loop(world.pool, clock))
        for number, points in enumerate(batches):
            if number in kills:
                tasks.create_task(world.kill_and_revive())  # runs once the write below waits for its answer
            await persist(partial(_write, world, points), clock.sleep, "test")
        if isinstance(world.store, InfluxTelemetry):
            spool = world.store.spool
            await eventually(lambda: not spool.peek(1), limit_s=300)
            sender.cancel()
    assert world.kills == 2
    await world.settle()
    days = [
        row
        for device_id in range(1, 11)
        for row in await world.history(
            Resolution.DAY,
            NOON - HOUR * 12,
            NOON + timedelta(days=3),
            Series(device_id, "temperature", "Cel"),
        )
    ]
    assert sum(row.n for row in days) == total
    assert sum(row.sum for row in days) == sum(n % 50 for n in range(total))


async def _write(world: World, points: list[Point]) -> None:
    await world.write(*points, now=NOON + timedelta(days=9))
