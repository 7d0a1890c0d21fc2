"""What may be written a second later: who was seen, batteries, refusals. Folded, then flushed in batches.

None of it was promised to anybody, so a crash may lose the last second of it; nothing of it stands on the
path of an alarm.
"""

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.devices import supervision
from hub.devices.service import RefusalEntry, record_refusals
from hub.intake.decode import Refused

log = logging.getLogger(__name__)

FLUSH_S = 1.0
LOG_EVERY_S = 60.0


class Presence:
    def __init__(self) -> None:
        self._seen: dict[int, datetime] = {}
        self._battery: dict[int, float] = {}
        self._refusals: dict[tuple[str, str], RefusalEntry] = {}
        self._logged_at: dict[tuple[str, str], datetime] = {}

    def seen(self, device_id: int, at: datetime) -> None:
        self._seen[device_id] = at

    def battery(self, device_id: int, ratio: float) -> None:
        self._battery[device_id] = ratio

    def refused(self, refused: Iterable[Refused], now: datetime) -> None:
        """Fold into one entry for each gateway and cause, and log each of these once a minute."""
        for r in refused:
            key = (r.gateway, r.cause)
            before = self._refusals.get(key)
            count = 1 if before is None else before.count + 1
            self._refusals[key] = RefusalEntry(r.gateway, r.cause, count, now, r.detail, r.sample)
            logged_at = self._logged_at.get(key)
            if logged_at is None or (now - logged_at).total_seconds() >= LOG_EVERY_S:
                if len(self._logged_at) > 10_000:  # gateways that were made up must not fill the memory
                    self._logged_at.clear()
                self._logged_at[key] = now
                log.warning("refused (%s) from gateway %r: %s", r.cause, r.gateway, r.detail)

    async def flush(self, pool: Pool) -> None:
        """Write what was folded; on an error all of it is kept for the next time."""
        seen, battery, refusals = dict(self._seen), dict(self._battery), list(self._refusals.values())
        if seen:
            async with pool.acquire() as connection:
                await supervision.touch(connection, seen, battery)
            self._seen = {k: at for k, at in self._seen.items() if seen.get(k) != at}
            self._battery = {k: ratio for k, ratio in self._battery.items() if k not in seen}
        if refusals:
            self._refusals = {}
            try:
                await record_refusals(pool, refusals)
            except UNAVAILABLE:
                self._restore(refusals)
                raise

    def _restore(self, refusals: Iterable[RefusalEntry]) -> None:
        for entry in refusals:
            newer = self._refusals.get((entry.gateway, entry.cause))
            merged = entry if newer is None else dataclasses.replace(newer, count=newer.count + entry.count)
            self._refusals[entry.gateway, entry.cause] = merged


class Listening:
    """Since when every lane has been heard without interruption; silence counts only from then on."""

    def __init__(self, lanes: Iterable[str]) -> None:
        self._is_up = dict.fromkeys(lanes, False)
        self._since: datetime | None = None

    def changed(self, lane: str, is_up: bool, now: datetime) -> None:
        was_complete = all(self._is_up.values())
        self._is_up[lane] = is_up
        if not all(self._is_up.values()):
            self._since = None
        elif not was_complete:
            self._since = now

    def all_quiet(self, now: datetime) -> None:
        """There is nobody to listen to, which is heard in full."""
        for lane in self._is_up:
            self.changed(lane, True, now)

    def interrupted(self, now: datetime) -> None:
        """Messages waited (the database was away), so what was not seen meanwhile proves nothing."""
        if self._since is not None:
            self._since = now

    def since(self) -> datetime | None:
        return self._since


async def flush_loop(presence: Presence, listening: Sequence[Listening], pool: Pool, clock: Clock) -> None:
    while True:
        await clock.sleep(FLUSH_S)
        try:
            await presence.flush(pool)
        except UNAVAILABLE as error:
            for shard in listening:
                shard.interrupted(clock.now())
            log.warning("presence not written: database away (%s)", type(error).__name__)
