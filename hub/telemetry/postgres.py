"""Telemetry in PostgreSQL: day partitions, the natural key as primary key, the newest reading beside it."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from hub.database import Connection, Pool
from hub.database.arrays import literal, or_none
from hub.telemetry import (
    MAX_ROWS,
    Aggregate,
    Health,
    Keep,
    Point,
    Reading,
    Resolution,
    Series,
    resolution_for,
    rollups,
)
from hub.telemetry.partitions import drop_old_partitions, ensure_partitions
from hub.telemetry.quantities import Quantities, latest, newest

log = logging.getLogger(__name__)

# One statement, so that a batch from which nothing follows costs one round trip. A reading from the future is
# kept but never becomes the newest one. The newest ones come in one order from every hub: two batches that
# update the same rows cannot deadlock.
_WRITE = """
    with points as materialized (
      select * from unnest($1::text::int[], $2::text::int[], $3::text::timestamptz[], $4::text::float8[],
                           $5::text[], $6::text::bool[])
        as p (device_id, quantity_id, at, value, text, is_newest)
    ), stored as (
      insert into telemetry (device_id, quantity_id, at, value, text)
      select device_id, quantity_id, at, value, text from points
      on conflict do nothing returning at
    ), latest as (
      insert into telemetry_latest as latest (device_id, quantity_id, at, value, text)
      select device_id, quantity_id, at, value, text from points
      where is_newest order by device_id, quantity_id
      on conflict (device_id, quantity_id) do update
      set at = excluded.at, value = excluded.value, text = excluded.text
      where excluded.at > latest.at
    ), changed as (
      insert into telemetry_changes (store, slot)
      select distinct 'postgresql', date_bin('10 minutes', at, 'epoch') from stored
    )
    select count(*) from stored
"""
_RAW = """
    select at, 1 as n, value as sum, value as min, value as max from telemetry
    where device_id = $1 and quantity_id = $2 and at >= $3 and at < $4 and value is not null
    order by at limit $5
"""
_ROLLED = """
    select at, n, sum, min, max from {table}
    where device_id = $1 and quantity_id = $2 and at >= $3 and at < $4 order by at limit $5
"""


class PostgresTelemetry:
    """Implements :class:`hub.telemetry.TelemetryStore`."""

    name = rollups.STORE
    portion = rollups.PORTION

    def __init__(self, keep: Keep = Keep()) -> None:  # noqa: B008 - frozen
        self._keep = keep
        self._quantities = Quantities()

    async def load(self, pool: Pool) -> None:
        await self._quantities.load(pool)

    async def prepare(self, pool: Pool, points: Iterable[Point]) -> None:
        await self._quantities.prepare(pool, points)

    async def write(self, executor: Connection | Pool, points: Sequence[Point], now: datetime) -> int:
        known = self._quantities.known(points)
        if not known:
            return 0
        series = [(p.device_id, quantity_id) for quantity_id, p in known]
        best = newest(series, (p for _, p in known), now)
        return int(
            await executor.fetchval(
                _WRITE,
                literal([p.device_id for _, p in known]),
                literal([quantity_id for quantity_id, _ in known]),
                literal([p.at for _, p in known]),
                literal([p.value for _, p in known]),
                or_none([p.text for _, p in known]),
                literal([best.get(key) is p for key, (_, p) in zip(series, known, strict=True)]),
            )
        )

    async def history(
        self,
        pool: Pool,
        series: Series,
        since: datetime,
        until: datetime,
        resolution: Resolution | None = None,
    ) -> list[Aggregate]:
        resolution = resolution or resolution_for(until - since)
        sql = _RAW if resolution is Resolution.RAW else _ROLLED.format(table=rollups.TABLES[resolution])
        key = (series.quantity, series.unit)
        if key not in self._quantities.ids:
            await self._quantities.load(pool)
        quantity_id = self._quantities.ids.get(key)
        rows = await pool.fetch(sql, series.device_id, quantity_id, since, until, MAX_ROWS)
        return [Aggregate(*row) for row in rows]

    async def latest(self, pool: Pool, device_ids: Sequence[int]) -> list[Reading]:
        return await latest(pool, device_ids)

    async def roll_up(self, pool: Pool, now: datetime) -> int:
        return await rollups.roll_up(pool, now - timedelta(days=self._keep.raw_days - 1))

    async def retain(self, pool: Pool, now: datetime) -> None:
        today = now.date()
        for table in ("telemetry", "telemetry_1m"):
            await ensure_partitions(pool, today, table=table)
            for name in await drop_old_partitions(pool, today, self._keep.raw_days, table):
                log.info("dropped %s: older than %d days", name, self._keep.raw_days)
        await rollups.delete_old(pool, now, self._keep)

    async def health(self, pool: Pool) -> Health:
        version = await pool.fetchval("select current_setting('server_version')")
        return Health(True, f"PostgreSQL {version}")
