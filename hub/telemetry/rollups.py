"""Rollups in PostgreSQL: minutes from readings, hours from minutes, days from hours, where any changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.database import Connection, Pool
from hub.telemetry import Keep, Resolution, slots

STORE = "postgresql"
PORTION = 144
"""A day."""
TABLES = {
    Resolution.MINUTE: "telemetry_1m",
    Resolution.HOUR: "telemetry_1h",
    Resolution.DAY: "telemetry_1d",
}
_FROM_READINGS = (
    "select device_id, quantity_id, date_bin($3, at, 'epoch') as at, count(*) as n, sum(value) as sum,"
    " min(value) as min, max(value) as max"
    " from telemetry where at >= $1 and at < $2 and value is not null group by 1, 2, 3"
)
_FROM_ROLLUPS = (
    "select device_id, quantity_id, date_bin($3, at, 'epoch') as at, sum(n)::bigint as n, sum(sum) as sum,"
    " min(min) as min, max(max) as max from {source} where at >= $1 and at < $2 group by 1, 2, 3"
)
# A row that is right already is left alone: most of an hour's rows are, and even a lock would write to disk.
_REFRESH = """
    with fresh as materialized ({fresh})
    insert into {table} as kept (device_id, quantity_id, at, n, sum, min, max)
    select f.* from fresh f
    left join {table} k on k.device_id = f.device_id and k.quantity_id = f.quantity_id and k.at = f.at
    where k.at is null or (k.n, k.sum, k.min, k.max) is distinct from (f.n, f.sum, f.min, f.max)
    on conflict (device_id, quantity_id, at) do update
    set n = excluded.n, sum = excluded.sum, min = excluded.min, max = excluded.max
"""
_NOTE_ALL = """
    insert into telemetry_changes (store, slot)
    select distinct 'postgresql', date_bin('10 minutes', at, 'epoch') from telemetry where value is not null
"""
_STEPS = (
    (Resolution.MINUTE, _REFRESH.format(fresh=_FROM_READINGS, table="telemetry_1m")),
    (
        Resolution.HOUR,
        _REFRESH.format(fresh=_FROM_ROLLUPS.format(source="telemetry_1m"), table="telemetry_1h"),
    ),
    (
        Resolution.DAY,
        _REFRESH.format(fresh=_FROM_ROLLUPS.format(source="telemetry_1h"), table="telemetry_1d"),
    ),
)


async def roll_up(pool: Pool, oldest: datetime) -> int:
    """One portion of what changed; returns how many slots that was.

    What lies before ``oldest`` stays as it is: its readings may be gone in part, and a sum over the rest
    would replace a right one.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        changed = await slots.changed(connection, STORE, PORTION)
        await refresh(connection, [slot for slot in changed if slot >= oldest])
        await slots.done(connection, STORE, changed)
    return len(changed)


async def refresh(connection: Connection, changed: Sequence[datetime]) -> None:
    """Compute the minutes, hours and days anew that these slots belong to."""
    for resolution, sql in _STEPS:
        for start, end in slots.spans(changed, resolution.length):
            await connection.execute(sql, start, end, resolution.length)


async def note_all(connection: Connection | Pool) -> None:
    """For readings that came into the table past the store: their slots, so that rollups follow."""
    await connection.execute(_NOTE_ALL)


async def delete_old(pool: Pool, now: datetime, keep: Keep) -> None:
    """Rows that no partition takes away."""
    for table, days in (
        ("telemetry_1m_default", keep.raw_days),
        ("telemetry_1h", keep.rollup_days),
        ("telemetry_1d", keep.rollup_days),
    ):
        # The tables are the constants above.
        await pool.execute(f"delete from {table} where at < $1", now - timedelta(days=days))  # noqa: S608
