"""A group that does not answer in time is called, person by person, by somebody of the room.

Whether an alert needs it follows from its group's quorum and time; whom to call next, from who answered and
who was called already.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.alerts import service as alerts
from hub.alerts.model import RESTRICTED_KINDS
from hub.database import Connection, Pool

MAX_ROUNDS = 2
"""How often somebody who does not answer the telephone is called."""
BATCH = 50
ROLE_ORDER: Mapping[str, int] = {"base": 0, "guia": 1, "suplente": 2}


# Alerts that a group was told of and that wait for it; a patrol takes a quarter of an hour to the hills, so a
# dispatch alone does not end it. Drills and restricted alerts never get here.
_OVERDUE = f"""
select a.alert_id, e.watch_group, coalesce(g.quorum, 2)::smallint as quorum, k.coming
from alerts a join escalations e using (alert_id) left join watch_groups g on g.name = e.watch_group
cross join lateral (
  select count(*)::integer as coming from confirmations c
  where c.alert_id = a.alert_id and c.answer = 'coming' and c.person like 'contact:%'
) k
where a.closed_at is null and a.parent_id is null and e.watch_group <> '' and a.priority <= 2
  and a.state in ('received', 'acknowledged', 'verifying', 'dispatched')
  and not a.is_drill and not a.is_reserved
  and not a.kind = any('{{{",".join(sorted(RESTRICTED_KINDS))}}}')
  and a.opened_at + make_interval(secs => coalesce(g.quorum_within_s, 180)) <= $1
  and k.coming < coalesce(g.quorum, 2)
  and exists (select from notifications n where n.alert_id = a.alert_id and n.contact_id is not null)
  and not exists (select from call_trees t where t.alert_id = a.alert_id)
order by a.priority, a.opened_at limit $2
"""  # noqa: S608  constants of ours
# Told, over, or somebody else's matter by now.
_END = f"""
update call_trees t set ended_at = $1
from alerts a
where a.alert_id = t.alert_id and t.ended_at is null and (
  a.closed_at is not null or a.is_reserved or a.state not in
    ('received', 'acknowledged', 'verifying', 'dispatched')
  or a.kind = any('{{{",".join(sorted(RESTRICTED_KINDS))}}}')
  or (select count(*) from confirmations c where c.alert_id = a.alert_id and c.answer = 'coming'
      and c.person like 'contact:%') >= t.quorum)
"""  # noqa: S608  constants of ours


async def watch_quorums(pool: Pool, now: datetime) -> int:
    """Begin the calls that are due and end those that are not needed any more; returns how many began."""
    await pool.execute(_END, now)
    rows = await pool.fetch(_OVERDUE, now, BATCH)
    for row in rows:
        async with pool.acquire() as connection, connection.transaction():
            await _begin(connection, row, now)
    return len(rows)


async def _begin(connection: Connection, row: Any, now: datetime) -> None:
    alert = await alerts.locked_alert(connection, row["alert_id"])
    is_new = await connection.fetchval(
        "insert into call_trees (alert_id, watch_group, quorum, begun_at) values ($1, $2, $3, $4)"
        " on conflict do nothing returning true",
        row["alert_id"],
        row["watch_group"],
        row["quorum"],
        now,
    )
    if is_new:
        note = f"confirmaron {row['coming']} de {row['quorum']} del grupo {row['watch_group']}"
        await alerts.add_line(connection, alert, "call_tree", author="hub:calls", note=note, now=now)


# ------------------------------------------------------------------------------------ whom to call


@dataclass(frozen=True, kw_only=True, slots=True)
class Callee:
    """One person of the list; ``answer`` and ``outcome`` are the newest, empty for none."""

    contact_id: int
    name: str
    phone: str
    role: str
    call_order: int | None
    call_sign: str
    cell: str
    answer: str
    calls: int
    outcome: str
    called_at: datetime | None

    @classmethod
    def from_row(cls, row: Any) -> "Callee":
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def is_reached(self) -> bool:
        return bool(self.answer) or self.outcome in ("answered", "coming")


def in_order(people: Sequence[Callee]) -> list[Callee]:
    """As they are called: by the group's own order, then base, guide, stand-in, then everybody. Pure."""
    return sorted(
        people, key=lambda p: (p.call_order or 1000, ROLE_ORDER.get(p.role, 3), p.name, p.contact_id)
    )


def next_to_call(people: Sequence[Callee]) -> Callee | None:
    """Who was called least often of those nobody has reached; None when everybody was tried. Pure."""
    waiting = [p for p in in_order(people) if not p.is_reached and p.calls < MAX_ROUNDS]
    return min(waiting, key=lambda p: p.calls, default=None)


# Whoever asked for help is not asked to go there.
_CALLEES = """
select c.contact_id, c.name, c.phone, c.role, c.call_order, c.call_sign, c.cell,
  coalesce(k.answer, '') as answer, coalesce(l.calls, 0)::integer as calls,
  coalesce(l.outcome, '') as outcome, l.called_at
from call_trees t
join contacts c on c.watch_group = t.watch_group and c.active
left join confirmations k on k.alert_id = t.alert_id and k.person = 'contact:' || c.contact_id
left join lateral (
  select count(*) as calls, (array_agg(outcome order by call_id desc))[1] as outcome, max(at) as called_at
  from calls where alert_id = t.alert_id and contact_id = c.contact_id
) l on true
where t.alert_id = $1 and not exists (
  select from followers f where f.alert_id = t.alert_id and f.contact_id = c.contact_id and f.is_reporter)
limit 500
"""


async def callees(pool: Pool | Connection, alert_id: uuid.UUID) -> list[Callee]:
    """The list of an alert whose group did not answer, in the order of the calls; empty for any other."""
    return in_order([Callee.from_row(row) for row in await pool.fetch(_CALLEES, alert_id)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """An alert whose group has to be called."""

    alert_id: uuid.UUID
    code: str
    kind: str
    priority: int
    place: str
    watch_group: str
    quorum: int
    begun_at: datetime
    ended_at: datetime | None
    coming: int


_TREES = """
select t.alert_id, a.code, a.kind, a.priority, a.place, t.watch_group, t.quorum, t.begun_at, t.ended_at,
  (select count(*) from confirmations c where c.alert_id = t.alert_id and c.answer = 'coming'
   and c.person like 'contact:%')::integer as coming
from call_trees t join alerts a using (alert_id)
where case when $1::uuid is null then t.ended_at is null else t.alert_id = $1 end
order by a.priority, t.begun_at limit $2
"""


async def open_trees(pool: Pool, limit: int = BATCH) -> list[Tree]:
    """Alerts that have people to be called, the most urgent first."""
    return [Tree(**dict(row)) for row in await pool.fetch(_TREES, None, limit)]


async def tree_of(pool: Pool, alert_id: uuid.UUID) -> Tree | None:
    rows = await pool.fetch(_TREES, alert_id, 1)
    return Tree(**dict(rows[0])) if rows else None
