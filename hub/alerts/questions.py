"""Alerts that wait for people's word, as rows: asked with the alert, decided when answers or time say so."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.finding import Finding
from hub.alerts.model import Outcome
from hub.alerts.opening import CHANNEL
from hub.database import Connection

BATCH = 200

_ASK = """
insert into alert_questions (alert_id, rule, at_least, answers, priority, asked_at, lapses_at, due_at)
values ($1, $2, $3, $4, $5, $6, $7, $7) on conflict do nothing
"""
# Locked like this, another hub takes the others. Answers count up to the lapse, whenever this looks at them.
_CLAIM = """
select q.alert_id, q.rule, q.at_least, q.priority as raised_to, q.lapses_at, q.asked_at,
  a.kind, a.priority, a.dedup_key, a.summary, a.device_id, a.gateway, a.place, a.sector, a.latitude,
  a.longitude, a.is_drill, a.closed_at is not null as is_closed, coalesce(d.watch_group, '') as watch_group,
  (select count(*) from confirmations c where c.alert_id = q.alert_id and c.answer = any(q.answers)
     and c.at <= q.lapses_at)::integer as confirmed
from alert_questions q join alerts a using (alert_id) left join devices d on d.device_id = a.device_id
where q.due_at <= $1 order by q.due_at limit $2
for update of q skip locked
"""
_DECIDE = """
with decided as (
  update alert_questions q set outcome = n.outcome, due_at = case when n.outcome is null then q.lapses_at end
  from unnest($1::uuid[], $2::text[]) as n (alert_id, outcome)
  where q.alert_id = n.alert_id
  returning q.alert_id, q.outcome
), logged as (
  insert into alert_log (alert_id, at, author, move, note)
  select alert_id, $3, 'hub:rules', 'unconfirmed', 'nadie lo confirmó a tiempo'
  from decided where outcome = 'lapsed'
)
select pg_notify($4, alert_id::text) from decided where outcome = 'lapsed'
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that is due. ``confirmed``: how many people said yes by its lapse."""

    alert_id: uuid.UUID
    rule: str
    at_least: int
    raised_to: int
    asked_at: datetime
    lapses_at: datetime
    kind: str
    priority: int
    dedup_key: str
    summary: str
    device_id: int | None
    gateway: str | None
    place: str
    sector: str
    latitude: float | None
    longitude: float | None
    is_drill: bool
    is_closed: bool
    watch_group: str
    confirmed: int

    @classmethod
    def from_row(cls, row: Any) -> "Question":
        return cls(**{name: row[name] for name in cls.__slots__})

    def outcome(self, now: datetime) -> str | None:
        """``confirmed``, ``lapsed``, ``moot`` (there is nothing left to raise); None: it goes on."""
        if self.is_closed or self.priority <= self.raised_to:
            return "moot"
        if self.confirmed >= self.at_least:
            return "confirmed"
        return "lapsed" if now >= self.lapses_at else None

    def finding(self, now: datetime) -> Finding:
        """What joins the alert and raises it."""
        people = "1 persona" if self.confirmed == 1 else f"{self.confirmed} personas"
        return Finding(
            rule=self.rule,
            kind=self.kind,
            priority=self.raised_to,
            dedup_key=self.dedup_key,
            summary=f"Confirmado por {people}",
            happened_at=now,
            time_quality="receipt",
            device_id=self.device_id,
            gateway=self.gateway,
            place=self.place,
            sector=self.sector,
            latitude=self.latitude,
            longitude=self.longitude,
            watch_group=self.watch_group,
            is_drill=self.is_drill,
        )


async def ask(connection: Connection, outcomes: Iterable[Outcome], now: datetime) -> None:
    """Write the question of each alert that has just opened and waits for one; in the caller's transaction.

    Nobody is asked about a restricted alert.
    """
    for outcome in outcomes:
        confirm = outcome.finding.confirm
        if confirm is None or not outcome.opened or outcome.finding.is_restricted:
            continue
        lapses_at = now + timedelta(seconds=confirm.within_s)
        await connection.execute(
            _ASK,
            outcome.alert_id,
            outcome.finding.rule,
            confirm.at_least,
            sorted(confirm.answers),
            confirm.priority,
            now,
            lapses_at,
        )


async def claim(connection: Connection, now: datetime) -> list[Question]:
    """The questions that are due, locked until the caller's transaction ends."""
    return [Question.from_row(row) for row in await connection.fetch(_CLAIM, now, BATCH)]


async def decide(connection: Connection, questions: Sequence[Question], now: datetime) -> None:
    """Write what became of ``questions``; what nobody confirmed is in the alert's timeline."""
    ids = [q.alert_id for q in questions]
    await connection.fetch(_DECIDE, ids, [q.outcome(now) for q in questions], now, CHANNEL)
