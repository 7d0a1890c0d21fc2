"""Month partitions of the events, on the time inside their ids."""

from datetime import UTC, date, datetime, timedelta

from hub.database import Pool


def month_bounds(day: date, ahead: int) -> tuple[datetime, datetime]:
    """[start, end) in UTC of the month ``ahead`` months after ``day``'s."""
    months = day.year * 12 + day.month - 1 + ahead
    start, after = (datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in (months, months + 1))
    return start, after


async def ensure_event_partitions(pool: Pool, today: date, months_ahead: int = 3) -> int:
    """Make this month's partition and the next ones; returns how many were new.

    Rows that waited in the default partition for that month move into the new one.
    """
    made = 0
    for ahead in range(months_ahead + 1):
        made += await _ensure_month(pool, *month_bounds(today, ahead))
    return made


async def _ensure_month(pool: Pool, start: datetime, end: datetime) -> int:
    name = f"events_{start:%Y%m}"
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('event_partitions'))")
        if await connection.fetchval("select to_regclass($1)", name):
            return 0
        low, high = await connection.fetchrow("select uuid7_floor($1), uuid7_floor($2)", start, end) or (
            "",
            "",
        )
        # Names and bounds are made of digits here; PostgreSQL takes no parameters in DDL.
        await connection.execute(f"create table {name} (like events including all)")
        await connection.execute(
            f"with moved as (delete from events_default where id >= $1 and id < $2 returning *)"  # noqa: S608
            f" insert into {name} select * from moved",
            low,
            high,
        )
        await connection.execute(
            f"alter table events attach partition {name} for values from ('{low}') to ('{high}')"
        )
    return 1


async def drop_old_event_partitions(pool: Pool, today: date, keep_days: int) -> list[str]:
    """Drop the months that ended more than ``keep_days`` ago; returns their names."""
    oldest = f"events_{today - timedelta(days=keep_days):%Y%m}"
    rows = await pool.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'events'::regclass"
    )
    dropped = sorted(r["name"] for r in rows if r["name"] != "events_default" and r["name"] < oldest)
    for name in dropped:
        await pool.execute(f"drop table {name}")
    return dropped
