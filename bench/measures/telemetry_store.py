"""Time series: our way into a server of InfluxDB's protocol, beside its client library and bare HTTP; and
what rollups save whoever looks at history.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point as LibraryPoint
from influxdb_client.client.write_api import WriteOptions
from influxdb_client.domain.write_precision import WritePrecision

from bench.errors import BenchError
from bench.figures import Ratio, Section, figure, ratios
from bench.series_servers import influxdb, victoriametrics
from bench.setting import PLAIN, Setting
from hub.clock import SystemClock
from hub.database import Pool, connect
from hub.metrics import Metrics
from hub.telemetry import Keep, Point, Resolution, Series, rollups
from hub.telemetry.influx import Access
from hub.telemetry.influx.lines import batch, prefix
from hub.telemetry.influx.store import REQUEST_BYTES, open_influx
from hub.telemetry.postgres import PostgresTelemetry

INFLUXDB = "InfluxDB"
_SERVERS = {INFLUXDB: influxdb, "VictoriaMetrics": victoriametrics}
_POINTS_AN_EVENT = 10
_BATCH = 5_000
"""500 packs of ten records: what the hub's lane takes at once when there is much."""
_SENSORS = 200
OURS, LIBRARY, BARE = "ours: spool and server", "influxdb-client, Point and batching", "bare HTTP, same lines"
_YEAR_DEVICES = 20

_FILL = """
    insert into telemetry (device_id, quantity_id, at, value)
    select d, 1, date_trunc('minute', now()) - n * interval '365 days' / $1::int, (n + d) % 100
    from generate_series(1, $1::int) n, generate_series(1, $2::int) d
"""
_BARE_DAYS = """
    select date_bin('1 day', at, 'epoch') as at, count(*), sum(value), min(value), max(value) from telemetry
    where device_id = $1 and quantity_id = $2 and at >= $3 and at < $4 group by 1 order by 1
"""

Way = Callable[[Setting, Pool, str, list[list[Point]]], Awaitable[float]]


async def measure(setting: Setting) -> Section:
    rates: dict[str, dict[str, list[float]]] = {s: {name: [] for name in _WAYS} for s in _SERVERS}
    for index in range(setting.scale.rounds):
        for server in _SERVERS:
            for name in _turned(list(_WAYS), index):
                rates[server][name].append(rate := await _rate(setting, server, name))
                setting.say(f"telemetry_store {index + 1}: {server}: {name}: {rate:,.0f} readings/s")
    looked = await _history(setting)
    return Section(
        title="Time series: readings a second into a server, and milliseconds for a year of one sensor",
        ratios=[
            *(ratio for server, found in rates.items() for ratio in _ratios(server, found)),
            Ratio("a year by day, from readings / from rollups", ratios(looked.bare_ms, looked.rolled_ms)),
        ],
        columns=["readings/s", "ms"],
        rows={
            **{
                f"{server}: {name}": {"readings/s": figure(values)}
                for server, found in rates.items()
                for name, values in found.items()
            },
            f"a year by day, one sensor of {looked.rows:,} readings": {"ms": figure(looked.bare_ms)},
            "a year by day, from rollups": {"ms": figure(looked.rolled_ms)},
            "all of it rolled up": {"readings/s": figure([looked.roll_rate])},
        },
        notes=[
            f"Ours: {_BATCH:,} readings at a time, newest ones into PostgreSQL, lines to disk (fsync), sent.",
            f"Bare: the same lines, encoded beforehand, {REQUEST_BYTES // 1_000_000} MB a request, no disk.",
            "Every server is asked afterwards whether it holds all readings.",
        ],
    )


def _ratios(server: str, found: dict[str, list[float]]) -> list[Ratio]:
    budget = ">= 0.8" if server == INFLUXDB else ""
    return [
        Ratio(f"{server}: ours / {BARE}", ratios(found[OURS], found[BARE]), budget=budget),
        Ratio(f"{server}: ours / {LIBRARY}", ratios(found[OURS], found[LIBRARY])),
    ]


def _turned(names: list[str], by: int) -> list[str]:
    return names[by % len(names) :] + names[: by % len(names)]


# ------------------------------------------------------------------------------------------- write


async def _rate(setting: Setting, server: str, name: str) -> float:
    """Readings a second; raises :class:`BenchError` when the server does not hold them all afterwards."""
    count = setting.scale.events * _POINTS_AN_EVENT
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    points = [
        Point(1 + n % _SENSORS, "temperature", "Cel", start + timedelta(milliseconds=n), float(n % 100))
        for n in range(count)
    ]
    batches = [points[n : n + _BATCH] for n in range(0, count, _BATCH)]
    async with setting.ground.database(PLAIN) as database, _pool(setting.ground.dsn(database)) as pool:
        with _SERVERS[server](setting.ground.folder) as running:
            took_s = await _WAYS[name](setting, pool, running.url, batches)
            if (stored := running.count()) != count:
                raise BenchError(f"{server}, {name}: it holds {stored:,} readings of {count:,}")
    return count / took_s


