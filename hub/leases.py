"""Several hubs share the work: each piece of it is a lease, held by one hub at a time.

A hub renews what it holds and takes its fair share of what is free. One that dies leaves its pieces to the
others when its leases run out; one that stops in order gives them back at once; one that starts again
under its own name takes up its own leases without waiting. Instants are the database's, so the hubs'
clocks need not agree.
"""

import asyncio
import logging
import math
import zlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool

log = logging.getLogger(__name__)

TTL_S = 8.0
"""A killed hub's work is taken over within this and one round: less than ten seconds."""
ROUND_S = 1.5

Work: TypeAlias = Callable[[], Coroutine[None, None, None]]

_RENEW = """
with alive as (
  insert into hubs (owner, seen_until) values ($1, now() + $3)
  on conflict (owner) do update set seen_until = excluded.seen_until
), gone as (
  delete from hubs where seen_until < now() - interval '1 day' and owner <> $1
), renewed as (
  update leases l set until = now() + $3, listening_since = r.since
  from unnest($2::text[], $4::timestamptz[]) as r (name, since)
  where l.name = r.name and l.owner = $1
  returning l.name
)
select (select count(*) from hubs where seen_until > now() and owner <> $1) + 1 as hubs,
       (select array_agg(name) from renewed) as held
"""
_TAKE = """
insert into leases (name, owner, until) values ($2, $1, now() + $3)
on conflict (name) do update set owner = $1, until = excluded.until, listening_since = null
where leases.until <= now() returning name
"""
_RELEASE = "update leases set until = now(), owner = '' where owner = $1 and name = any($2)"
_LISTENING = """
select count(*) as n, bool_and(until > now() and listening_since is not null) as is_complete,
       max(listening_since) as since
from leases where name = any($1)
"""


class Leases:
    """The pieces of work named ``names``, seen from the hub called ``owner``."""

    def __init__(
        self,
        pool: Pool,
        owner: str,
        names: Sequence[str],
        clock: Clock,
        *,
        ttl_s: float = TTL_S,
        round_s: float = ROUND_S,
        listening: Mapping[str, Callable[[], datetime | None]] | None = None,
    ) -> None:
        self._pool = pool
        self._owner = owner
        self._names = list(names)
        self._clock = clock
        self._ttl = timedelta(seconds=ttl_s)
        self._round_s = round_s
        self._listening = dict(listening or {})
        self._heavy = [name for name in names if name in self._listening]
        self._light = [name for name in names if name not in self._listening]
        self._fleet_since: datetime | None = None
        self._sure_until: datetime | None = None
        self.held: frozenset[str] = frozenset()

    def fleet_since(self) -> datetime | None:
        """Since when every shard of every hub has been heard; None while one of them is not."""
        return self._fleet_since

    async def run_loop(self, work: Mapping[str, Work]) -> None:
        """Do the work of the leases that this hub holds, for ever; ends with the first piece that fails."""
        running: dict[str, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._round()
                    for name in running.keys() - self.held:
                        await _end(running.pop(name))
                        log.warning("%s is another hub's work now", name)
                    for name in sorted(self.held - running.keys()):
                        log.info("taking up %s", name)
                        running[name] = group.create_task(work[name]())
                    await self._clock.sleep(self._round_s)
        finally:
            await self._leave()

    async def _round(self) -> None:
        before = self._clock.now()
        try:
            await self._renew_and_take()
        except UNAVAILABLE as error:
            log.warning("leases not renewed: database away (%s)", type(error).__name__)
            if self._sure_until is not None and self._clock.now() >= self._sure_until:
                self.held, self._fleet_since = frozenset(), None
        else:
            self._sure_until = before + self._ttl

    async def _renew_and_take(self) -> None:
        since = [self._listening[n]() if n in self._listening else None for n in self._names]
        row = await self._pool.fetchrow(_RENEW, self._owner, self._names, self._ttl, since)
        assert row is not None  # noqa: S101 - the statement always gives one row
        held, hubs = set(row["held"] or ()), row["hubs"]
        # Shards are the heavy work: each hub gets its share of them first, then of the rest.
        mine = await self._take_share(self._heavy, held, math.ceil(len(self._heavy) / hubs))
        rest = math.ceil(len(self._names) / hubs) - len(mine)
        self.held = frozenset(mine | await self._take_share(self._light, held, rest))
        self._fleet_since = await self._heard_since()

    async def _take_share(self, names: Sequence[str], all_held: set[str], share: int) -> set[str]:
        """Give back what is above ``share`` of ``names``, take what is below it and free."""
        held = all_held.intersection(names)
        if extra := sorted(held)[share:]:
            await self._pool.execute(_RELEASE, self._owner, extra)
            held -= set(extra)
        for name in self._wanted(names, held):
            if len(held) >= share:
                break
            if await self._pool.fetchval(_TAKE, self._owner, name, self._ttl):
                held.add(name)
        return held

    def _wanted(self, names: Sequence[str], held: set[str]) -> list[str]:
        """Each hub begins at another place, so that they seldom reach for the same lease."""
        start = zlib.crc32(self._owner.encode()) % max(1, len(names))
        return [n for n in [*names[start:], *names[:start]] if n not in held]

    async def _heard_since(self) -> datetime | None:
        shards = list(self._listening)
        row = await self._pool.fetchrow(_LISTENING, shards)
        if row is None or row["n"] < len(shards) or not row["is_complete"]:
            return None
        since: datetime = row["since"]
        return since

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._pool.execute(_RELEASE, self._owner, self._names)
                await self._pool.execute("delete from hubs where owner = $1", self._owner)
        except UNAVAILABLE as error:
            log.warning("leases not given back (%s); they run out", type(error).__name__)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
