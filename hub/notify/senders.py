"""Who wrote, as far as a number can tell, and which alerts concern that person."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.model import COLUMNS, Alert
from hub.database import Connection
from hub.notify.policy import DUTY

RECENT = timedelta(hours=2)
"""A closed alert is still known by its code for so long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """A number is no proof of a person: nothing but that number's own alerts is ever told to it.

    ``contact_id`` None: the duty phone, or a stranger.
    """

    number: str
    is_mobile: bool
    is_duty: bool = False
    contact_id: int | None = None
    name: str = ""
    watch_group: str = ""
    place: str = ""
    sector: str = ""
    latitude: float | None = None
    longitude: float | None = None
    is_active: bool = False
    left_at: datetime | None = None

    @property
    def is_known(self) -> bool:
        return self.is_duty or self.contact_id is not None

    @property
    def person(self) -> str:
        """The key of this person's answers."""
        return f"user:{DUTY}" if self.contact_id is None else f"contact:{self.contact_id}"

    @property
    def author(self) -> str:
        """As the timeline names who wrote; a login never looks like it."""
        return f"{self.name or DUTY} (SMS)"


_FIND = """
select c.contact_id, c.name, c.watch_group, coalesce(nullif(c.place, ''), g.place, '') as place,
  coalesce(g.sector, '') as sector, g.latitude, g.longitude, c.active as is_active, c.left_at
from contacts c left join watch_groups g on g.name = c.watch_group
where c.phone = $1
"""


async def find_sender(connection: Connection, number: str, is_mobile: bool, duty_phone: str) -> Sender:
    """A contact comes before the duty phone, should one number be both."""
    row: Any = await connection.fetchrow(_FIND, number) if is_mobile else None
    if row is not None:
        return Sender(number=number, is_mobile=True, **dict(row))
    return Sender(number=number, is_mobile=is_mobile, is_duty=bool(duty_phone) and number == duty_phone)


# Whom a text about the alert was queued for, or who asked for help by it. Restricted alerts concern the
# duty phone alone.
_CONCERNING = f"""
select {COLUMNS} from alerts
where (closed_at is null or closed_at > $2) and parent_id is null and alert_id in (
  select n.alert_id from notifications n where $1::int is not null and n.contact_id = $1
  union select f.alert_id from followers f where f.contact_id = $1
  union select n.alert_id from notifications n join alerts o using (alert_id)
    where $3 and n.contact_id is null and (o.closed_at is null or o.closed_at > $2)
)
order by opened_at desc limit 50
"""  # noqa: S608  a constant of ours


async def alerts_concerning(connection: Connection, sender: Sender, now: datetime) -> list[Alert]:
    """Open alerts, and those closed a short while ago, of which this person was told; the newest first."""
    rows = await connection.fetch(_CONCERNING, sender.contact_id, now - RECENT, sender.is_duty)
    found = [Alert.from_row(row) for row in rows]
    return [alert for alert in found if sender.is_duty or not alert.is_restricted]


async def last_answered(connection: Connection, sender: Sender) -> uuid.UUID | None:
    """The open alert that this person spoke about last."""
    found: uuid.UUID | None = await connection.fetchval(
        "select c.alert_id from confirmations c join alerts a using (alert_id)"
        " where c.person = $1 and a.closed_at is null order by c.at desc limit 1",
        sender.person,
    )
    return found
