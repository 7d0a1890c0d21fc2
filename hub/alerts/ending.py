"""Alerts that end by themselves: their cause went away, or they have been calm for long enough."""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from hub.alerts import children, few
from hub.alerts.few import Scope
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Reason
from hub.alerts.opening import open_or_join
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool

log = logging.getLogger(__name__)

CALM_CADENCE_S = 60.0


_CLOSE_BY_HUB = """
with open as (
  select alert_id, state, priority from alerts
  where dedup_key = any($1) and closed_at is null
  order by dedup_key for update
), closed as (
  update alerts a set state = 'closed', reason = $2, closed_at = $3, version = a.version + 1
  from open where a.alert_id = open.alert_id and open.state = 'received' and open.priority > 1
  returning a.alert_id
), called_off as (
  update escalations e set stage = 'rest', due_at = null, anchor_at = $3, fired = 0
  from closed where e.alert_id = closed.alert_id
), logged as (
  insert into alert_log (alert_id, at, author, move, from_state, to_state, note)
  select o.alert_id, $3, $5, case when c.alert_id is null then 'cleared' else 'close' end, o.state,
    case when c.alert_id is null then o.state else 'closed' end, $4
  from open o left join closed c using (alert_id)
)
select o.alert_id, c.alert_id is not null as closed, pg_notify('alerts', o.alert_id::text)
from open o left join closed c using (alert_id)
"""


async def close_by_hub(
    connection: Connection,
    dedup_keys: Sequence[str],
    *,
    now: datetime,
    reason: Reason = Reason.TECHNICAL,
    note: str = "",
    author: str = "hub:supervision",
) -> list[uuid.UUID]:
    """End alerts whose cause went away by itself; returns the ids of those that were closed.

    Only what nobody has taken is closed, and never priority 1: that one leaves the screen by a person's
    hand. The others get a line 'cleared' in their timeline.
    """
    if not dedup_keys:
        return []
    rows = await connection.fetch(_CLOSE_BY_HUB, list(dedup_keys), reason.value, now, note, author)
    closed: list[uuid.UUID] = [row["alert_id"] for row in rows if row["closed"]]
    await _release(connection, closed, now)
    if empty := await children.groups_left_empty(connection, closed):
        closed += await close_by_hub(connection, empty, now=now, reason=reason, note=note, author=author)
    log.info("cause gone for %d alerts: %d closed", len(rows), len(closed))
    return closed


async def _release(connection: Connection, parents: Sequence[uuid.UUID], now: datetime) -> None:
    """What the ended alerts covered comes back by itself, or as one group where it is many."""
    left = sorted(await children.release(connection, parents, now), key=_scope_key)
    for (kind, gateway), rows in groupby(left, _scope_key):
        members = [_member(row, now) for row in rows]
        if gateway and kind in few.GROUP_SCOPES and len(members) >= few.GROUP_AT:
            scope = Scope(kind, "gateway", gateway)
            parent = few.group_finding(scope, members, len(members), now)
            [outcome] = await open_or_join(connection, [parent], now)
            await children.adopt_of_scope(connection, outcome.alert_id, scope, outcome.code, now, None)
            await children.call_again(connection, outcome.alert_id, now)


def _scope_key(row: Any) -> tuple[str, str]:
    return row["kind"], row["gateway"] or ""


def _member(row: Any, now: datetime) -> Finding:
    return Finding(
        rule="group",
        kind=row["kind"],
        priority=row["priority"],
        dedup_key=row["dedup_key"],
        summary="",
        happened_at=now,
        time_quality="receipt",
        gateway=row["gateway"],
        place=row["place"],
        sector=row["sector"],
        latitude=row["latitude"],
        longitude=row["longitude"],
    )


async def close_calm(pool: Pool, now: datetime) -> int:
    """End the alerts of things that came and went, once they have not come for :data:`few.FLAP_WINDOW`."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            "select dedup_key from alerts where closed_at is null and state = 'received' and priority > 1"
            " and dedup_key like 'flapping:%' and last_event_at < $1 and opened_at < $1 limit 500",
            now - few.FLAP_WINDOW,
        )
        keys = [row["dedup_key"] for row in rows]
        return len(
            await close_by_hub(connection, keys, now=now, note="estable otra vez", author="hub:flapping")
        )


async def calm_loop(pool: Pool, clock: Clock) -> None:
    while True:
        await clock.sleep(CALM_CADENCE_S)
        try:
            await close_calm(pool, clock.now())
        except UNAVAILABLE as error:
            log.warning("calm alerts wait: database away (%s)", type(error).__name__)
