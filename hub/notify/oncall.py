"""Who is on call: turns in local wall time of Chile, repeated as iCalendar does it, with overrides. Pure.

A turn from 20:00 to 08:00 begins and ends when the clock on the wall says so, also in the nights when that
clock is moved: no minute is left without anybody and none is given twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rruleset, rrulestr  # type: ignore[import-untyped]

SANTIAGO = ZoneInfo("America/Santiago")

_SLACK = timedelta(hours=2)
"""Wall clocks jump by less than this."""
_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_REFUSED = frozenset({"BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS", "BYEASTER"})
MAX_YEARS_TO_FIRST = 5
MAX_TURN_S = 31 * 86_400


class RuleError(ValueError):
    """A repetition that turns cannot have; the message is Spanish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One row of ``oncall_turns``, and the name of its person. ``starts_local`` is naive wall time.

    ``recurrence`` (naive local ISO text) says that this turn stands for that one instance of its ``uid``.
    """

    calendar: str
    uid: str
    contact_id: int
    person: str
    starts_local: datetime
    duration_s: int
    rrule: str = ""
    exdates: tuple[datetime, ...] = ()
    recurrence: str = ""
    level: int = 1
    is_override: bool = False
    is_quiet: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """One instance of a turn; instants are aware UTC."""

    turn: Turn
    starts_at: datetime
    ends_at: datetime


def to_utc(local: datetime) -> datetime:
    """A naive wall time of Chile as an instant; of an hour that comes twice, the first."""
    return local.replace(tzinfo=SANTIAGO).astimezone(UTC)


def to_local(at: datetime) -> datetime:
    """An instant as naive wall time of Chile."""
    return at.astimezone(SANTIAGO).replace(tzinfo=None)


def check_rule(text: str, starts_local: datetime) -> None:
    """Raises :class:`RuleError` for a repetition that is wrong, endless within a day, or never happens."""
    parts = dict(part.partition("=")[::2] for part in text.upper().split(";") if part)
    if parts.get("FREQ") not in _FREQUENCIES:
        raise RuleError("la repetición debe ser por día, semana, mes o año (FREQ)")
    if refused := _REFUSED & parts.keys():
        raise RuleError(f"la repetición usa {', '.join(sorted(refused))}, que no se admite")
    try:
        rule = rrulestr(text, dtstart=starts_local)
        horizon = starts_local.replace(year=starts_local.year + MAX_YEARS_TO_FIRST, day=1)
        if "UNTIL" not in parts and "COUNT" not in parts:
            rule = rule.replace(until=horizon)
        first = next(iter(rule), None)
    except (ValueError, TypeError, OverflowError) as error:
        raise RuleError("la repetición (RRULE) no se entiende") from error
    if first is None or first > horizon:
        raise RuleError("la repetición no ocurre nunca")


@lru_cache(maxsize=4096)
def _rule(text: str, starts_local: datetime) -> rrule | rruleset:
    return rrulestr(text, dtstart=starts_local)


def _starts(turn: Turn, since: datetime, until: datetime) -> list[datetime]:
    """Naive local starts within [since, until]."""
    if not turn.rrule:
        return [turn.starts_local] if since <= turn.starts_local <= until else []
    found: list[datetime] = _rule(turn.rrule, turn.starts_local).between(since, until, inc=True)
    return [start for start in found if start not in turn.exdates]


def shifts(turns: Iterable[Turn], since: datetime, until: datetime) -> list[Shift]:
    """Every instance that overlaps [``since``, ``until``) (aware), in order of time."""
    turns = list(turns)
    moved = {(t.calendar, t.uid, t.recurrence) for t in turns if t.recurrence}
    return sorted(
        (shift for turn in turns for shift in _shifts(turn, moved, since, until)),
        key=lambda s: (s.starts_at, s.turn.level, s.turn.person),
    )


def _shifts(
    turn: Turn, moved: set[tuple[str, str, str]], since: datetime, until: datetime
) -> Iterator[Shift]:
    length = timedelta(seconds=turn.duration_s)
    for start in _starts(turn, to_local(since) - length - _SLACK, to_local(until) + _SLACK):
        if not turn.recurrence and (turn.calendar, turn.uid, start.isoformat()) in moved:
            continue
        shift = Shift(turn=turn, starts_at=to_utc(start), ends_at=to_utc(start + length))
        if shift.starts_at < until and shift.ends_at > since:
            yield shift


def on_call(turns: Iterable[Turn], at: datetime) -> list[Turn]:
    """Who is on call at ``at`` (aware), in the order in which they are called.

    An override takes the place of everybody of its level; levels are called from 1 on.
    """
    active = [s.turn for s in shifts(turns, at, at + timedelta(microseconds=1))]
    overridden = {t.level for t in active if t.is_override}
    standing = [t for t in active if t.is_override or t.level not in overridden]
    found: dict[int, Turn] = {}
    for turn in sorted(standing, key=lambda t: (t.level, t.person)):
        found.setdefault(turn.contact_id, turn)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody is on call between the two instants."""

    starts_at: datetime
    ends_at: datetime


def gaps(turns: Iterable[Turn], since: datetime, until: datetime) -> list[Gap]:
    """When nobody is on call within [``since``, ``until``)."""
    found: list[Gap] = []
    covered_until = since
    for shift in shifts(turns, since, until):
        if shift.starts_at > covered_until:
            found.append(Gap(covered_until, shift.starts_at))
        covered_until = max(covered_until, shift.ends_at)
    if covered_until < until:
        found.append(Gap(covered_until, until))
    return found


def rotation(
    calendar: str,
    people: Sequence[tuple[int, str]],
    starts_local: datetime,
    *,
    days_each: int = 7,
    level: int = 1,
) -> list[Turn]:
    """Turns of ``days_each`` days for (contact_id, name) in their order, round and round."""
    if not people or not 1 <= days_each <= 31:
        raise RuleError("una rotación tiene personas y turnos de 1 a 31 días")
    return [
        Turn(
            calendar=calendar,
            uid=f"rotacion-{level}-{index}-{contact_id}@{calendar}",
            contact_id=contact_id,
            person=name,
            starts_local=starts_local + timedelta(days=index * days_each),
            duration_s=days_each * 86_400,
            rrule=f"FREQ=DAILY;INTERVAL={days_each * len(people)}",
            level=level,
        )
        for index, (contact_id, name) in enumerate(people)
    ]
