"""How much history is made."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from hub.plan.periods import SANTIAGO, local_midnight, years_before


@dataclass(frozen=True, slots=True)
class Span:
    """Local days from ``first`` up to but not including ``end``."""

    first: date
    end: date

    @classmethod
    def years(cls, count: int, until: datetime) -> "Span":
        """Whole months: up to the first day of the month that ``until`` is in."""
        end = until.astimezone(SANTIAGO).date().replace(day=1)
        return cls(years_before(end, count), end)

    @property
    def since(self) -> datetime:
        return local_midnight(self.first)

    @property
    def until(self) -> datetime:
        return local_midnight(self.end)

    def days(self) -> Iterator[date]:
        for number in range((self.end - self.first).days):
            yield self.first + timedelta(days=number)

    def year_of(self, day: date) -> float:
        """Years since the first day."""
        return (day - self.first).days / 365.25


def local(day: date, seconds: float) -> datetime:
    """An instant (UTC) of a local day, ``seconds`` after what its clocks call midnight."""
    naive = datetime.combine(day, time()) + timedelta(seconds=seconds)
    found = naive.replace(tzinfo=SANTIAGO).astimezone(UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)
