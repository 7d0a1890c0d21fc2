"""The people who are warned: import of a list, where a bad line never stops the others; list and export."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from hub.database import Connection, Pool
from hub.devices.import_fields import FieldError, Problem
from hub.notify.contact_file import Contact, PeopleFile, read_csv, read_people, write_csv
from hub.notify.phones import masked, normal_phone
from hub.notify.text import SANTIAGO

__all__ = [
    "Contact",
    "FieldError",
    "Person",
    "Report",
    "export_csv",
    "import_csv",
    "list_people",
    "masked",
    "normal_phone",
    "read_csv",
    "render_report",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did; ``problems`` are Spanish, for the list's author."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    problems: tuple[Problem, ...] = ()


async def import_csv(pool: Pool, text: str) -> Report:
    """Import ``text`` (columns :data:`hub.notify.contact_file.COLUMNS`); the phone tells who is who.

    Importing a list again changes nothing. Who is not in it stays as they are, who was switched off stays
    off, and what the list has no column for is left alone. Groups that are new are made.
    """
    people = read_people(text)
    async with pool.acquire() as connection, connection.transaction():
        rows = await _upsert(connection, people)
        consents = await _keep_consents(connection, people.contacts)
    created = sum(row["is_new"] for row in rows)
    changed = {row["phone"] for row in rows} | consents
    report = Report(
        created=created,
        updated=len(changed) - created,
        unchanged=len(people.contacts) - len(changed),
        problems=tuple(people.problems),
    )
    log.info(
        "contacts imported: %d created, %d updated, %d unchanged, %d problems",
        report.created,
        report.updated,
        report.unchanged,
        len(report.problems),
    )
    return report


# What the file has no column for keeps its value: $13 names the columns that it has.
_UPSERT = """
with made as (
  insert into watch_groups (name) select distinct g from unnest($3::text[]) as g where g <> ''
  on conflict do nothing
)
insert into contacts (name, phone, watch_group, cell, place, role, call_order, call_sign, signal, quiet_from,
  quiet_until, bulletins)
select n.name, n.phone, coalesce(n.watch_group, o.watch_group, ''), coalesce(n.cell, o.cell, ''),
  coalesce(n.place, o.place, ''), coalesce(n.role, o.role, ''),
  case when 'call_order' = any($13) then n.call_order else o.call_order end,
  coalesce(n.call_sign, o.call_sign, ''), coalesce(n.signal, o.signal, ''),
  case when 'quiet_from' = any($13) then n.quiet_from else o.quiet_from end,
  case when 'quiet_from' = any($13) then n.quiet_until else o.quiet_until end,
  coalesce(n.bulletins, o.bulletins, false)
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[],
    $9::text[], $10::time[], $11::time[], $12::bool[])
  as n (name, phone, watch_group, cell, place, role, call_order, call_sign, signal, quiet_from, quiet_until,
        bulletins)
left join contacts o using (phone)
order by n.phone
on conflict (phone) do update set name = excluded.name, watch_group = excluded.watch_group,
  cell = excluded.cell, place = excluded.place, role = excluded.role, call_order = excluded.call_order,
  call_sign = excluded.call_sign, signal = excluded.signal, quiet_from = excluded.quiet_from,
  quiet_until = excluded.quiet_until, bulletins = excluded.bulletins
where (contacts.name, contacts.watch_group, contacts.cell, contacts.place, contacts.role,
    contacts.call_order, contacts.call_sign, contacts.signal, contacts.quiet_from, contacts.quiet_until,
    contacts.bulletins)
  is distinct from (excluded.name, excluded.watch_group, excluded.cell, excluded.place, excluded.role,
    excluded.call_order, excluded.call_sign, excluded.signal, excluded.quiet_from, excluded.quiet_until,
    excluded.bulletins)
