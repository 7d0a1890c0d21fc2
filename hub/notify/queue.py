"""Notifications as rows: queued with the alert, claimed under a lease, finished after the act."""

import logging
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import asyncpg

from hub.database import Connection, Pool
from hub.database.statement import statement
from hub.notify.policy import DUTY, Draft
from hub.notify.routing import Wants, everything_for

log = logging.getLogger(__name__)

CHANNEL = "notifications"
MAX_ERROR_CHARS = 300
HASTY_PRIORITY = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """A claimed row. ``phone`` is None for the duty recipient and for a contact that was switched off.

    An answer goes to the number that it answers, whoever that is by now.

    ``lease_until`` is also the proof of the claim: a newer claim has another one.
    """

    notification_id: uuid.UUID
    alert_id: uuid.UUID | None
    contact_id: int | None
    recipient: str
    transport: str
    priority: int
    text: str
    due_at: datetime
    attempts: int
    lease_until: datetime
    created_at: datetime
    phone: str | None
    code: str

    @classmethod
    def from_row(cls, row: Any) -> "Notification":
        return cls(**{name: row[name] for name in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStep:
    """What happens at ``due_at`` unless somebody takes the alert; None: nothing."""

    alert_id: uuid.UUID
    policy: str
    due_at: datetime | None
    dispatch_within_s: int | None
    watch_group: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    notification: Notification
    at: datetime
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """``retry_at`` None: nobody tries again. ``error`` names the cause, never a number.

    ``maybe_sent``: the text may arrive all the same, so it counts as one of its two hand-overs.
    """

    notification: Notification
    at: datetime
    error: str
    retry_at: datetime | None
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A promise that ``transport`` sends what it ``wants`` of the new texts right after the commit.

    It holds under a lease until then: whoever breaks it, by dying, leaves the texts to the others.
    """

    transport: str
    until: datetime
    wants: Wants
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """``count`` texts are new; ``claimed`` are those of them that the claim took."""

    count: int = 0
    claimed: Sequence[Notification] = ()


# A draft for a group becomes a row for each active contact here, so that the hot path asks nothing first.
# The id is a UUIDv7 by the hub's clock; PostgreSQL 15 has no function of its own for it. The array behind a
# "select" hides its length, so that the planner keeps one plan.
QUEUEING = (
    """queued as (
  insert into notifications (notification_id, alert_id, contact_id, recipient, watch_group, transport,
    priority, rank, text, due_at, created_at, lease_until, lease_owner, attempts, handovers)
  select (lpad(to_hex(:now_ms::bigint), 12, '0') || '7'
          || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
    d.alert_id, r.contact_id, r.recipient, r.watch_group, d.transport, d.priority, r.rank, d.text, d.due_at,
    :now, c.until, coalesce(c.owner, ''), (c.until is not null)::integer, (c.until is not null)::integer
  from drafts d
  cross join lateral (
    select null::integer as contact_id, :duty::text as recipient, '' as watch_group, 0::smallint as rank
    where d.watch_group is null and d.contact_id is null
    union all
    select c.contact_id, c.name, c.watch_group, neighbour_rank(c) from contacts c
    where c.watch_group = d.watch_group and c.active and (d.priority = 1 or not is_quiet(c, :now))
    union all
    select c.contact_id, c.name, c.watch_group, 0 from contacts c
    where c.contact_id = d.contact_id and c.active
  ) as r
  left join (select :claim_until::timestamptz as until, :claim_owner::text as owner) c
    on d.due_at <= :now and d.transport || ' ' || d.priority || ' '
      || case when r.watch_group = any(:claim_groups::text[]) then r.watch_group else '' end
      = any(:claim_keys::text[])
  on conflict do nothing
  returning notification_id, alert_id, contact_id, recipient, priority, rank, text, due_at, attempts,
    lease_until, created_at,
    case when lease_until is null then transport else :claim_transport::text end as transport
)""",
    """tried as (
  insert into delivery_attempts (notification_id, number, transport, at)
  select notification_id, 1, transport, :now from queued where lease_until is not null
)""",
    """planned as (
  insert into escalations as e (alert_id, policy, stage, anchor_at, due_at, dispatch_within_s, watch_group)
  select p.alert_id, p.policy, 'acknowledge', :now, p.due_at, p.dispatch_within_s, p.watch_group
  from first_steps p
  on conflict (alert_id) do update
    set policy = excluded.policy, dispatch_within_s = excluded.dispatch_within_s, anchor_at = :now, fired = 0,
        due_at = case e.stage when 'acknowledge' then excluded.due_at
                 when 'dispatch' then :now::timestamptz + make_interval(secs => excluded.dispatch_within_s)
                 end
)""",
    # Other senders are woken for what no claim took.
    """told as (
  select count(*) from (select from queued where lease_until is null limit 1) as loose
  cross join lateral (select pg_notify('notifications', '')) as rung
)""",
)
"""Parts of a statement that come behind two others, ``drafts`` and ``first_steps``; read ``told``, too."""

DRAFTS = """drafts as (
  select * from unnest((select :draft_alerts::uuid[]), :draft_groups::text[], :draft_transports::text[],
      :draft_priorities::smallint[], :draft_texts::text[], :draft_dues::timestamptz[], :draft_contacts::int[])
    as d (alert_id, watch_group, transport, priority, text, due_at, contact_id)
)"""
_FIRST_STEPS = """first_steps as (
  select * from unnest((select :step_alerts::uuid[]), :step_policies::text[], :step_dues::timestamptz[],
      :step_dispatches::int[], :step_groups::text[])
    as p (alert_id, policy, due_at, dispatch_within_s, watch_group)
)"""
_ENQUEUE = statement(
    DRAFTS,
    _FIRST_STEPS,
    *QUEUEING,
    result="""
select q.*, p.phone, coalesce(a.code, '') as code
from queued q cross join told
left join contacts p on p.contact_id = q.contact_id
left join alerts a on a.alert_id = q.alert_id
""",
)


async def enqueue(
    connection: Connection,
    drafts: Sequence[Draft],
    now: datetime,
    first_steps: Sequence[FirstStep] = (),
    claim: Claim | None = None,
) -> Queued:
    """Queue texts in the caller's transaction. Senders wake at the commit.

    ``first_steps`` are written in the same statement. An alert that has one already, because it became
    more urgent, starts its stage anew under the new policy.
    """
    if not drafts and not first_steps:
        return Queued()
    arguments = {
        **queueing_arguments(now, claim),
        **draft_arguments(drafts),
        "draft_alerts": [d.alert_id for d in drafts],
        **step_arguments(first_steps),
        "step_alerts": [f.alert_id for f in first_steps],
    }
    return queued_of(await connection.fetch(_ENQUEUE.sql, *_ENQUEUE.arguments(arguments)))


def queueing_arguments(now: datetime, claim: Claim | None) -> dict[str, object]:
    return {
        "now": now,
        "now_ms": int(now.timestamp() * 1000),
        "duty": DUTY,
        "claim_transport": None if claim is None else claim.transport,
        "claim_until": None if claim is None else claim.until,
        "claim_owner": None if claim is None else claim.owner,
        "claim_keys": () if claim is None else claim.wants.keys,
        "claim_groups": () if claim is None else claim.wants.groups,
    }


def draft_arguments(drafts: Sequence[Draft]) -> dict[str, object]:
    """All but which alert each is of."""
    return {
        "draft_groups": [d.watch_group for d in drafts],
        "draft_transports": [d.transport for d in drafts],
        "draft_priorities": [d.priority for d in drafts],
        "draft_texts": [d.text for d in drafts],
        "draft_dues": [d.due_at for d in drafts],
        "draft_contacts": [d.contact_id for d in drafts],
    }


def step_arguments(first_steps: Sequence[FirstStep]) -> dict[str, object]:
    """All but which alert each is of."""
    return {
        "step_policies": [f.policy for f in first_steps],
        "step_dues": [f.due_at for f in first_steps],
        "step_dispatches": [f.dispatch_within_s for f in first_steps],
        "step_groups": [f.watch_group for f in first_steps],
    }


def queued_of(rows: Sequence[asyncpg.Record]) -> Queued:
    """From rows that hold the columns of ``queued``, with ``phone`` and ``code``."""
    return Queued(len(rows), [Notification.from_row(row) for row in claimed_rows(rows)])


def claimed_rows(rows: Iterable[asyncpg.Record]) -> list[asyncpg.Record]:
    """The rows that a claim took, in the order of sending."""
    taken = [row for row in rows if row["lease_until"] is not None]
    return sorted(taken, key=itemgetter("rank"))


# A claim need not wait for the disk: one that a crash of the database forgets is simply claimed again.
# Keys rather than a join, so that the rows come in the order of their index however many wait. Texts that may
# have left once are claimed few by few: a hub that died with many in hand would have spent their last.
_CLAIM = """
with relaxed as materialized (select set_config('synchronous_commit', 'off', true)),
due as (
  select n.notification_id, n.handovers, n.priority, n.rank, n.due_at
  from notifications n cross join relaxed
  where n.state = 'queued' and n.priority <= $7 and n.due_at <= $2 and n.handovers < 2
    and (n.lease_until is null or n.lease_until <= $2)
    and n.transport || ' ' || n.priority || ' '
        || case when n.watch_group = any($6::text[]) then n.watch_group else '' end = any($5::text[])
  order by n.priority, n.rank, n.due_at limit $4
  for update of n skip locked
), chosen as (
  select notification_id from (
    select notification_id, handovers, count(*) filter (where handovers > 0)
      over (order by priority, rank, due_at, notification_id) as risks
    from due
  ) d where handovers = 0 or risks <= $8
), claimed as (
  update notifications n
  set lease_until = $3, lease_owner = $9, attempts = n.attempts + 1, handovers = n.handovers + 1
  from chosen c where n.notification_id = c.notification_id
  returning n.*
), tried as (
  insert into delivery_attempts (notification_id, number, transport, at)
  select notification_id, attempts, $1, $2 from claimed
)
select c.notification_id, c.alert_id, c.contact_id, c.recipient, $1::text as transport, c.priority, c.text,
  c.due_at, c.attempts, c.lease_until, c.created_at, coalesce(c.reply_to, p.phone) as phone,
  coalesce(a.code, '') as code
from claimed c
left join contacts p on p.contact_id = c.contact_id and p.active
left join alerts a on a.alert_id = c.alert_id
order by c.priority, c.rank, c.due_at, c.notification_id
"""


async def claim(
    pool: Pool,
    transport: str,
    limit: int,
    lease_s: float,
    now: datetime,
    wants: Wants | None = None,
    risks: int = 1,
    owner: str = "",
) -> list[Notification]:
    """Up to ``limit`` rows that are due, the most urgent first; stalled ones (lease over) among them.

    Each claim is an attempt on the record, by ``transport``. A text that may have reached its phone twice
    is never claimed again; of those that may have done so once, at most ``risks``. Without ``wants`` the rows
    of the way that has the transport's own name.
    """
    wants = wants or everything_for(transport)
    lease_until = now + timedelta(seconds=lease_s)
    rows = await pool.fetch(
        _CLAIM, transport, now, lease_until, limit, wants.keys, wants.groups, wants.least, risks, owner
    )
    return [Notification.from_row(row) for row in rows]


# The hubs' own register says who is dead; a hub that is not in it, because it only sends, keeps its leases.
_GIVE_UP_LEASES = """
update notifications n set lease_until = null
where n.state = 'queued' and n.lease_until > $2 and (
  n.lease_owner = $1 or exists (select from hubs h where h.owner = n.lease_owner and h.seen_until < now()))
"""


async def give_up_leases(pool: Pool, restarted: str, now: datetime) -> None:
    """Take back what dead hubs had claimed, and what ``restarted`` had when it ended (none: empty)."""
    await pool.execute(_GIVE_UP_LEASES, restarted or None, now)


# Sent is sent, whoever holds the lease by now. Recipients by name: phones stay out of the timeline.
_MARK_SENT = """
with done as (
  update notifications n
  set state = 'sent', sent_at = s.at, transport_ref = s.reference, lease_until = null, error = ''
  from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as s (notification_id, at, reference)
  where n.notification_id = s.notification_id and n.state <> 'sent'
  returning n.alert_id, n.recipient, s.at
), ended as (
  update delivery_attempts d set outcome = 'accepted', ended_at = s.at
  from unnest($1::uuid[], $2::timestamptz[], $4::smallint[]) as s (notification_id, at, number)
  where d.notification_id = s.notification_id and d.number = s.number
), parts as (
  insert into delivery_parts (notification_id, attempt, transport, reference, at)
  select p.* from unnest($5::uuid[], $6::smallint[], $7::text[], $8::text[], $9::timestamptz[])
    as p (notification_id, attempt, transport, reference, at)
), logged as (
  insert into alert_log (alert_id, at, author, move, note)
  select alert_id, max(at), 'hub:notify', 'notified', string_agg(recipient, ', ' order by recipient)
  from done where alert_id is not null group by alert_id
  returning alert_id
)
select pg_notify('alerts', alert_id::text) from logged
"""


async def mark_sent(pool: Pool, sent: Sequence[Sent]) -> None:
    """Finish texts that were handed over, with one line in each alert's timeline; reports may come now."""
    if not sent:
        return
    parts = [(s.notification, reference, s.at) for s in sent for reference in s.references]
    await pool.fetch(
        _MARK_SENT,
        [s.notification.notification_id for s in sent],
        [s.at for s in sent],
        [" ".join(s.references) for s in sent],
        [s.notification.attempts for s in sent],
        [n.notification_id for n, _, _ in parts],
        [n.attempts for n, _, _ in parts],
        [n.transport for n, _, _ in parts],
        [reference for _, reference, _ in parts],
        [at for _, _, at in parts],
    )


# What surely did not leave is no hand-over; what may have left twice is not tried again.
_MARK_FAILED = """
with failures as (
  select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::text[],
    $6::boolean[], $7::smallint[])
    as f (notification_id, lease_until, at, retry_at, error, maybe_sent, number)
), tried as (
  update delivery_attempts d
  set outcome = case when f.maybe_sent then 'unknown' else 'refused' end, ended_at = f.at, cause = f.error
  from failures f where d.notification_id = f.notification_id and d.number = f.number
), ended as (
  update notifications n
  set state = case when f.retry_at is null or (f.maybe_sent and n.handovers >= 2) then 'failed'
                   else 'queued' end,
      handovers = n.handovers - case when f.maybe_sent then 0 else 1 end,
      due_at = coalesce(f.retry_at, n.due_at), lease_until = null, error = f.error
  from failures f
  where n.notification_id = f.notification_id and n.state = 'queued' and n.lease_until = f.lease_until
  returning n.alert_id, n.recipient, n.state, n.priority, f.at, f.error
), logged as (
  insert into alert_log (alert_id, at, author, move, note)
  select alert_id, max(at), 'hub:notify', 'notify_failed', string_agg(recipient, ', ' order by recipient)
  from ended where state = 'failed' and alert_id is not null group by alert_id
  returning alert_id
), told as (
  select pg_notify('alerts', alert_id::text) from logged
)
select e.alert_id, (select count(*) from told) as n from ended e
where e.state = 'failed' and e.alert_id is not null and e.priority <= $8
"""


async def mark_failed(pool: Pool, failures: Sequence[Failed]) -> frozenset[uuid.UUID]:
    """Give up texts, or let them wait until ``retry_at``; nothing where somebody else has the lease.

    Returns the urgent alerts of which somebody will not be reached.
    """
    if not failures:
        return frozenset()
    rows = await pool.fetch(
        _MARK_FAILED,
        [f.notification.notification_id for f in failures],
        [f.notification.lease_until for f in failures],
        [f.at for f in failures],
        [f.retry_at for f in failures],
        [f.error[:MAX_ERROR_CHARS] for f in failures],
        [f.maybe_sent for f in failures],
        [f.notification.attempts for f in failures],
        HASTY_PRIORITY,
    )
    return frozenset(row["alert_id"] for row in rows)


MAX_HASTE_S = 120
"""Only waits up to this are cut short: reminders, which wait longer, must not chase each other."""

# The alert's row first, as a move locks them. The whole rest of the schedule moves forward with the step.
_HASTEN = """
with locked as materialized (
  select alert_id from alerts where alert_id = any($1) and state = 'received' order by alert_id for update
)
update escalations e set anchor_at = e.anchor_at - (e.due_at - $2), due_at = $2
from locked l
where e.alert_id = l.alert_id and e.stage = 'acknowledge' and e.due_at > $2
  and e.due_at <= $2::timestamptz + make_interval(secs => $3)
"""


async def hasten(pool: Pool, alert_ids: Collection[uuid.UUID], now: datetime) -> None:
    """Nobody waits for a person whom no text can reach: the next step of urgent alerts is due at once.

    A crash before this costs nothing but the wait.
    """
    if alert_ids:
        await pool.execute(_HASTEN, sorted(alert_ids), now, MAX_HASTE_S)


_RELEASE = """
with freed as (
  update notifications n set lease_until = null, attempts = n.attempts - 1, handovers = n.handovers - 1
  from unnest($1::uuid[], $2::timestamptz[]) as c (notification_id, lease_until)
  where n.notification_id = c.notification_id and n.lease_until = c.lease_until
  returning n.notification_id, n.attempts + 1 as number
)
delete from delivery_attempts d using freed f
where d.notification_id = f.notification_id and d.number = f.number
"""


async def release(pool: Pool, notifications: Sequence[Notification]) -> None:
    """Give back what was claimed and not tried, so that something more urgent can pass it."""
    if notifications:
        await pool.execute(
            _RELEASE,
            [n.notification_id for n in notifications],
            [n.lease_until for n in notifications],
        )
