"""Alerts under another one: off the screen and calling nobody until their parent ends.

A child keeps its own row, so that its cause may end by itself; when the parent's cause ends first, the
children that are left come to the screen again, or under a group when they are many.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.alerts.few import COVERED_KINDS, Scope
from hub.alerts.lifecycle import State
from hub.alerts.model import COLUMNS, Alert
from hub.alerts.visibility import visible_to
from hub.database import Connection, Pool

log = logging.getLogger(__name__)

MAX_NAMED = 100
"""So many changed alerts are named to the consoles one by one; for more they read the list anew."""

# Only what nobody has taken, and never a life alert. Rows are locked in the order of their keys, as the
# intake does.
_ADOPT = """
with standing as (
  select alert_id, state from alerts
  where closed_at is null and parent_id is null and state = 'received' and priority > 1
    and alert_id <> $1 and kind = any($2)
    and case $3 when 'gateway' then gateway when 'sector' then sector else place end = $4
    and ($5::timestamptz is null or opened_at > $5) and not is_drill
    and ($8 or dedup_key not like 'group:%') and dedup_key not like 'flapping:%'
  order by dedup_key for update
), adopted as (
  update alerts a set parent_id = $1, version = a.version + 1
  from standing s where a.alert_id = s.alert_id returning a.alert_id
), rested as (
  update escalations e set stage = 'rest', due_at = null, fired = 0
  from adopted where e.alert_id = adopted.alert_id
), logged as (
  insert into alert_log (alert_id, at, author, move, from_state, to_state, note)
  select alert_id, $6, 'hub:grouping', 'covered', 'received', 'received', $7 from adopted
)
select array_agg(alert_id) as ids from adopted
"""


async def adopt(
    connection: Connection,
    parent_id: uuid.UUID,
    *,
    kinds: Sequence[str],
    field: str,
    value: str,
    opened_after: datetime | None,
    now: datetime,
    code: str,
    takes_groups: bool = False,
) -> int:
    """Put open alerts of ``kinds`` where ``field`` is ``value`` under the parent; returns how many."""
    ids = await connection.fetchval(
        _ADOPT,
        parent_id,
        list(kinds),
        field,
        value,
        opened_after,
        now,
        f"queda bajo {code}",
        takes_groups,
    )
    await _tell(connection, ids or [])
    return len(ids or [])


async def adopt_of_gateway(
    connection: Connection, parent_id: uuid.UUID, gateway: str, code: str, now: datetime
) -> int:
    """Everything that the silence of a gateway explains."""
    return await adopt(
        connection,
        parent_id,
        kinds=sorted(COVERED_KINDS),
        field="gateway",
        value=gateway,
        opened_after=None,
        now=now,
        code=code,
        takes_groups=True,
    )


async def adopt_of_scope(
    connection: Connection,
    parent_id: uuid.UUID,
    scope: Scope,
    code: str,
    now: datetime,
    opened_after: datetime | None,
) -> int:
    """The alerts that were too few to be a group until now."""
    return await adopt(
        connection,
        parent_id,
        kinds=[scope.kind],
        field=scope.field,
        value=scope.value,
        opened_after=opened_after,
        now=now,
        code=code,
    )


async def _tell(connection: Connection, ids: Sequence[uuid.UUID]) -> None:
    if ids:
        named = [str(alert_id) for alert_id in ids] if len(ids) <= MAX_NAMED else [""]
        await connection.fetch("select pg_notify('alerts', id) from unnest($1::text[]) as n (id)", named)


# ---------------------------------------------------------------------------------------- the end

_CLOSE_CHILDREN = """
with recursive below as (
  select alert_id from alerts where parent_id = $1 and closed_at is null
  union
  select a.alert_id from below join alerts a on a.parent_id = below.alert_id where a.closed_at is null
), open as (
  select a.alert_id, a.state from alerts a where a.alert_id in (select alert_id from below)
  order by a.dedup_key for update
), closed as (
  update alerts a set state = $2, reason = $3, closed_at = $4, version = a.version + 1
  from open where a.alert_id = open.alert_id returning a.alert_id
), rested as (
  update escalations e set stage = 'rest', due_at = null, fired = 0
  from closed where e.alert_id = closed.alert_id
), logged as (
  insert into alert_log (alert_id, at, author, move, from_state, to_state, note)
  select o.alert_id, $4, $5, 'close', o.state, $2, $6 from open o
)
select count(*)::integer from closed
"""


async def close_children(
    connection: Connection, parent: Alert, reason: str, author: str, now: datetime
) -> int:
    """A person ended the parent: what it stood for ends with it, for the same reason."""
    count: int = await connection.fetchval(
        _CLOSE_CHILDREN, parent.alert_id, State.CLOSED.value, reason, now, author, f"con {parent.code}"
    )
    return count


# Few come back with a code of their own; a due time in the past makes the escalation look at them at once.
_RELEASE = """
with open as (
  select alert_id, state from alerts
  where parent_id = any($1) and closed_at is null and state = 'received' order by dedup_key for update
), released as (
  update alerts a set parent_id = null, version = a.version + 1,
    code = case when a.code like 'Z%' and (select count(*) from open) <= $3
           then next_alert_code() else a.code end
  from open where a.alert_id = open.alert_id
  returning a.alert_id, a.dedup_key, a.kind, a.gateway, a.priority, a.place, a.sector, a.latitude, a.longitude
), called as (
  insert into escalations as e (alert_id, policy, stage, anchor_at, due_at)
  select alert_id, '', 'acknowledge', $2, $2 from released
  on conflict (alert_id) do update set stage = 'acknowledge', anchor_at = $2, fired = 0, due_at = $2
), logged as (
  insert into alert_log (alert_id, at, author, move, from_state, to_state, note)
  select alert_id, $2, 'hub:grouping', 'uncovered', 'received', 'received', 'sigue sin resolverse'
  from released
)
select * from released
"""


async def release(connection: Connection, parents: Sequence[uuid.UUID], now: datetime) -> list[Any]:
    """The parents' cause is gone, their children's is not: those come back; returns their rows."""
    if not parents:
        return []
    rows = await connection.fetch(_RELEASE, list(parents), now, MAX_NAMED)
    await _tell(connection, [row["alert_id"] for row in rows])
    if rows:
        log.info("%d alerts outlive their parent", len(rows))
    return list(rows)


async def call_again(connection: Connection, alert_id: uuid.UUID, now: datetime) -> None:
    """Let the escalation look at an alert at once, as if it had opened now."""
    await connection.execute(
        "insert into escalations as e (alert_id, policy, stage, anchor_at, due_at)"
        " values ($1, '', 'acknowledge', $2, $2) on conflict (alert_id) do nothing",
        alert_id,
        now,
    )


# The few parents first: ten thousand children may have ended at once.
_LONELY = """
with touched as materialized (
  select distinct parent_id from alerts where alert_id = any($1) and parent_id is not null
)
select p.dedup_key from touched t join alerts p on p.alert_id = t.parent_id
where p.closed_at is null and p.state = 'received' and p.dedup_key like 'group:%'
  and not exists (select from alerts o where o.parent_id = p.alert_id and o.closed_at is null)
