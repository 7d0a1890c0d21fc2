"""Slots: the ten minutes by which stores remember where rollups are out of date."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hub.database import Connection

SLOT = timedelta(minutes=10)
SLOT_MS = 600_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Two stores' rollers are different work; two hubs' rollers of one store are not.
_LOCK = "select pg_try_advisory_xact_lock(hashtext('rollups of ' || $1))"
# The newest first: people look at now.
_CHANGED = "select distinct slot from telemetry_changes where store = $1 order by slot desc limit $2"
_DONE = "delete from telemetry_changes where store = $1 and slot = any($2)"


def floor(at: datetime, length: timedelta) -> datetime:
    """The start of the stretch of ``length`` that ``at`` lies in, counted from 1970."""
    return at - (at - EPOCH) % length


def spans(slots: Iterable[datetime], length: timedelta = SLOT) -> list[tuple[datetime, datetime]]:
    """Neighbouring slots as one [start, end), widened to whole stretches of ``length``; oldest first."""
    found: list[tuple[datetime, datetime]] = []
    step = max(length, SLOT)
    for start in sorted({floor(slot, step) for slot in slots}):
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], start + step)
        else:
            found.append((start, start + step))
    return found


async def changed(connection: Connection, store: str, limit: int) -> list[datetime]:
    """Slots to roll up, newest first; none when another hub is at it. Inside a transaction."""
    if not await connection.fetchval(_LOCK, store):
        return []
    return [row["slot"] for row in await connection.fetch(_CHANGED, store, limit)]


async def done(connection: Connection, store: str, slots: list[datetime]) -> None:
    """Forget the rows that this transaction sees; in repeatable read those are the ones it rolled up."""
    await connection.execute(_DONE, store, slots)
