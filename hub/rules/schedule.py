"""When a rule counts: windows of the local day, weekdays, Chilean holidays, seasons. Chile's time zone."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

SANTIAGO = ZoneInfo("America/Santiago")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_WORDS: dict[str, frozenset[int]] = {
    **{name: frozenset({index}) for index, name in enumerate(WEEKDAYS)},
    "weekday": frozenset(range(5)),
    "weekend": frozenset({5, 6}),
}
SUMMER = ((12, 15), (3, 15))
"""The season of beaches and fires, month and day; a rule may name its own dates."""


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("CL", years=year))


def is_holiday(day: date) -> bool:
    """Whether ``day`` is a public holiday in Chile (library ``holidays``)."""
    return day in _holidays(day.year)


def is_within(window: tuple[time, time], instant: datetime) -> bool:
    """Whether the local time of day in Chile lies in the window, which may cross midnight."""
    return _is_between(window, instant.astimezone(SANTIAGO).time())


def _is_between(window: tuple[time, time], at: time) -> bool:
    start, end = window
    return start <= at < end if start <= end else at >= start or at < end


def is_in_season(season: tuple[tuple[int, int], tuple[int, int]], day: date) -> bool:
    """Whether ``day`` lies between two days of the year, both included; may cross the new year."""
    start, end = season
    at = (day.month, day.day)
    return start <= at <= end if start <= end else at >= start or at <= end


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of time; what is not given does not restrict.

    The part of a night after midnight belongs to the day on which it began. ``holidays``: ``only``,
    ``except`` or ``any``.
    """

    hours: tuple[time, time] | None = None
    days: frozenset[int] = frozenset(range(7))
    holidays: str = "any"
    season: tuple[tuple[int, int], tuple[int, int]] | None = None

    def holds(self, instant: datetime) -> bool:
        local = instant.astimezone(SANTIAGO)
        day = local.date()
        if self.hours is not None:
            if not _is_between(self.hours, local.time()):
                return False
            if self.hours[0] > self.hours[1] and local.time() < self.hours[1]:
                day -= timedelta(days=1)
        return (
            day.weekday() in self.days
            and (self.holidays == "any" or is_holiday(day) == (self.holidays == "only"))
            and (self.season is None or is_in_season(self.season, day))
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Several windows: one that holds is enough."""

    windows: tuple[Window, ...]

    def holds(self, instant: datetime) -> bool:
        return any(window.holds(instant) for window in self.windows)
