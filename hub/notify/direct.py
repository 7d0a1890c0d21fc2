"""Texts to single people: answers, news, outcomes, drills, bulletins. Rows like any other notification."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.contract import uuid7
from hub.database import Connection
from hub.notify.queue import CHANNEL

URGENT, SOON, LATER, LAST = 1, 2, 3, 4
"""The queue's order. Alerts of life go out first; what can wait never stands in their way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One text. ``reply_to`` (E.164) where it goes to a number rather than to an active contact.

    With ``alert_id`` it stands in the alert's timeline and list; answers do without.
    """

    text: str
    purpose: str
    priority: int
    recipient: str
    contact_id: int | None = None
    reply_to: str | None = None
    alert_id: uuid.UUID | None = None
    due_at: datetime | None = None


_QUEUE = """
with queued as (
  insert into notifications (notification_id, alert_id, contact_id, recipient, reply_to, priority, purpose,
    text, due_at, created_at)
  select t.id, t.alert_id, t.contact_id, t.recipient, t.reply_to, t.priority, t.purpose, t.text,
    coalesce(t.due_at, $1), $1
  from unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::smallint[], $8::text[],
      $9::text[], $10::timestamptz[])
    as t (id, alert_id, contact_id, recipient, reply_to, priority, purpose, text, due_at)
  on conflict do nothing
  returning 1
)
select n::integer, pg_notify($11, '') from (select count(*) as n from queued) c where n > 0
"""


async def queue_texts(connection: Connection, texts: Sequence[Text], now: datetime) -> int:
    """Queue ``texts`` in the caller's transaction; returns how many are new."""
    if not texts:
        return 0
    rows = await connection.fetch(
        _QUEUE,
        now,
        [uuid7(now) for _ in texts],
        [t.alert_id for t in texts],
        [t.contact_id for t in texts],
        [t.recipient for t in texts],
        [t.reply_to for t in texts],
        [t.priority for t in texts],
        [t.purpose for t in texts],
        [t.text for t in texts],
        [t.due_at for t in texts],
        CHANNEL,
    )
    return rows[0]["n"] if rows else 0
