"""How far an alert got with each person: the delivery ledger, and what the phone network reports. SQL."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.database import Pool
from hub.notify import queue
from hub.notify.standing import Call, Entry, Line, Text, lines_of
from hub.notify.transports import DeliveryReport

log = logging.getLogger(__name__)

REPORTS_KEPT = timedelta(days=3)
"""A phone that was off for longer makes the network give up; the longest validity that is asked for."""
STRAY_AFTER_S = 30.0
MAX_LINES = 1000

# ---------------------------------------------------------------------------------------- reports

# The newest part: a modem's references come round again. Its text is delivered when every part of one
# attempt is; one part that failed fails the attempt. A second report on a part changes nothing.
_REPORTED = """
with said as materialized (
  select distinct on (p.part_id) p.part_id, s.at, s.is_delivered, s.detail
  from unnest($1::text[], $2::text[], $3::timestamptz[], $4::boolean[], $5::text[])
    as s (transport, reference, at, is_delivered, detail)
  cross join lateral (
    select part_id, is_delivered from delivery_parts d
    where d.transport = s.transport and d.reference = s.reference order by part_id desc limit 1
  ) p
  where p.is_delivered is null
  order by p.part_id, s.at
), told as (
  update delivery_parts p set is_delivered = s.is_delivered, reported_at = s.at, detail = s.detail
  from said s where p.part_id = s.part_id
  returning p.part_id, p.notification_id, p.attempt, p.is_delivered, p.reported_at, p.detail
), whole as (
  select t.notification_id, max(t.reported_at) as at, max(t.detail) filter (where not t.is_delivered) as detail,
    bool_and(coalesce(f.is_delivered, p.is_delivered)) as is_delivered,
    bool_or(coalesce(f.is_delivered, p.is_delivered) is null) as is_open
  from (select distinct notification_id, attempt, reported_at, is_delivered, detail from told) t
  join delivery_parts p on p.notification_id = t.notification_id and p.attempt = t.attempt
  left join told f on f.part_id = p.part_id
  group by t.notification_id, t.attempt
), moved as (
  update notifications n
  set is_delivered = w.is_delivered, reported_at = w.at,
      error = case when w.is_delivered then '' else coalesce(w.detail, '') end
  from whole w
  where n.notification_id = w.notification_id and n.is_delivered is not true
    and (not w.is_open or not w.is_delivered)
  returning n.alert_id, n.priority, n.is_delivered
), woken as (
  select pg_notify('alerts', alert_id::text) from (select distinct alert_id from moved) m
  where alert_id is not null
)
select (select count(*) from said)::integer as matched, (select count(*) from woken) as n,
  (select array_agg(distinct alert_id) from moved
   where not is_delivered and alert_id is not null and priority <= $6) as unreached
"""


async def record_report(pool: Pool, transport: str, report: DeliveryReport, now: datetime) -> None:
    """Keep the network's word on one part. Early, late, repeated and foreign reports do no harm.

    A person whom an urgent text did not reach is not waited for.
    """
    row = await _report(pool, [(transport, report)])
    if not row["matched"]:
        await pool.execute(
            "insert into early_reports (transport, reference, at, is_delivered, detail)"
            " select $1, $2, $3, $4, $5 where not exists (select from delivery_parts"
            " where transport = $1 and reference = $2 and is_delivered is not null)",
            transport,
            report.reference,
            report.at,
            report.is_delivered,
            report.detail,
        )
    await queue.hasten(pool, row["unreached"] or (), now)


async def match_early(pool: Pool, now: datetime) -> int:
    """Reports that overtook the record of their own text; returns how many found it by now."""
    rows = await pool.fetch(
        "delete from early_reports e using (select distinct transport, reference from delivery_parts"
        " where is_delivered is null and (transport, reference) in"
        " (select transport, reference from early_reports)) p"
        " where e.transport = p.transport and e.reference = p.reference"
        " returning e.transport, e.reference, e.at, e.is_delivered, e.detail"
    )
    if not rows:
        return 0
    row = await _report(pool, [(r["transport"], _report_of(r)) for r in rows])
    await queue.hasten(pool, row["unreached"] or (), now)
    return len(rows)


def _report_of(row: Any) -> DeliveryReport:
    return DeliveryReport(
        reference=row["reference"], at=row["at"], is_delivered=row["is_delivered"], detail=row["detail"]
    )


async def _report(pool: Pool, reports: Sequence[tuple[str, DeliveryReport]]) -> Any:
    return await pool.fetchrow(
        _REPORTED,
        [transport for transport, _ in reports],
        [report.reference for _, report in reports],
        [report.at for _, report in reports],
        [report.is_delivered for _, report in reports],
        [report.detail[: queue.MAX_ERROR_CHARS] for _, report in reports],
        queue.HASTY_PRIORITY,
    )


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
        "with strays as (update notifications set transport = $2"
        " where state = 'queued' and lease_until is null and due_at <= $3 and transport <> all($1) returning 1)"
        " select count(*) from strays",
        list(ways),
        "sms" if "sms" in ways else ways[0],
        now - timedelta(seconds=STRAY_AFTER_S),
    )
    if found:
        log.warning("%d texts were on a way that no transport goes; they take another", found)


async def sweep_early(pool: Pool, now: datetime) -> None:
    await pool.execute("delete from early_reports where at < $1", now - REPORTS_KEPT)


# --------------------------------------------------------------------------------------------- calls


async def record_call(
    pool: Pool, alert_id: uuid.UUID, contact_id: int | None, author: str, at: datetime, *, is_answered: bool
) -> None:
    """A person of the room called somebody about an alert; None: the duty phone."""
    await pool.execute(
        "with called as (insert into delivery_calls (alert_id, contact_id, at, author, is_answered)"
        " values ($1, $2, $3, $4, $5))"
        " select pg_notify('alerts', $1::text)",
        alert_id,
        contact_id,
        at,
        author,
        is_answered,
    )


# -------------------------------------------------------------------------------------------- ledger

_TEXTS = """
select n.contact_id, n.recipient, n.state, n.attempts, n.error, n.is_delivered, n.reported_at, n.sent_at,
  n.created_at, n.priority, n.due_at, coalesce(last.transport, n.transport) as transport
from notifications n
left join lateral (
  select d.transport from delivery_attempts d
  where d.notification_id = n.notification_id order by d.number desc limit 1
) last on true
where n.alert_id = $1 order by n.created_at, n.recipient limit $2
"""
# Each waiting text's place in the whole queue, most urgent first.
_AHEAD = """
select max(place)::integer from (
  select n.alert_id, row_number() over (order by n.priority, n.due_at, n.notification_id) as place
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
    """One line for each person who was told of the alert, in the order in which they were queued."""
    texts = [_text(row) for row in await pool.fetch(_TEXTS, alert_id, MAX_LINES)]
    answers = await pool.fetch(
        "select person, answer, at from confirmations where alert_id = $1 and person like 'contact:%'",
        alert_id,
    )
    calls = await pool.fetch(
        "select contact_id, at, is_answered from delivery_calls where alert_id = $1 order by call_id",
        alert_id,
    )
    lines = lines_of(
        texts,
        {int(r["person"].partition(":")[2]): Entry(r["at"], r["answer"]) for r in answers},
        [Call(r["contact_id"], r["at"], r["is_answered"]) for r in calls],
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
