"""The room's own silence: consoles say that somebody sits there; five minutes without is a life alert.

Off until :func:`watch_room` says that consoles should be there. The alert closes by a person's hand alone,
as every life alert.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from hub.alerts.finding import Finding
from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool

log = logging.getLogger(__name__)

SILENT_AFTER_S = 300.0
CADENCE_S = 5.0
KIND = "room_silent"
DEDUP_KEY = "room_silent"
ROOM = "*"
"""The row whose presence says that consoles should be there; its instant is since when."""

OnFindings: TypeAlias = Callable[[Sequence[Finding]], Awaitable[None]]


async def watch_room(pool: Pool, now: datetime, *, is_on: bool) -> None:
    """Say from when on consoles should be there, or that they need not be."""
    if is_on:
        await room_heartbeat(pool, ROOM, now)
    else:
        await pool.execute("delete from room_heartbeats")


async def room_heartbeat(pool: Pool, login: str, now: datetime) -> None:
    """An operator's console is open and answers; to be called at most every 30 s for each."""
    await pool.execute(
        "insert into room_heartbeats (login, seen_at) values ($1, $2)"
        " on conflict (login) do update set seen_at = greatest(room_heartbeats.seen_at, excluded.seen_at)",
        login,
        now,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """``since`` is None while nobody has to be there; ``seen``: login → when that console last answered."""

    since: datetime | None
    seen: Mapping[str, datetime]


async def watch_of(pool: Pool) -> Watch:
    rows = await pool.fetch("select login, seen_at from room_heartbeats order by seen_at desc limit 200")
    seen = {row["login"]: row["seen_at"] for row in rows}
    return Watch(since=seen.pop(ROOM, None), seen=seen)


async def heard_at(pool: Pool) -> datetime | None:
    """When the room was last heard; None when nobody watches over a room."""
    found: datetime | None = await pool.fetchval(
        "select max(seen_at) from room_heartbeats"
        " where exists (select from room_heartbeats where login = $1)",
        ROOM,
    )
    return found


def room_finding(last_heard_at: datetime, since: datetime, now: datetime) -> Finding | None:
    """The silence of a room last heard at ``last_heard_at``; ``since``: this hub could hear from then on."""
    silent_at = max(last_heard_at, since) + timedelta(seconds=SILENT_AFTER_S)
    if silent_at > now:
        return None
    minutes = int((now - max(last_heard_at, since)).total_seconds() // 60)
    return Finding(
        rule="room_silent",
        kind=KIND,
        priority=1,
        dedup_key=DEDUP_KEY,
        summary=f"Central sin operadores hace {minutes} min",
        happened_at=silent_at,
        time_quality="receipt",
    )


async def room_loop(pool: Pool, clock: Clock, on_findings: OnFindings) -> None:
    """Tell of each silence of the room once, for ever; a hub that just started gives consoles their time."""
    since = clock.now()
    told: datetime | None = None
    while True:
        await clock.sleep(CADENCE_S)
        try:
            last = await heard_at(pool)
            finding = None if last is None else room_finding(last, since, clock.now())
            if finding is not None and told != last:
                await on_findings([finding])
                told = last
                log.warning("no console has answered for %.0f s", SILENT_AFTER_S)
        except UNAVAILABLE as error:
            log.warning("the room is not watched: database away (%s)", type(error).__name__)