"""


async def groups_left_empty(connection: Connection, closed: Sequence[uuid.UUID]) -> list[str]:
    """Keys of open groups of which ``closed`` were the last."""
    return [row["dedup_key"] for row in await connection.fetch(_LONELY, list(closed))] if closed else []


# ---------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Covered:
    """What stands under an alert: how many are open, and the area (south, west, north, east) they lie in."""

    count: int
    area: tuple[float, float, float, float] | None


async def covered(pool: Pool, alert_id: uuid.UUID, *, role: str | None = None) -> Covered:
    """All of it, to the bottom, as far as ``role`` may know of it."""
    row = await pool.fetchrow(
        "with recursive below as (select alert_id, latitude, longitude, dedup_key, kind, is_reserved"  # noqa: S608  constants
        "  from alerts where parent_id = $1 and closed_at is null union all"
        "  select a.alert_id, a.latitude, a.longitude, a.dedup_key, a.kind, a.is_reserved"
        "  from below join alerts a on a.parent_id = below.alert_id where a.closed_at is null)"
        " select count(*)::integer as n, min(latitude) as s, min(longitude) as w, max(latitude) as n_,"
        " max(longitude) as e from below where dedup_key not like 'group:%'"
        f" and {visible_to(role)}",
        alert_id,
    )
    if row is None or row["s"] is None:
        return Covered(0 if row is None else row["n"], None)
    return Covered(row["n"], (row["s"], row["w"], row["n_"], row["e"]))


async def list_children(
    pool: Pool, alert_id: uuid.UUID, *, limit: int = 100, after: str = "", role: str | None = None
) -> list[Alert]:
    """One page of what stands under an alert, by key; pass the last ``dedup_key`` as ``after``.

    ``role`` as in :func:`hub.alerts.reading.list_open`.
    """
    rows = await pool.fetch(
        f"select {COLUMNS} from alerts where parent_id = $1 and dedup_key > $2"  # noqa: S608  constants
        f" and {visible_to(role)}"
        " order by dedup_key limit $3",
        alert_id,
        after,
        min(max(limit, 1), 500),
    )
    return [Alert.from_row(row) for row in rows]
