"""Day partitions of the tables that hold readings and minutes."""

from datetime import UTC, date, datetime, timedelta

from hub.database import Pool, partitions


def day_bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


async def ensure_partitions(pool: Pool, today: date, days_ahead: int = 7, table: str = "telemetry") -> int:
    """Make the day partitions of yesterday until ``days_ahead``; returns how many were new."""
    made = 0
    for offset in range(-1, days_ahead + 1):
        day = today + timedelta(days=offset)
        made += await partitions.ensure(pool, table, f"{day:%Y%m%d}", "at", *day_bounds(day))
    return made


async def drop_old_partitions(pool: Pool, today: date, keep_days: int, table: str = "telemetry") -> list[str]:
    """Drop day partitions that ended more than ``keep_days`` ago; returns their names."""
    return await partitions.drop_before(pool, table, f"{today - timedelta(days=keep_days):%Y%m%d}")