async def _ours(setting: Setting, pool: Pool, url: str, batches: list[list[Point]]) -> float:
    folder, clock = setting.ground.folder / f"spool-{setting.next_seed()}", SystemClock()
    access = Access(url, "bench", "bench", "bench")
    async with open_influx(access, folder, 2**30, Keep(), Metrics()) as store:
        await store.load(pool)
        for points in batches[:1]:
            await store.prepare(pool, points)
        started = time.perf_counter()
        sending = asyncio.create_task(store.send_loop(pool, clock))
        for points in batches:
            await store.write(pool, points, clock.now())
        while store.spool.waiting_bytes:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.001)
        took_s = time.perf_counter() - started
        sending.cancel()
    return took_s


async def _library(_setting: Setting, _pool: Pool, url: str, batches: list[list[Point]]) -> float:
    return await asyncio.to_thread(_library_writes, url, batches)


def _library_writes(url: str, batches: list[list[Point]]) -> float:
    options = WriteOptions(batch_size=5_000, flush_interval=1_000)
    started = time.perf_counter()
    with (
        InfluxDBClient(url=url, token="bench", org="bench") as client,  # noqa: S106 - they take any
        client.write_api(write_options=options) as api,
    ):
        for points in batches:
            for p in points:
                api.write("bench", record=_library_point(p))
    return time.perf_counter() - started


def _library_point(p: Point) -> object:
    made: Any = LibraryPoint("telemetry")  # type: ignore[no-untyped-call]
    made = made.tag("device", f"urn:dev:org:32473-s-{p.device_id}").tag("quantity", p.quantity)
    return made.tag("unit", p.unit).field("value", p.value).time(p.at, WritePrecision.MS)


async def _bare(_setting: Setting, _pool: Pool, url: str, batches: list[list[Point]]) -> float:
    prefixes = {n: prefix(f"urn:dev:org:32473-s-{n}", "temperature", "Cel") for n in range(1, _SENSORS + 1)}
    bodies: list[bytes] = [b""]
    for points in batches:
        lines = batch([prefixes[p.device_id] for p in points], points).lines
        if len(bodies[-1]) + len(lines) > REQUEST_BYTES:
            bodies.append(b"")
        bodies[-1] += lines + b"\n"
    query = {"bucket": "bench", "org": "bench", "precision": "ms"}
    async with aiohttp.ClientSession() as session:
        started = time.perf_counter()
        for body in bodies:
            async with session.post(f"{url}/api/v2/write", params=query, data=body) as response:
                response.raise_for_status()
        return time.perf_counter() - started


_WAYS: dict[str, Way] = {OURS: _ours, LIBRARY: _library, BARE: _bare}


@contextlib.asynccontextmanager
async def _pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await connect(dsn, max_size=4)
    try:
        yield pool
    finally:
        await pool.close()


# ----------------------------------------------------------------------------------------- history


@dataclass(frozen=True)
class _Looked:
    rows: int
    bare_ms: list[float]
    rolled_ms: list[float]
    roll_rate: float


async def _history(setting: Setting) -> _Looked:
    """A year of some sensors, asked for by day."""
    async with setting.ground.database(PLAIN) as database, _pool(setting.ground.dsn(database)) as pool:
        store = PostgresTelemetry()
        quantity_id = await pool.fetchval(
            "insert into quantities (quantity_id, name, unit) overriding system value"
            " values (1, 'temperature', 'Cel') on conflict do nothing returning 1"
        )
        if quantity_id != 1:
            raise BenchError("quantity 1 is taken")
        await store.load(pool)
        await pool.execute(_FILL, setting.scale.telemetry_rows // _YEAR_DEVICES, _YEAR_DEVICES)
        rows = int(await pool.fetchval("select count(*) from telemetry"))
        await rollups.note_all(pool)
        await pool.execute("vacuum analyze telemetry")
        started = time.perf_counter()
        now = datetime.now(UTC)
        while await store.roll_up(pool, now):
            pass
        roll_rate = rows / (time.perf_counter() - started)
        await pool.execute("analyze telemetry_1d")
        setting.say(f"telemetry_store: {rows:,} readings rolled up, {roll_rate:,.0f} a second")
        bare, rolled = [], []
        for device_id in range(1, _YEAR_DEVICES + 1):
            span = (now - timedelta(days=366), now)
            a = time.perf_counter()
            direct = await pool.fetch(_BARE_DAYS, device_id, 1, *span)
            b = time.perf_counter()
            series = Series(device_id, "temperature", "Cel")
            found = await store.history(pool, series, *span, Resolution.DAY)
            bare.append((b - a) * 1000)
            rolled.append((time.perf_counter() - b) * 1000)
            if [tuple(row)[1] for row in direct] != [row.n for row in found]:
                raise BenchError(f"rollups of sensor {device_id} differ from its readings")
    return _Looked(rows, bare, rolled, roll_rate)
