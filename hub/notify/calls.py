"""Telephone calls that people of the room make about an alert: the one place that notes them."""

import uuid
from collections.abc import Mapping
from datetime import datetime

from hub.alerts import service as alerts
from hub.database import Connection, Pool
from hub.notify import following
from hub.notify.policy import DUTY
from hub.notify.service import confirm

OUTCOMES: Mapping[str, str] = {"answered": "contesta", "no_answer": "no contesta", "coming": "va"}


class CallError(Exception):
    """A call that cannot be noted; the message is Spanish."""


# Who was told of the alert, or stands on the list of those who are called about it.
_CALLED = """
select c.name from contacts c where c.contact_id = $2 and (
  exists (select from notifications n where n.alert_id = $1 and n.contact_id = $2)
  or exists (select from call_trees t where t.alert_id = $1 and t.watch_group = c.watch_group and c.active
    and not exists (select from followers f
      where f.alert_id = $1 and f.contact_id = $2 and f.is_reporter)))
union all
select $3::text where $2::integer is null
  and exists (select from notifications n where n.alert_id = $1 and n.contact_id is null)
"""


async def record_call(
    pool: Pool, alert_id: uuid.UUID, contact_id: int | None, outcome: str, *, author: str, now: datetime
) -> None:
    """What became of a call: ``answered``, ``no_answer`` or ``coming``, for ledger and call tree alike.

    ``contact_id`` None: the duty phone. Raises :class:`CallError`.
    """
    if outcome not in OUTCOMES:
        raise CallError("Elija contesta, no contesta o va.")
    async with pool.acquire() as connection, connection.transaction():
        alert = await alerts.locked_alert(connection, alert_id)
        name = await connection.fetchval(_CALLED, alert_id, contact_id, DUTY)
        if name is None:
            raise CallError("Esa persona no está en la lista de llamados de esta alerta.")
        await connection.execute(
            "insert into calls (alert_id, contact_id, outcome, author, at) values ($1, $2, $3, $4, $5)",
            alert_id,
            contact_id,
            outcome,
            author,
            now,
        )
        note = f"{name}: {OUTCOMES[outcome]}"
        await alerts.add_line(connection, alert, "called", author=author, note=note, now=now)
        if outcome == "coming":
            await _comes(connection, alert, contact_id, now)


async def _comes(connection: Connection, alert: alerts.Alert, contact_id: int | None, now: datetime) -> None:
    person = f"user:{DUTY}" if contact_id is None else f"contact:{contact_id}"
    await confirm(connection, alert.alert_id, person, "coming", now)
    await following.follow(connection, alert.alert_id, contact_id)
    await following.news_is_due(connection, alert, now)
