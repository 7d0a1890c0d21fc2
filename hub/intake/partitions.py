"""Month partitions of the events, on the time inside their ids."""

from datetime import UTC, date, datetime, timedelta

from hub.database import Pool, partitions


def month_bounds(day: date, ahead: int) -> tuple[datetime, datetime]:
    """[start, end) in UTC of the month ``ahead`` months after ``day``'s."""
    months = day.year * 12 + day.month - 1 + ahead
    start, after = (datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in (months, months + 1))
    return start, after


async def ensure_event_partitions(pool: Pool, today: date, months_ahead: int = 3) -> int:
    """Make this month's partition and the next ones; returns how many were new."""
    made = 0
    for ahead in range(months_ahead + 1):
        start, end = month_bounds(today, ahead)
        low, high = await pool.fetchrow("select uuid7_floor($1), uuid7_floor($2)", start, end) or (None, None)
        made += await partitions.ensure(pool, "events", f"{start:%Y%m}", "id", low, high)
    return made


async def drop_old_event_partitions(pool: Pool, today: date, keep_days: int) -> list[str]:
    """Drop the months that ended more than ``keep_days`` ago; returns their names."""
    return await partitions.drop_before(pool, "events", f"{today - timedelta(days=keep_days):%Y%m}")
