"""On-call calendars as iCalendar files (RFC 5545): what people keep in their own calendar program. Pure.

A file names people, never phones. Only what turns need is read: start, end or duration, RRULE, EXDATE,
RECURRENCE-ID. One bad event never stops the others.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from icalendar import Calendar, Event, vRecur

from hub.devices.import_fields import FieldError, Problem, quoted
from hub.notify.oncall import SANTIAGO, RuleError, Turn, check_rule

MAX_FILE_CHARS = 4 * 1024 * 1024
MAX_EVENTS = 5000
MAX_EXDATES = 1000
MAX_TURN = timedelta(days=31)
_YEARS = range(2000, 2100)
_UNTIL = re.compile(r"UNTIL=([0-9]{8}T[0-9]{6})Z", re.IGNORECASE)

LEVEL, OVERRIDE, CONTACT = "X-ALMENARA-LEVEL", "X-ALMENARA-OVERRIDE", "X-ALMENARA-CONTACT"


@dataclass(frozen=True, slots=True)
class People:
    """The contacts that turns may name: by id and by name."""

    names: Mapping[int, str]

    def find(self, contact: str, name: str) -> int:
        """Raises :class:`FieldError`."""
        wanted = " ".join(name.split()).casefold()
        if contact.isdigit() and self.names.get(int(contact), "").casefold() == wanted:
            return int(contact)
        found = [contact_id for contact_id, known in self.names.items() if known.casefold() == wanted]
        if not found:
            raise FieldError(
                f"no hay un contacto activo llamado {quoted(name)}",
                "El título del evento es el nombre, igual que en la lista de contactos.",
            )
        if len(found) > 1:
            raise FieldError(f"hay {len(found)} contactos llamados {quoted(name)}", "Distinga los nombres.")
        return found[0]


def read(text: str, calendar: str, people: People) -> tuple[list[Turn], list[Problem]]:
    """The turns of a file, and what is wrong with it (Spanish; ``line`` is the event's number)."""
    if len(text) > MAX_FILE_CHARS:
        return [], [Problem(None, "el archivo supera los 4 MB", "Exporte menos meses.")]
    try:
        events = [e for e in Calendar.from_ical(text).walk("VEVENT") if isinstance(e, Event)]
    except (ValueError, IndexError, KeyError, TypeError, RecursionError):
        return [], [Problem(None, "no es un calendario iCalendar (.ics)", "Expórtelo de nuevo.")]
    if not events:
        return [], [Problem(None, "el calendario no tiene eventos", "Expórtelo de nuevo.")]
    if len(events) > MAX_EVENTS:
        return [], [
            Problem(None, f"el calendario tiene {len(events)} eventos", f"El máximo es {MAX_EVENTS}.")
        ]
    turns: dict[tuple[str, str], Turn] = {}
    problems: list[Problem] = []
    for number, event in enumerate(events, 1):
        try:
            turn = _turn(event, calendar, people)
            if (turn.uid, turn.recurrence) in turns:
                raise FieldError("el evento está repetido en el archivo", "Vale el primero.")  # noqa: TRY301
            turns[turn.uid, turn.recurrence] = turn
        except FieldError as error:
            problems.append(Problem(number, error.problem, error.remedy))
        except (ValueError, TypeError, AttributeError, OverflowError):
            problems.append(Problem(number, "el evento no se entiende", "Créelo de nuevo."))
    return list(turns.values()), problems


def _turn(event: Event, calendar: str, people: People) -> Turn:
    if event.errors:
        raise FieldError(f"el campo {event.errors[0][0] or 'desconocido'} no se entiende", "Corríjalo.")
    name, uid = _string(event, "SUMMARY"), _string(event, "UID")
    if not uid:
        raise FieldError("el evento no tiene UID", "Expórtelo con otro programa.")
    starts = _local(event, "DTSTART")
    rule = _rule_text(event)
    try:
        if rule:
            check_rule(rule, starts)
    except RuleError as error:
        raise FieldError(str(error), "Corrija la repetición.") from error
    return Turn(
        calendar=calendar,
        uid=uid[:255],
        contact_id=people.find(_string(event, CONTACT), name),
        person=name,
        starts_local=starts,
        duration_s=_duration_s(event, starts),
        rrule=rule,
        exdates=_exdates(event),
        recurrence=_local(event, "RECURRENCE-ID").isoformat() if "RECURRENCE-ID" in event else "",
        level=_level(_string(event, LEVEL)),
        is_override=_string(event, OVERRIDE).upper() == "TRUE",
        note=_string(event, "DESCRIPTION")[:500],
    )


def _string(event: Event, name: str) -> str:
    value = event.get(name, "")
    if isinstance(value, list):
        raise FieldError(f"{name} está varias veces", "Deje uno.")
    return str(value).replace("\x00", "").strip()


def _wall(value: date | datetime) -> datetime:
    """Any date or time as naive wall time of Chile; one without a zone is already that."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - wall time
    if value.tzinfo is not None:
        value = value.astimezone(SANTIAGO).replace(tzinfo=None)
    if value.year not in _YEARS:
        raise FieldError(f"el año {value.year} no puede ser", f"De {_YEARS[0]} a {_YEARS[-1]}.")
    return value.replace(microsecond=0)


def _local(event: Event, name: str) -> datetime:
    if name not in event:
        raise FieldError(f"falta {name}", "Expórtelo con otro programa.")
    value: Any = event[name]
    return _wall(value.dt)


def _duration_s(event: Event, starts: datetime) -> int:
    length: timedelta
    if "DTEND" in event:
        length = _local(event, "DTEND") - starts
    elif "DURATION" in event:
        duration: Any = event["DURATION"]
        length = duration.dt
    else:
        length = timedelta(days=1)
    if not timedelta(minutes=1) <= length <= MAX_TURN:
        raise FieldError("el turno dura menos de un minuto o más de 31 días", "Corrija el término.")
    return int(length.total_seconds())


def _rule_text(event: Event) -> str:
    value: Any = event.get("RRULE")
    if value is None:
        return ""
    if isinstance(value, list):
        raise FieldError("el evento tiene varias repeticiones", "Deje una.")
    text: str = value.to_ical().decode()
    # UNTIL travels in UTC; turns are wall time
    return _UNTIL.sub(lambda m: f"UNTIL={_until(m[1]):%Y%m%dT%H%M%S}", text)


def _until(text: str) -> datetime:
    return _wall(datetime.strptime(f"{text}+0000", "%Y%m%dT%H%M%S%z"))


def _exdates(event: Event) -> tuple[datetime, ...]:
    value: Any = event.get("EXDATE", [])
    lists = value if isinstance(value, list) else [value]
    found = sorted({_wall(entry.dt) for dates in lists for entry in dates.dts})
    if len(found) > MAX_EXDATES:
        raise FieldError(f"tiene {len(found)} excepciones", f"El máximo es {MAX_EXDATES}.")
    return tuple(found)


def _level(text: str) -> int:
    if not text:
        return 1
    if not re.fullmatch("[1-9]", text):
        raise FieldError(f"el nivel {quoted(text)} no existe", "De 1 a 9.")
    return int(text)


# ------------------------------------------------------------------------------------------ writing


def write(turns: Iterable[Turn], calendar: str, now: datetime) -> str:
    """The turns as an iCalendar file; reading it again gives the same turns."""
    document = Calendar()
    document.add("PRODID", "-//Almenara//Turnos//ES")
    document.add("VERSION", "2.0")
    document.add("X-WR-CALNAME", calendar)
    document.add("X-WR-TIMEZONE", SANTIAGO.key)
    for turn in turns:
        document.add_component(_event(turn, now))
    document.add_missing_timezones()
    text: str = document.to_ical().decode("utf-8")
    return text


def _event(turn: Turn, now: datetime) -> Event:
    event = Event()
    event.add("UID", turn.uid)
    event.add("DTSTAMP", now)
    event.add("SUMMARY", turn.person)
    event.add("DTSTART", turn.starts_local.replace(tzinfo=SANTIAGO))
    ends = turn.starts_local + timedelta(seconds=turn.duration_s)
    event.add("DTEND", ends.replace(tzinfo=SANTIAGO))
    if turn.rrule:
        event.add("RRULE", vRecur.from_ical(turn.rrule))
    if turn.exdates:
        event.add("EXDATE", [moment.replace(tzinfo=SANTIAGO) for moment in turn.exdates])
    if turn.recurrence:
        event.add("RECURRENCE-ID", datetime.fromisoformat(turn.recurrence).replace(tzinfo=SANTIAGO))
    if turn.note:
        event.add("DESCRIPTION", turn.note)
    event.add(LEVEL, str(turn.level))
    event.add(CONTACT, str(turn.contact_id))
    if turn.is_override:
        event.add(OVERRIDE, "TRUE")
    return event


def problem_lines(problems: Sequence[Problem]) -> list[str]:
    """As people read them."""
    return [
        f"{'Archivo' if p.line is None else f'Evento {p.line}'}: {p.problem}. {p.remedy}" for p in problems
    ]
