"""What follows from findings: alerts and queued texts, in the transaction that stores their cause.

A press takes the short way: event, memories, alert, timeline, texts and the first step of the escalation are
one statement, which is one round trip and one commit. It takes for granted what holds for nearly every press:
no silence is in force, the event is new, and what rules remember is what this hub saw last. Where that does
not hold, nothing was done, and the long way, which looks first, does all of it.
"""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from hub.alerts import few
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.model import Outcome
from hub.alerts.opening import OPENING, Opening, note_opened
from hub.alerts.silences import Silences
from hub.database import Connection, Pool
from hub.database.statement import statement
from hub.intake import store
from hub.intake.decode import EventRow
from hub.metrics import Metrics
from hub.notify import queue
from hub.notify import service as notify
from hub.notify.policy_file import PolicyBook
from hub.rule_work import memories
from hub.rule_work.work import Verdict

log = logging.getLogger(__name__)

Tell = Callable[[], None]

_CODE = "ΦΦΦΦΦ"
"""Stands in a text for the alert's code, which the statement itself finds: as long as codes get, in letters
of the GSM 7-bit alphabet that no name in Chile has."""

_AT_ONCE = statement(
    *store.STORING,
    *memories.REMEMBERING,
    *OPENING,
    """news as (select * from outcomes where opened or raised)""",
    """drafts as (
  select n.alert_id, d.watch_group, d.transport, d.priority, replace(d.text, :code_mark, n.code) as text,
    d.due_at, d.contact_id
  from unnest((select :draft_keys::text[]), :draft_groups::text[], :draft_transports::text[],
      :draft_priorities::smallint[], :draft_texts::text[], :draft_dues::timestamptz[], :draft_contacts::int[])
    as d (dedup_key, watch_group, transport, priority, text, due_at, contact_id)
  join news n using (dedup_key)
)""",
    """first_steps as (
  select n.alert_id, p.policy, p.due_at, p.dispatch_within_s, p.watch_group
  from unnest((select :step_keys::text[]), :step_policies::text[], :step_dues::timestamptz[],
      :step_dispatches::int[], :step_groups::text[])
    as p (dedup_key, policy, due_at, dispatch_within_s, watch_group)
  join news n using (dedup_key)
)""",
    *queue.QUEUEING,
    result="""
select o.alert_id, o.code, o.kind, o.priority, o.dedup_key, o.opened, o.raised, told.count as rung,
  case when o.parent_id is null then pg_notify('alerts', o.alert_id::text) end as heard,
  q.notification_id, q.contact_id, q.recipient, q.transport, q.priority as urgency, q.rank, q.text, q.due_at,
  q.attempts, q.lease_until, q.created_at, p.phone
from outcomes o cross join all_new cross join all_kept cross join told
left join queued q using (alert_id)
left join contacts p on p.contact_id = q.contact_id
""",
)


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """Implements :class:`hub.rule_work.work.React`. ``senders`` is None where this hub sends no texts."""

    settings: notify.NotifySettings
    policies: PolicyBook
    silences: Silences
    senders: notify.Senders | None
    wake: Callable[[], None]
    metrics: Metrics

    async def __call__(self, connection: Connection, findings: Sequence[Finding], now: datetime) -> Tell:
        outcomes = await alerts.receive(connection, findings, now, self.silences)
        queued = await notify.enqueue_for(
            connection, outcomes, now, self.settings, self.policies(), self._claim()
        )
        return lambda: self._tell(outcomes, queued.claimed)

    async def at_once(
        self, pool: Pool, rows: Sequence[EventRow], verdict: Verdict, now: datetime
    ) -> Tell | None:
        """Store ``rows`` and what follows, in one statement; None where only the long way does.

        Raises what a database raises, except where a part is not new or a memory is old.
        """
        findings = verdict.findings
        if self.silences.are_any or not findings or not all(few.is_ordinary(f) for f in findings):
            return None
        opening = Opening.of(findings, now)
        arguments = self._arguments(rows, verdict, opening, now)
        try:
            found = await pool.fetch(_AT_ONCE.sql, *_AT_ONCE.arguments(arguments))
        except asyncpg.UniqueViolationError:
            return None
        outcomes = opening.outcomes(found)
        note_opened(outcomes, findings)
        claimed = [_claimed(row) for row in queue.claimed_rows(found)]
        return lambda: self._tell(outcomes, claimed)

    async def warm(self, connection: Connection) -> None:
        """Have the statement parsed and planned, by running it for nothing: the first press does not wait."""
        now = datetime.now(UTC)
        arguments = self._arguments([], Verdict(), Opening.of([], now), now)
        await connection.fetch(_AT_ONCE.sql, *_AT_ONCE.arguments(arguments))

    def _arguments(
        self, rows: Sequence[EventRow], verdict: Verdict, opening: Opening, now: datetime
    ) -> dict[str, object]:
        return {
            **store.storing_arguments(rows, now),
            **memories.remembering_arguments(verdict.decision.memories, now),
            **opening.arguments,
            **self._texts(opening, now),
            **queue.queueing_arguments(now, self._claim()),
        }

    def _texts(self, opening: Opening, now: datetime) -> dict[str, object]:
        """The texts as if every alert were news: the statement drops those of the others."""
        supposed = [_supposed(finding, priority) for finding, priority in opening.firsts]
        keys = {outcome.alert_id: outcome.finding.dedup_key for outcome in supposed}
        drafts = notify.drafts_for(supposed, self.settings, now)
        steps = notify.first_steps(supposed, self.policies(), now)
        return {
            **queue.draft_arguments(drafts),
            "draft_keys": [keys[draft.alert_id] for draft in drafts],
            **queue.step_arguments(steps),
            "step_keys": [keys[step.alert_id] for step in steps],
            "code_mark": _CODE,
        }

    def _claim(self) -> notify.Claim | None:
        return None if self.senders is None else self.senders.claim()

    def _tell(self, outcomes: Sequence[Outcome], claimed: Sequence[notify.Notification]) -> None:
        if claimed and self.senders is not None:
            self.senders.hand(claimed)
        self.wake()
        for outcome in outcomes:
            if outcome.opened:
                self.metrics.alerts.labels(outcome.kind).inc()


def _supposed(finding: Finding, priority: int) -> Outcome:
    """The alert that the finding opens unless one is open."""
    return Outcome(
        alert_id=uuid.uuid4(),
        code=_CODE,
        kind=finding.kind,
        priority=priority,
        opened=True,
        raised=False,
        finding=finding,
    )


def _claimed(row: asyncpg.Record) -> notify.Notification:
    return notify.Notification.from_row({**row, "priority": row["urgency"]})