returning phone, xmax = 0 as is_new
"""


async def _upsert(connection: Connection, people: PeopleFile) -> Sequence[Any]:
    fields = [name for name in Contact.__slots__ if name != "consent"]
    columns = [[getattr(contact, name) for contact in people.contacts] for name in fields]
    return await connection.fetch(_UPSERT, *columns, sorted(people.columns))


# The day begins in Chile; the same consent imported again is one row.
_CONSENT = """
with given as (
  insert into consents (contact_id, scope, is_given, how, proof, author, at)
  select c.contact_id, 'alerts', true, n.how, n.proof, n.author, n.at
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    as n (phone, how, proof, author, at)
  join contacts c using (phone)
  on conflict do nothing
  returning contact_id
)
select c.phone from given join contacts c using (contact_id)
"""


async def _keep_consents(connection: Connection, contacts: Sequence[Contact]) -> set[str]:
    """Phones of those whose consent is new."""
    given = [(c.phone, c.consent) for c in contacts if c.consent is not None]
    rows = await connection.fetch(
        _CONSENT,
        [phone for phone, _ in given],
        [consent.how for _, consent in given],
        [consent.proof for _, consent in given],
        [consent.author for _, consent in given],
        [datetime.combine(consent.day, time(), SANTIAGO) for _, consent in given],
    )
    return {row["phone"] for row in rows}


# -------------------------------------------------------------------------------------------- list


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A contact as pages and lists show it. ``consent_at`` None: nothing proves that the person agreed."""

    contact_id: int
    name: str
    phone: str
    watch_group: str
    cell: str
    place: str
    role: str
    call_order: int | None
    call_sign: str
    signal: str
    quiet_from: time | None
    quiet_until: time | None
    bulletins: bool
    active: bool
    left_at: datetime | None
    consent_at: datetime | None
    consent_how: str
    consent_by: str
    consent_proof: str

    @classmethod
    def from_row(cls, row: Any) -> "Person":
        return cls(**{name: row[name] for name in cls.__slots__})


MAX_PAGE = 1000
# The newest word on consent counts, so that who took it back has none.
_LIST = """
select c.contact_id, c.name, c.phone, c.watch_group, c.cell, c.place, c.role, c.call_order, c.call_sign,
  c.signal, c.quiet_from, c.quiet_until, c.bulletins, c.active, c.left_at,
  case when k.is_given then k.at end as consent_at,
  case when k.is_given then k.how else '' end as consent_how,
  case when k.is_given then k.author else '' end as consent_by,
  case when k.is_given then k.proof else '' end as consent_proof
from contacts c
left join lateral (
  select * from consents where contact_id = c.contact_id and scope = 'alerts'
  order by at desc, consent_id desc limit 1
) k on true
where ($1::text is null or c.watch_group = $1) and c.contact_id > $2
order by c.contact_id limit $3
"""


async def list_people(
    pool: Pool, *, watch_group: str | None = None, limit: int = MAX_PAGE, after: int = 0
) -> list[Person]:
    """One page of contacts, active or not; pass the last ``contact_id`` as ``after``."""
    rows = await pool.fetch(_LIST, watch_group, after, min(max(limit, 1), MAX_PAGE))
    return [Person.from_row(row) for row in rows]


async def everybody(pool: Pool, watch_group: str | None = None) -> list[Person]:
    """All pages of :func:`list_people`."""
    people: list[Person] = []
    while page := await list_people(
        pool, watch_group=watch_group, after=people[-1].contact_id if people else 0
    ):
        people += page
    return people


async def export_csv(pool: Pool, watch_group: str | None = None) -> str:
    """The active contacts as a file that :func:`import_csv` takes and that changes nothing."""
    people = [person for person in await everybody(pool, watch_group) if person.active]
    return write_csv(_exported(person) for person in people)


def _exported(person: Person) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(person, name) for name in Person.__slots__}
    local = None if person.consent_at is None else person.consent_at.astimezone(SANTIAGO)
    return values | {"consent_on": "" if local is None else f"{local:%Y-%m-%d}"}


def render_report(report: Report) -> str:
    """The report as people read it, in Spanish, one finding a line."""
    lines = [
        f"Contactos: {report.created} nuevos, {report.updated} actualizados, {report.unchanged} sin cambios."
    ]
    lines += [
        f"{'Archivo' if p.line is None else f'Línea {p.line}'}: {p.problem}. {p.remedy}"
        for p in report.problems
    ]
    if report.problems:
        lines.append(f"Con problemas: {len(report.problems)}. Lo demás quedó guardado.")
    return "\n".join(lines)
