"""Supervision: tells of each silence once, and of its end; keeps when each device was last seen.

Silence counts only while the hub itself was listening: what nobody could hear proves nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from hub.alerts.finding import Finding
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool
from hub.devices.silence import DEVICE_RULE, GATEWAY_RULE, Sighting, judge

log = logging.getLogger(__name__)

CADENCE_S = 5.0

OnFindings = Callable[[Sequence[Finding], Sequence[str]], Awaitable[None]]
"""``on_findings(new, cleared)``: alerts to open, and the dedup keys of those that speak again."""

# Every device of the gateways where somebody is silent: a gateway is judged as a whole.
_SIGHTINGS = """
with quiet as materialized (
  select distinct d.gateway
  from device_state s join devices d using (device_id)
  where s.last_seen_at <= $1::timestamptz - make_interval(secs => d.silent_after_s)
    and $2::timestamptz <= $1::timestamptz - make_interval(secs => d.silent_after_s)
)
select d.device_id, d.gateway, g.name, d.kind, d.name, d.source, d.place, d.sector, d.latitude,
       d.longitude, d.watch_group, d.silent_after_s, s.last_seen_at
from quiet join devices d using (gateway) join gateways g using (gateway)
     join device_state s using (device_id)
"""


async def supervision_loop(
    pool: Pool,
    clock: Clock,
    listening_since: Callable[[], datetime | None],
    on_findings: OnFindings,
) -> None:
    """Tell of each silence once, and of its end once, for ever.

    ``listening_since`` is when the intake last began to hear without interruption, None while it does
    not. Alerts that were open before a restart are known from the database, so their end is told too.
    """
    told: frozenset[str] | None = None
    while True:
        await clock.sleep(CADENCE_S)
        since = listening_since()
        if since is None:
            continue
        try:
            told = await _open_keys(pool) if told is None else told
            told = await sweep(pool, clock.now(), since, told, on_findings)
        except UNAVAILABLE as error:
            log.warning("supervision waits: database away (%s)", type(error).__name__)


async def sweep(
    pool: Pool, now: datetime, since: datetime, told: frozenset[str], on_findings: OnFindings
) -> frozenset[str]:
    """One round; returns the keys that have been told of and are still silent."""
    silence = judge(await sightings(pool, now, since), now, since)
    fresh = [finding for finding in silence.findings if finding.dedup_key not in told]
    cleared = sorted(told - silence.keys)
    if fresh or cleared:
        await on_findings(fresh, cleared)
        log.info("supervision: %d fell silent, %d speak again", len(fresh), len(cleared))
    return (told & silence.keys) | {finding.dedup_key for finding in fresh}


async def sightings(pool: Pool, now: datetime, since: datetime) -> list[Sighting]:
    """All devices ever seen of every gateway that has a silent one."""
    return [Sighting(*record) for record in await pool.fetch(_SIGHTINGS, now, since)]


async def _open_keys(pool: Pool) -> frozenset[str]:
    rows = await pool.fetch(
        "select dedup_key from alerts where closed_at is null and rule = any($1)", [DEVICE_RULE, GATEWAY_RULE]
    )
    return frozenset(row["dedup_key"] for row in rows)


# -------------------------------------------------------------------------------------------- touch


async def touch(connection: Connection, seen: Mapping[int, datetime], battery: Mapping[int, float]) -> None:
    """Write who was seen when (receipt time) and each battery (0..1), in one statement.

    Late batches never turn time back. A battery counts only for a device that is also in ``seen``.
    """
    if not seen:
        return
    ids = list(seen)
    await connection.execute(
        "insert into device_state (device_id, last_seen_at, battery)"
        " select n.device_id, n.at, n.battery"
        " from unnest($1::int[], $2::timestamptz[], $3::float8[]) as n (device_id, at, battery)"
        # a device that was deleted meanwhile must not cost the others their sign of life
        " where exists (select from devices d where d.device_id = n.device_id)"
        " order by n.device_id"  # two writers lock rows in one order
        " on conflict (device_id) do update set"
        " last_seen_at = greatest(device_state.last_seen_at, excluded.last_seen_at),"
        " battery = coalesce(excluded.battery, device_state.battery)",
        ids,
        [seen[device_id] for device_id in ids],
        [battery.get(device_id) for device_id in ids],
    )
