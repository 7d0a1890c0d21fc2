"""Telemetry in PostgreSQL: day partitions, the natural key as primary key, the newest reading beside it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from edge.contract import FUTURE_TOLERANCE
from hub.database import Connection, Pool, partitions
from hub.telemetry import Point

_INSERT = """
    insert into telemetry (device_id, quantity_id, at, value, text)
    select * from unnest($1::int[], $2::int[], $3::timestamptz[], $4::float8[], $5::text[])
    on conflict do nothing
"""
_LATEST = """
    insert into telemetry_latest as latest (device_id, quantity_id, at, value, text)
    select * from unnest($1::int[], $2::int[], $3::timestamptz[], $4::float8[], $5::text[])
    on conflict (device_id, quantity_id) do update
    set at = excluded.at, value = excluded.value, text = excluded.text
    where excluded.at > latest.at
"""
_QUANTITY = """
    with made as (
      insert into quantities (name, unit) values ($1, $2) on conflict do nothing returning quantity_id)
    select quantity_id from made
    union all select quantity_id from quantities where name = $1 and unit = $2 limit 1
"""
# More names than this from the field is a fault or an attack, not a quantity.
_MAX_QUANTITIES = 5000


class PostgresTelemetry:
    """Implements :class:`hub.telemetry.TelemetryStore`."""

    def __init__(self) -> None:
        self._quantity_ids: dict[tuple[str, str], int] = {}

    async def load(self, pool: Pool) -> None:
        rows = await pool.fetch("select quantity_id, name, unit from quantities")
        self._quantity_ids = {(r["name"], r["unit"]): r["quantity_id"] for r in rows}

    async def prepare(self, pool: Pool, points: Iterable[Point]) -> None:
        """Give every new quantity its number, outside of the batch's transaction."""
        for key in {(p.quantity, p.unit) for p in points} - self._quantity_ids.keys():
            if len(self._quantity_ids) >= _MAX_QUANTITIES:
                break
            quantity_id = await pool.fetchval(_QUANTITY, *key)
            if quantity_id is None:  # another hub made it between the two halves of the statement
                quantity_id = await pool.fetchval(_QUANTITY, *key)
            self._quantity_ids[key] = quantity_id

    async def write(self, connection: Connection, points: Sequence[Point], now: datetime) -> int:
        rows = [
            (p.device_id, quantity_id, p.at, p.value, p.text)
            for p in points
            if (quantity_id := self._quantity_ids.get((p.quantity, p.unit))) is not None
        ]
        if not rows:
            return 0
        status = await connection.execute(_INSERT, *_columns(rows))
        newest: dict[tuple[int, int], tuple[int, int, datetime, float | None, str | None]] = {}
        limit = now + FUTURE_TOLERANCE
        for row in rows:
            # A reading from the future is kept but never becomes the newest one.
            if row[2] <= limit and ((key := row[:2]) not in newest or newest[key][2] < row[2]):
                newest[key] = row
        if newest:
            # In one order for every hub: two batches that update the same rows cannot deadlock.
            await connection.execute(_LATEST, *_columns([newest[key] for key in sorted(newest)]))
        return int(status.rpartition(" ")[2])


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def day_bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


async def ensure_partitions(pool: Pool, today: date, days_ahead: int = 7) -> int:
    """Make the day partitions of yesterday until ``days_ahead``; returns how many were new."""
    made = 0
    for offset in range(-1, days_ahead + 1):
        day = today + timedelta(days=offset)
        made += await partitions.ensure(pool, "telemetry", f"{day:%Y%m%d}", "at", *day_bounds(day))
    return made


async def drop_old_partitions(pool: Pool, today: date, keep_days: int) -> list[str]:
    """Drop day partitions that ended more than ``keep_days`` ago; returns their names."""
    return await partitions.drop_before(pool, "telemetry", f"{today - timedelta(days=keep_days):%Y%m%d}")
