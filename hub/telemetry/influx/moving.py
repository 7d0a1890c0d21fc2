"""History from PostgreSQL to InfluxDB, day by day; a day that was moved whole is not moved again."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from hub.database import Pool
from hub.telemetry import Aggregate, Keep, Point, Resolution
from hub.telemetry.influx import rollups
from hub.telemetry.influx.delivery import deliver
from hub.telemetry.influx.lines import TAGS, batch, milliseconds, prefix, rollup
from hub.telemetry.influx.server import InfluxServer
from hub.telemetry.slots import SLOT

PORTION = 10_000
_DAY = timedelta(days=1)
_DAYS = """
    select (at at time zone 'UTC')::date as day, count(*) as rows from telemetry
    where at >= $1 group by 1 order by 1
"""
_MOVED = "select day, rows from telemetry_moves"
_NOTE = """
    insert into telemetry_moves (day, rows, moved_at) values ($1, $2, now())
    on conflict (day) do update set rows = excluded.rows, moved_at = excluded.moved_at
"""
_READINGS = """
    select d.source, q.name, q.unit, t.device_id, t.at, t.value, t.text
    from telemetry t join devices d using (device_id) join quantities q using (quantity_id)
    where t.at >= $1 and t.at < $2
"""
_ROLLUPS = """
    select d.source, q.name, q.unit, r.at, r.n, r.sum, r.min, r.max
    from {table} r join devices d using (device_id) join quantities q using (quantity_id) where r.at < $1
"""


@dataclass(frozen=True)
class Progress:
    """After each day: days done of all, readings written, lines that the server does not take."""

    day: date
    days_done: int
    days: int
    rows: int
    rejected: int


async def move(pool: Pool, server: InfluxServer, keep: Keep, now: datetime) -> AsyncIterator[Progress]:
    """Copy all that the server would keep. Stopped at any point, it goes on with the day that it was at.

    Nothing is deleted in PostgreSQL: what is there grows old and goes. Raises :class:`TelemetryError`.
    """
    floor = now - timedelta(days=keep.raw_days - 1)
    rejected: list[bytes] = []

    def on_rejected(line: bytes, _reason: str) -> None:
        rejected.append(line)

    await _move_rollups(pool, server, floor, on_rejected)
    moved = {r["day"]: r["rows"] for r in await pool.fetch(_MOVED)}
    days = await pool.fetch(_DAYS, floor)
    for number, (day, rows) in enumerate(days, 1):
        if moved.get(day) == rows:
            yield Progress(day, number, len(days), 0, len(rejected))
            continue
        await _move_day(pool, server, day, on_rejected)
        await pool.execute(_NOTE, day, rows)
        yield Progress(day, number, len(days), rows, len(rejected))


async def _move_day(
    pool: Pool, server: InfluxServer, day: date, on_rejected: Callable[[bytes, str], None]
) -> None:
    start = datetime.combine(day, time(), UTC)
    prefixes: dict[tuple[str, str, str], str] = {}
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        cursor = await connection.cursor(_READINGS, start, start + _DAY)
        while rows := await cursor.fetch(PORTION):
            starts, points = [], []
            for source, name, unit, device_id, at, value, text in rows:
                key = (source, name, unit)
                if key not in prefixes:
                    prefixes[key] = prefix(*key)
                starts.append(prefixes[key])
                points.append(Point(device_id, name, unit, at, value, text))
            await deliver(server, Resolution.RAW, batch(starts, points).lines, on_rejected)
    await rollups.refresh(server, [start + index * SLOT for index in range(_DAY // SLOT)])


async def _move_rollups(
    pool: Pool, server: InfluxServer, before: datetime, on_rejected: Callable[[bytes, str], None]
) -> None:
    """Hours and days whose readings are gone: they can only be copied."""
    for resolution, table in ((Resolution.HOUR, "telemetry_1h"), (Resolution.DAY, "telemetry_1d")):
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(_ROLLUPS.format(table=table), before - _DAY)
            while rows := await cursor.fetch(PORTION):
                lines = [rollup(dict(zip(TAGS, row[:3], strict=True)), Aggregate(*row[3:])) for row in rows]
                await deliver(server, resolution, "\n".join(lines).encode(), on_rejected)


async def differences(pool: Pool, server: InfluxServer, keep: Keep, now: datetime) -> list[str]:
    """Moved days of which InfluxDB has fewer readings than PostgreSQL, in Spanish."""
    floor = now - timedelta(days=keep.raw_days - 1)
    moved = {r["day"] for r in await pool.fetch(_MOVED)}
    found: list[str] = []
    for day, rows in await pool.fetch(_DAYS, floor):
        if day in moved and (there := await _count(server, day)) < rows:
            found.append(f"{day}: PostgreSQL tiene {rows} mediciones, InfluxDB {there}")
    return found


async def _count(server: InfluxServer, day: date) -> int:
    start = milliseconds(datetime.combine(day, time(), UTC))
    answer = await server.query(
        f'select count("value"), count("text") from {server.table(Resolution.RAW)}'  # noqa: S608 - numbers
        f" where time >= {start}ms and time < {start + _DAY // timedelta(milliseconds=1)}ms"
    )
    return sum(int(count or 0) for series in answer for row in series.values for count in row[1:])
