"""On-call calendars in the database: import, export, overrides, and who is on call now."""

import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from hub.database import Connection, Pool
from hub.devices.import_fields import Problem
from hub.notify import calendar_file
from hub.notify.calendar_file import People
from hub.notify.escalating import OnCall, Person
from hub.notify.oncall import MAX_TURN_S, Turn, gaps, on_call, shifts, to_local

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CalendarReport:
    """What an import did; with problems in every event nothing was replaced."""

    turns: int
    problems: tuple[Problem, ...] = ()


class CalendarError(ValueError):
    """A calendar or an override that cannot be; the message is Spanish."""


_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


def _check_name(calendar: str) -> None:
    if not _NAME.match(calendar):
        raise CalendarError("el calendario se llama con minúsculas, cifras y _, por ejemplo jefe_turno")


_COLUMNS = (
    "t.calendar, t.uid, t.contact_id, c.name as person, t.starts_local, t.duration_s, t.rrule, t.exdates,"
    " t.recurrence, t.level, t.is_override, t.note, is_quiet(c, $1) as is_quiet"
)


def _turn(row: Any) -> Turn:
    values = {name: row[name] for name in Turn.__slots__}
    return Turn(**(values | {"exdates": tuple(row["exdates"])}))


async def turns_of(executor: Pool | Connection, now: datetime, calendar: str | None = None) -> list[Turn]:
    """The turns of one calendar or of all; people who were switched off are on call no more."""
    rows = await executor.fetch(
        f"select {_COLUMNS} from oncall_turns t join contacts c using (contact_id)"  # noqa: S608  a constant
        " where c.active and ($2::text is null or t.calendar = $2)"
        " and (t.rrule <> '' or t.recurrence <> '' or t.starts_local + make_interval(secs => t.duration_s)"
        "      > $3) order by t.calendar, t.starts_local, t.uid, t.recurrence",
        now,
        calendar,
        to_local(now) - timedelta(days=2),
    )
    return [_turn(row) for row in rows]


async def calendar_names(pool: Pool) -> list[str]:
    rows = await pool.fetch("select distinct calendar from oncall_turns order by 1 limit 200")
    return [row["calendar"] for row in rows]


async def on_call_now(connection: Connection, now: datetime) -> OnCall:
    """Who is on call, read once: for the escalation's rounds."""
    turns = await turns_of(connection, now)

    @cache  # a round asks the same of many alerts, and years of repetitions are walked through each time
    def find(calendar: str, at: datetime) -> Sequence[Person]:
        standing = on_call((t for t in turns if t.calendar == calendar), at)
        return tuple(Person(t.contact_id, t.person, t.is_quiet) for t in standing)

    return find


_INSERT = """
insert into oncall_turns (calendar, uid, recurrence, contact_id, starts_local, duration_s, rrule, exdates,
  level, is_override, author, note)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


async def _insert(connection: Connection, turns: Sequence[Turn], author: str) -> None:
    await connection.executemany(
        _INSERT,
        [
            (
                t.calendar,
                t.uid,
                t.recurrence,
                t.contact_id,
                t.starts_local,
                t.duration_s,
                t.rrule,
                list(t.exdates),
                t.level,
                t.is_override,
                author,
                t.note,
            )
            for t in turns
        ],
    )


async def replace_calendar(pool: Pool, calendar: str, turns: Sequence[Turn], author: str) -> None:
    """Make ``turns`` the calendar's own, in one transaction; overrides made here stay."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(5203, hashtext($1))", calendar)
        given = [turn.uid for turn in turns]
        await connection.execute(
            "delete from oncall_turns where calendar = $1 and (not is_override or uid = any($2))",
            calendar,
            given,
        )
        await _insert(connection, turns, author)
    log.info("calendar %s: %d turns", calendar, len(turns))


async def import_ics(pool: Pool, calendar: str, text: str, author: str) -> CalendarReport:
    """Replace a calendar by a file's turns; when none of them is good the old ones stay."""
    _check_name(calendar)
    rows = await pool.fetch("select contact_id, name from contacts where active")
    people = People({row["contact_id"]: row["name"] for row in rows})
    turns, problems = calendar_file.read(text, calendar, people)
    if turns:
        await replace_calendar(pool, calendar, turns, author)
    return CalendarReport(len(turns), tuple(problems))


async def export_ics(pool: Pool, calendar: str, now: datetime) -> str:
    """The calendar as a file, its overrides too."""
    return calendar_file.write(await turns_of(pool, now, calendar), calendar, now)


SHOWN = timedelta(days=14)


async def show(pool: Pool, calendar: str, now: datetime) -> list[str]:
    """Who is on call, the coming turns and the hours without anybody, in Spanish, one a line."""
    turns = await turns_of(pool, now, calendar)
    names = ", ".join(t.person for t in on_call(turns, now)) or "nadie"
    lines = [f"Ahora: {names}."]
    lines += [
        f"{_moment(s.starts_at)} a {_moment(s.ends_at)}  {s.turn.person}"
        + (" (reemplazo)" if s.turn.is_override else "")
        for s in shifts(turns, now, now + SHOWN)
    ]
    lines += [
        f"SIN NADIE: {_moment(g.starts_at)} a {_moment(g.ends_at)}" for g in gaps(turns, now, now + SHOWN)
    ]
    return lines


def _moment(at: datetime) -> str:
    return f"{to_local(at):%d-%m %H:%M}"


async def override(
    pool: Pool,
    calendar: str,
    contact_id: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    author: str,
    note: str = "",
    level: int = 1,
) -> str:
    """Somebody takes over for a while; returns the override's uid. Raises :class:`CalendarError`."""
    _check_name(calendar)
    starts, ends = to_local(starts_at), to_local(ends_at)
    if not 60 <= (ends - starts).total_seconds() <= MAX_TURN_S:
        raise CalendarError("el reemplazo dura menos de un minuto o más de 31 días")
    uid = f"reemplazo-{uuid.uuid4()}"
    turn = Turn(
        calendar=calendar,
        uid=uid,
        contact_id=contact_id,
        person="",
        starts_local=starts,
        duration_s=int((ends - starts).total_seconds()),
        level=level,
        is_override=True,
        note=note,
    )
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval(
            "select exists (select from contacts where contact_id = $1 and active)", contact_id
        ):
            raise CalendarError("esa persona no está entre los contactos activos")
        await _insert(connection, [turn], author)
    return uid


async def set_quiet_hours(pool: Pool, contact_id: int, quiet: tuple[Any, Any] | None) -> None:
    """Local times of day (from, until) in which only priority 1 may wake this person; None: none."""
    start, end = quiet or (None, None)
    await pool.execute(
        "update contacts set quiet_from = $2, quiet_until = $3 where contact_id = $1", contact_id, start, end
    )
