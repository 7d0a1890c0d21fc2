"""How far an alert got with each person: the delivery ledger, and what the phone network reports. SQL."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.database import Connection, Pool
from hub.notify import queue
from hub.notify.policy import DUTY
from hub.notify.standing import Call, Entry, Line, Text, lines_of
from hub.notify.transports import DeliveryReport

log = logging.getLogger(__name__)

REPORTS_KEPT = timedelta(days=3)
"""A phone that was off for longer makes the network give up; the longest validity that is asked for."""
STRAY_AFTER_S = 30.0
MAX_LINES = 1000

# ---------------------------------------------------------------------------------------- reports

# The newest part that still waits: a modem's references come round again. Found first, so that its text's
# row can be locked.
_PARTS = """
select s.n::integer - 1 as index, p.part_id, p.notification_id
from unnest($1::text[], $2::text[]) with ordinality as s (transport, reference, n)
cross join lateral (
  select part_id, notification_id from delivery_parts d
  where d.transport = s.transport and d.reference = s.reference and d.is_delivered is null
  order by part_id desc limit 1
) p
"""
# A second word on a part changes nothing.
_MARK_PARTS = """
update delivery_parts p set is_delivered = s.is_delivered, reported_at = s.at, detail = s.detail
from unnest($1::bigint[], $2::boolean[], $3::timestamptz[], $4::text[])
  as s (part_id, is_delivered, at, detail)
where p.part_id = s.part_id and p.is_delivered is null
"""
# A text is delivered when every part of one attempt is; it is lost when each attempt lost a part.
_MARK_TEXTS = """
with attempts as (
  select notification_id, attempt, bool_and(coalesce(is_delivered, false)) as is_whole,
    coalesce(bool_or(not is_delivered), false) as is_broken, max(reported_at) as at,
    max(detail) filter (where not is_delivered) as detail
  from delivery_parts where notification_id = any($1) group by notification_id, attempt
), known as (
  select notification_id, bool_or(is_whole) as is_delivered, max(at) as at, max(detail) as detail
  from attempts group by notification_id having bool_or(is_whole) or bool_and(is_broken)
), moved as (
  update notifications n set is_delivered = k.is_delivered, reported_at = k.at,
    error = case when k.is_delivered then '' else coalesce(k.detail, '') end
  from known k
  where n.notification_id = k.notification_id and n.is_delivered is distinct from k.is_delivered
    and n.is_delivered is not true
  returning n.alert_id, n.priority, n.is_delivered
), told as (
  select pg_notify('alerts', alert_id::text) from (select distinct alert_id from moved) m
  where alert_id is not null
)
select alert_id, (select count(*) from told) as n from moved
where not is_delivered and alert_id is not null and priority <= $2
"""
_KEEP_EARLY = """
insert into early_reports (transport, reference, at, is_delivered, detail, heard_at)
values ($1, $2, $3, $4, $5, $6)
"""

# Only just before the record of its own text: an old repeat must not speak for a new text.
_TAKE_EARLY = """
delete from early_reports e where exists (
  select from delivery_parts p
  where p.transport = e.transport and p.reference = e.reference and p.is_delivered is null
    and p.at <= e.heard_at + interval '10 seconds')
returning transport, reference, at, is_delivered, detail
"""


@dataclass(frozen=True, slots=True)
class _Report:
    transport: str
    report: DeliveryReport


async def record_report(pool: Pool, transport: str, report: DeliveryReport, now: datetime) -> None:
    """Keep the network's word on one part. Early, late, repeated and foreign reports do no harm.

    A person whom an urgent text did not reach is not waited for.
    """
    async with pool.acquire() as connection, connection.transaction():
        matched, unreached = await _report(connection, [_Report(transport, report)])
        if not matched:
            await connection.execute(
                _KEEP_EARLY,
                transport,
                report.reference,
                report.at,
                report.is_delivered,
                report.detail[: queue.MAX_ERROR_CHARS],
                now,
            )
    await queue.hasten(pool, unreached, now)


async def match_early(pool: Pool, now: datetime) -> int:
    """Reports that overtook the record of their own text; returns how many found it by now."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_TAKE_EARLY)
        reports = [_Report(row["transport"], _report_of(row)) for row in rows]
        _, unreached = await _report(connection, reports) if reports else (0, frozenset())
    await queue.hasten(pool, unreached, now)
    return len(reports)


def _report_of(row: Any) -> DeliveryReport:
    return DeliveryReport(
        reference=row["reference"], at=row["at"], is_delivered=row["is_delivered"], detail=row["detail"]
    )


async def _report(connection: Connection, reports: Sequence[_Report]) -> tuple[int, frozenset[uuid.UUID]]:
    """How many belong to a part, and the urgent alerts of which somebody was not reached."""
    found = await connection.fetch(
        _PARTS, [r.transport for r in reports], [r.report.reference for r in reports]
    )
    texts = sorted({row["notification_id"] for row in found})
    # two parts of one text that are reported at once must see each other
    await connection.execute(
        "select from notifications where notification_id = any($1) order by notification_id for update", texts
    )
    said = [reports[row["index"]].report for row in found]
    await connection.execute(
        _MARK_PARTS,
        [row["part_id"] for row in found],
        [report.is_delivered for report in said],
        [report.at for report in said],
        [report.detail[: queue.MAX_ERROR_CHARS] for report in said],
    )
    rows = await connection.fetch(_MARK_TEXTS, texts, queue.HASTY_PRIORITY)
    return len(found), frozenset(row["alert_id"] for row in rows)


