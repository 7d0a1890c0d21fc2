"""Telemetry in PostgreSQL: day partitions, the natural key as primary key, the newest reading beside it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from edge.contract import FUTURE_TOLERANCE
from hub.database import Connection, Pool, partitions
from hub.database.arrays import literal, or_none
from hub.telemetry import Point

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
      on conflict do nothing returning 1
    ), latest as (
      insert into telemetry_latest as latest (device_id, quantity_id, at, value, text)
      select device_id, quantity_id, at, value, text from points
      where is_newest order by device_id, quantity_id
      on conflict (device_id, quantity_id) do update
      set at = excluded.at, value = excluded.value, text = excluded.text
      where excluded.at > latest.at
    )
    select count(*) from stored
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

    async def write(self, executor: Connection | Pool, points: Sequence[Point], now: datetime) -> int:
        known = [
            (quantity_id, p)
            for p in points
            if (quantity_id := self._quantity_ids.get((p.quantity, p.unit))) is not None
        ]
        if not known:
            return 0
        return int(
            await executor.fetchval(
                _WRITE,
                literal([p.device_id for _, p in known]),
                literal([quantity_id for quantity_id, _ in known]),
                literal([p.at for _, p in known]),
                literal([p.value for _, p in known]),
                or_none([p.text for _, p in known]),
                literal(_newest(known, now + FUTURE_TOLERANCE)),
            )
        )


def _newest(known: Sequence[tuple[int, Point]], limit: datetime) -> list[bool]:
    """Which of the points is the newest of its series in the batch, and not from the future."""
    newest: dict[tuple[int, int], int] = {}
    for index, (quantity_id, p) in enumerate(known):
        key = (p.device_id, quantity_id)
        if p.at <= limit and ((best := newest.get(key)) is None or known[best][1].at < p.at):
            newest[key] = index
    marks = [False] * len(known)
    for index in newest.values():
        marks[index] = True
    return marks


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
