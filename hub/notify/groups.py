"""Watch groups: what each is, how its people are reached, what its last drill said; and unread texts."""

import uuid
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from hub.database import Pool

MAX_PAGE = 200
SHOWS = {
    "call_sign": "indicativo de radio",
    "first_name": "nombre de pila",
    "count": "nadie, solo cuántos van",
}


class GroupError(Exception):
    """A group that cannot be changed like that; the message is Spanish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A row of ``watch_groups`` with its counts; ``drilled_at`` is when its last drill began."""

    name: str
    place: str
    sector: str
    quorum: int
    quorum_within_s: int
    shows: str
    drill_day: int | None
    drill_time: time
    members: int
    without_consent: int
    cells: int
    drilled_at: datetime | None
    drill_called: int | None
    drill_answered: int | None

    @classmethod
    def from_row(cls, row: Any) -> "Group":
        return cls(**{name: row[name] for name in cls.__slots__})


_SELECT = """
select g.name, g.place, g.sector, g.quorum, g.quorum_within_s, g.shows, g.drill_day, g.drill_time,
  m.members, m.without_consent, m.cells, d.planned_at as drilled_at, d.called as drill_called,
  d.answered as drill_answered
from watch_groups g
cross join lateral (
  select count(*)::integer as members, count(distinct nullif(c.cell, ''))::integer as cells,
    count(*) filter (where not coalesce((
      select k.is_given from consents k where k.contact_id = c.contact_id and k.scope = 'alerts'
      order by k.at desc, k.consent_id desc limit 1), false))::integer as without_consent
  from contacts c where c.watch_group = g.name and c.active
) m
left join lateral (
  select planned_at, called, answered from drills
  where watch_group = g.name and sort = 'group' and state = 'closed' order by planned_at desc limit 1
) d on true
"""


async def list_groups(pool: Pool, *, limit: int = MAX_PAGE, after: str = "") -> list[Group]:
    """One page, by name."""
    rows = await pool.fetch(_SELECT + " where g.name > $1 order by g.name limit $2", after, limit)
    return [Group.from_row(row) for row in rows]


async def get_group(pool: Pool, name: str) -> Group | None:
    row = await pool.fetchrow(_SELECT + " where g.name = $1", name)
    return None if row is None else Group.from_row(row)


async def change_group(
    pool: Pool,
    name: str,
    *,
    quorum: int,
    quorum_within_s: int,
    shows: str,
    drill_day: int | None,
    drill_time: time,
) -> None:
    """Raises :class:`GroupError` for an unknown group or a value that cannot be.

    Monthly drills that were planned by what was agreed before are taken back; the next plan makes them anew.
    """
    if not 1 <= quorum <= 100:
        raise GroupError("El quórum va de 1 a 100 personas.")
    if not 30 <= quorum_within_s <= 86_400:
        raise GroupError("El plazo va de 30 segundos a 24 horas.")
    if shows not in SHOWS:
        raise GroupError(f"Se muestra uno de: {', '.join(SHOWS)}.")
    if drill_day is not None and not 1 <= drill_day <= 28:
        raise GroupError("El día del simulacro va de 1 a 28.")
    found = await pool.fetchval(
        "with gone as (delete from drills where watch_group = $1 and state = 'planned' and period <> '')"
        " update watch_groups set quorum = $2, quorum_within_s = $3, shows = $4, drill_day = $5,"
        " drill_time = $6 where name = $1 returning true",
        name,
        quorum,
        quorum_within_s,
        shows,
        drill_day,
        drill_time,
    )
    if not found:
        raise GroupError(f"No existe el grupo «{name}».")


# ----------------------------------------------------------------------------------- unread texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A text that no rule could place: somebody of the room reads it."""

    text_id: uuid.UUID
    sender: str
    name: str
    body: str
    received_at: datetime
    state: str


async def unread_texts(pool: Pool, limit: int = 100) -> list[Unread]:
    """The newest first."""
    rows = await pool.fetch(
        "select t.text_id, t.sender, coalesce(c.name, '') as name, t.body, t.received_at, t.state"
        " from inbound_texts t left join contacts c using (contact_id)"
        " where t.seen_by is null and t.state in ('unclear', 'unknown', 'limited', 'failed')"
        " order by t.received_at desc limit $1",
        limit,
    )
    return [Unread(**dict(row)) for row in rows]


async def mark_read(pool: Pool, text_id: uuid.UUID, login: str) -> None:
    await pool.execute(
        "update inbound_texts set seen_by = $2 where text_id = $1 and seen_by is null", text_id, login
    )