# ------------------------------------------------------------------------------------------- tidying

_GIVE_UP = """
with ended as (
  update notifications set state = 'failed', lease_until = null,
    error = 'no se sabe si llegó: dos envíos quedaron sin respuesta'
  where state = 'queued' and handovers >= 2 and (lease_until is null or lease_until <= $1)
  returning alert_id, recipient, priority
), logged as (
  insert into alert_log (alert_id, at, author, move, note)
  select alert_id, $1, 'hub:notify', 'notify_failed', string_agg(recipient, ', ' order by recipient)
  from ended where alert_id is not null group by alert_id
  returning alert_id
), told as (
  select pg_notify('alerts', alert_id::text) from logged
)
select alert_id, priority, (select count(*) from told) as n from ended where alert_id is not null
"""


async def give_up_unsure(pool: Pool, now: datetime) -> None:
    """Texts that may have left twice, from hubs that died meanwhile: a person has to call instead."""
    rows = await pool.fetch(_GIVE_UP, now)
    await queue.hasten(pool, {r["alert_id"] for r in rows if r["priority"] <= queue.HASTY_PRIORITY}, now)


async def adopt_strays(pool: Pool, ways: Sequence[str], now: datetime) -> None:
    """Texts on a way that no transport goes, after a change of the settings, go by SMS or what there is."""
    found = await pool.fetchval(
        "with strays as (update notifications set transport = $2 where state = 'queued'"
        " and lease_until is null and due_at <= $3 and transport <> all($1) returning 1)"
        " select count(*) from strays",
        list(ways),
        "sms" if "sms" in ways else ways[0],
        now - timedelta(seconds=STRAY_AFTER_S),
    )
    if found:
        log.warning("%d texts were on a way that no transport goes; they take another", found)


async def sweep_early(pool: Pool, now: datetime) -> None:
    await pool.execute("delete from early_reports where heard_at < $1", now - REPORTS_KEPT)


# -------------------------------------------------------------------------------------------- ledger

_TEXTS = """
select n.contact_id, n.recipient, n.state, n.attempts, n.error, n.is_delivered, n.reported_at, n.sent_at,
  n.created_at, n.priority, n.due_at, coalesce(last.transport, n.transport) as transport
from notifications n
left join lateral (
  select d.transport from delivery_attempts d
  where d.notification_id = n.notification_id order by d.number desc limit 1
) last on true
where n.alert_id = $1 order by n.created_at, n.rank, n.recipient limit $2
"""
_CALLS = """
select k.contact_id, coalesce(c.name, $2) as recipient, k.at, k.outcome <> 'no_answer' as is_answered
from calls k left join contacts c using (contact_id) where alert_id = $1 order by call_id
"""
# Each waiting text's place in the whole queue, most urgent first.
_AHEAD = """
select max(place)::integer from (
  select n.alert_id, row_number() over (order by n.priority, n.rank, n.due_at, n.notification_id) as place
  from notifications n where n.state = 'queued'
) q where alert_id = $1
"""
_RATE = """
select sum(1 / s_per_text) from transport_states
where is_ok and not is_open and s_per_text > 0 and checked_at > $1::timestamptz - interval '1 minute'
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """``expected_at``: when the last waiting text should have left; None where nothing waits or no rate is
    known yet.
    """

    lines: tuple[Line, ...]
    expected_at: datetime | None = None


async def ledger_of(pool: Pool, alert_id: uuid.UUID, now: datetime) -> Ledger:
    """One line for each person who was told of the alert, as they were queued; then who was only called."""
    texts = [_text(row) for row in await pool.fetch(_TEXTS, alert_id, MAX_LINES)]
    answers = await pool.fetch(
        "select person, answer, at from confirmations where alert_id = $1 and person like 'contact:%'",
        alert_id,
    )
    calls = await pool.fetch(_CALLS, alert_id, DUTY)
    lines = lines_of(
        texts,
        {int(r["person"].partition(":")[2]): Entry(r["at"], r["answer"]) for r in answers},
        [Call(**dict(row)) for row in calls],
    )
    if any(line.is_waiting for line in lines):
        return Ledger(tuple(lines), await _expected_at(pool, alert_id, now))
    return Ledger(tuple(lines))


def _text(row: Any) -> Text:
    return Text(**{name: row[name] for name in Text.__slots__})


async def _expected_at(pool: Pool, alert_id: uuid.UUID, now: datetime) -> datetime | None:
    rate = await pool.fetchval(_RATE, now)
    place = await pool.fetchval(_AHEAD, alert_id)
    return None if not rate or not place else now + timedelta(seconds=place / rate)
