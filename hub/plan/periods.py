"""Periods as a municipality counts them: local days, weeks, months, quarters and years. Pure.

A period is written ``2026-10-05`` (día), ``2026-W43`` (semana), ``2026-10`` (mes), ``2026-T3`` (trimestre)
or ``2026`` (año). Its days begin at local midnight, so the day of a change of hour has 23 or 25 hours.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SANTIAGO = ZoneInfo("America/Santiago")
KINDS = ("dia", "semana", "mes", "trimestre", "anio")
_LABELS = {
    "dia": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "semana": re.compile(r"(\d{4})-W(\d{2})"),
    "mes": re.compile(r"(\d{4})-(\d{2})"),
    "trimestre": re.compile(r"(\d{4})-T([1-4])"),
    "anio": re.compile(r"\d{4}"),
}
_MONTHS = {"mes": 1, "trimestre": 3, "anio": 12}


@dataclass(frozen=True, slots=True)
class Window:
    """From ``since`` up to but not including ``until``; aware UTC."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """``first_day`` up to but not including ``end_day``, local."""

    kind: str
    label: str
    first_day: date
    end_day: date

    @property
    def year(self) -> int:
        """The year whose target counts: that of the last day."""
        return (self.end_day - timedelta(days=1)).year

    @property
    def until(self) -> datetime:
        return local_midnight(self.end_day)

    def window(self, days: int | None = None, years_back: int = 0) -> Window:
        """The period, or its last ``days``; or the same local days ``years_back`` years earlier."""
        first = self.first_day if days is None else self.end_day - timedelta(days=days)
        days_back = (years_before(one, years_back) for one in (first, self.end_day))
        return Window(*map(local_midnight, days_back))


def local_midnight(day: date) -> datetime:
    """The instant at which ``day`` begins in Chile. Where the clock jumps over midnight, after the jump."""
    return datetime.combine(day, time(), SANTIAGO).astimezone(UTC)


def parse_period(text: str) -> Period:
    """Raises ValueError in Spanish."""
    for kind, label in _LABELS.items():
        if found := label.fullmatch(text):
            try:
                return period_of(kind, _first_day(kind, text, found))
            except (ValueError, OverflowError):
                break
    raise ValueError(
        f"«{text}» no es un período; escriba 2026-10 (mes), 2026-W43 (semana), 2026-T3 (trimestre),"
        " 2026 (año) o 2026-10-05 (día)"
    )


def _first_day(kind: str, text: str, found: re.Match[str]) -> date:
    if kind == "dia":
        return date.fromisoformat(text)
    if kind == "semana":
        return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    if kind == "trimestre":
        return date(int(found[1]), int(found[2]) * 3 - 2, 1)
    return date(int(found[1]), int(found[2]), 1) if kind == "mes" else date(int(text), 1, 1)


def period_of(kind: str, day: date) -> Period:
    """The period of ``kind`` that holds ``day``."""
    first = {
        "dia": day,
        "semana": day - timedelta(days=day.weekday()),
        "mes": day.replace(day=1),
        "trimestre": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
        "anio": day.replace(month=1, day=1),
    }[kind]
    return Period(kind, _label(kind, first), first, _end_day(kind, first))


def _end_day(kind: str, first: date) -> date:
    if kind not in _MONTHS:
        return first + timedelta(days=7 if kind == "semana" else 1)
    months = first.month - 1 + _MONTHS[kind]
    return date(first.year + months // 12, months % 12 + 1, 1)


def years_before(day: date, years: int) -> date:
    """The same day of an earlier year (later, where negative); 28 February for a 29th that it lacks."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _label(kind: str, first: date) -> str:
    if kind == "semana":
        year, week, _ = first.isocalendar()
        return f"{year}-W{week:02}"
    return {
        "dia": first.isoformat(),
        "mes": f"{first:%Y-%m}",
        "trimestre": f"{first.year}-T{first.month // 3 + 1}",
        "anio": f"{first.year}",
    }[kind]


def last_finished(kind: str, now: datetime) -> Period:
    """The newest period of ``kind`` that is over at ``now``."""
    return previous(period_of(kind, now.astimezone(SANTIAGO).date()))


def previous(period: Period) -> Period:
    return period_of(period.kind, period.first_day - timedelta(days=1))


def last_periods(period: Period, count: int) -> list[Period]:
    """``count`` periods up to ``period``, the oldest first."""
    found = [period]
    while len(found) < count:
        found.append(previous(found[-1]))
    return found[::-1]
