"""Operations and council sessions for people's own calendars: iCalendar (RFC 5545), times in UTC."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from icalendar import Calendar, Event

from hub.database import Connection, Pool
from hub.operations.words import kind_name

SESSION = timedelta(hours=2)
"""A session's register has no end; this long is kept free for it."""
MAX_EVENTS = 5000
FETCH_AGAIN = timedelta(hours=1)

_STATUS = {"planned": "TENTATIVE", "suspended": "CANCELLED", "cancelled": "CANCELLED"}
_BODIES = {"council": "Consejo Comunal de Seguridad Pública", "committee": "Comité operativo"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Appointment:
    """``uid`` stays the same for ever; ``version`` grows with each change, and calendars follow it."""

    uid: str
    title: str
    place: str
    starts: datetime
    ends: datetime
    state: str
    version: int
    path: str


_OPERATIONS = """
select folio, kind, name, sector, planned_start, planned_end, state, version, is_drill from operations
where planned_end > $1 and planned_start < $2 order by planned_start, folio limit $3
"""
_SESSIONS = """
select folio, body, place, starts_at, state, version from council_sessions
where starts_at >= $1 and starts_at < $2 order by starts_at, folio limit $3
"""


async def between(executor: Pool | Connection, first: datetime, end: datetime) -> list[Appointment]:
    """What is planned or was done from ``first`` to before ``end``; at most :data:`MAX_EVENTS` of each."""
    operations = await executor.fetch(_OPERATIONS, first, end, MAX_EVENTS)
    sessions = await executor.fetch(_SESSIONS, first, end, MAX_EVENTS)
    found = [
        Appointment(
            uid=f"{row['folio']}@operativos.almenara",
            title=("SIMULACRO: " if row["is_drill"] else "") + (row["name"] or kind_name(row["kind"])),
            place=row["sector"],
            starts=row["planned_start"],
            ends=row["planned_end"],
            state=row["state"],
            version=row["version"],
            path=f"/operativos/{row['folio']}",
        )
        for row in operations
    ]
    found += [
        Appointment(
            uid=f"{row['folio']}@sesiones.almenara",
            title=_BODIES[row["body"]],
            place=row["place"],
            starts=row["starts_at"],
            ends=row["starts_at"] + SESSION,
            state=row["state"],
            version=row["version"],
            path=f"/registros/sesiones/{row['folio']}",
        )
        for row in sessions
    ]
    return sorted(found, key=lambda one: (one.starts, one.uid))


def document(appointments: Iterable[Appointment], commune: str, base_url: str, now: datetime) -> bytes:
    """The calendar; what was suspended or cancelled stays in it as cancelled, so that copies learn of it."""
    calendar = Calendar()
    calendar.add("PRODID", "-//Almenara//Agenda//ES")
    calendar.add("VERSION", "2.0")
    calendar.add("METHOD", "PUBLISH")
    calendar.add("REFRESH-INTERVAL", FETCH_AGAIN, parameters={"VALUE": "DURATION"})  # RFC 7986
    calendar.add("X-WR-CALNAME", f"Seguridad pública, {commune}")
    for one in appointments:
        calendar.add_component(_event(one, base_url, now))
    text: bytes = calendar.to_ical()
    return text


def _event(one: Appointment, base_url: str, now: datetime) -> Event:
    event = Event()
    fields: Sequence[tuple[str, object]] = (
        ("UID", one.uid),
        ("DTSTAMP", now),
        ("SEQUENCE", one.version),
        ("SUMMARY", one.title),
        ("DTSTART", one.starts),
        ("DTEND", one.ends),
        ("STATUS", _STATUS.get(one.state, "CONFIRMED")),
        ("URL", base_url.rstrip("/") + one.path),
    )
    for name, value in fields:
        event.add(name, value)
    if one.place:
        event.add("LOCATION", one.place)
    return event
