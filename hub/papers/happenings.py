"""Confirmed events by class over windows, each beside the same days of the year before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hub.database.statement import numbered
from hub.papers.desk import Desk
from hub.plan.measures.real import real
from hub.plan.parameters import as_json
from hub.plan.periods import local_midnight, years_before

FAMILY_NAMES: Mapping[str, str] = {
    "DEL": "Delitos",
    "INC": "Incivilidades",
    "RUR": "Rural",
    "EMG": "Emergencias",
    "SOC": "Social",
    "": "Sin clasificar",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Local days from ``first`` up to but not including ``end``."""

    name: str
    first: date
    end: date

    def a_year_before(self) -> "Span":
        return Span(self.name, years_before(self.first, 1), years_before(self.end, 1))


def stop_spans(end: date) -> tuple[Span, Span, Span]:
    """The last 7 days, 28 days and the year to date, up to ``end`` (not included)."""
    last = end - timedelta(days=1)
    return (
        Span("7 días", end - timedelta(days=7), end),
        Span("28 días", end - timedelta(days=28), end),
        Span("Año", last.replace(month=1, day=1), end),
    )


@dataclass(frozen=True, slots=True)
class Count:
    """One class of events: ``now`` and ``before`` hold one number for each span."""

    code: str
    label: str
    family: str
    is_dmcs: bool
    now: tuple[int, ...]
    before: tuple[int, ...]


# Days are few beside events: the classes are counted by day once, and every window sums its days.
_DAILY = (
    "with "
    + real()
    + """
select r.class_code as code, (r.opened_at at time zone 'America/Santiago')::date as day,
  count(*)::integer as n
from real r where r.reason in ('attended', 'referred')
group by 1, 2 order by 1, 2
"""
)
_HOURLY = (
    "with "
    + real()
    + """
select extract(hour from r.opened_at at time zone 'America/Santiago')::integer as hour,
  count(*)::integer as n
from real r where r.reason in ('attended', 'referred')
group by 1
"""
)


class Daily:
    """Confirmed events by class and local day."""

    def __init__(self, rows: Sequence[tuple[str, date, int]]) -> None:
        self._of: dict[str, dict[date, int]] = {}
        for code, day, n in rows:
            self._of.setdefault(code, {})[day] = n

    @property
    def codes(self) -> list[str]:
        return sorted(self._of)

    def is_whole(self, span: Span) -> bool:
        """Whether events were already kept when the span began (a quiet week more or less)."""
        first = min((min(days) for days in self._of.values()), default=None)
        return first is not None and first < span.first + timedelta(days=7)

    def total(self, span: Span, *codes: str) -> int:
        wanted = codes or self._of
        days = (self._of.get(code, {}) for code in wanted)
        return sum(n for of in days for day, n in of.items() if span.first <= day < span.end)

    def weeks(self, end: date, count: int, *codes: str) -> list[int]:
        """Totals of ``count`` runs of seven days up to ``end``, the oldest first."""
        firsts = [end - timedelta(days=7 * (count - index)) for index in range(count)]
        return [self.total(Span("", first, first + timedelta(days=7)), *codes) for first in firsts]


async def daily(desk: Desk, first: date, end: date) -> Daily:
    """One query over all the days that the document needs."""
    rows = await _fetch(desk, _DAILY, first, end)
    return Daily([(row["code"], row["day"], row["n"]) for row in rows])


async def hourly(desk: Desk, span: Span) -> list[int]:
    """Confirmed events of the span by local hour of the day, 24 numbers."""
    known = {row["hour"]: row["n"] for row in await _fetch(desk, _HOURLY, span.first, span.end)}
    return [known.get(hour, 0) for hour in range(24)]


async def _fetch(desk: Desk, sql: str, first: date, end: date) -> Sequence[Mapping[str, Any]]:
    statement = numbered(sql)
    values: dict[str, Any] = {
        "since": local_midnight(first),
        "until": local_midnight(end),
        "as_of": desk.as_of,
        "settings": as_json(desk.parameters),
    }
    rows = await desk.pool.fetch(statement.sql, *statement.arguments(values), timeout=120)
    return [dict(row) for row in rows]


def counts(desk: Desk, found: Daily, spans: Sequence[Span]) -> list[Count]:
    """Every class that occurred in a span or a year before, and every DMCS class whether or not it did."""
    labels = {code.code: code.label for code in desk.catalogue.codes}
    dmcs = set(desk.parameters["dmcs"])
    before = [span.a_year_before() for span in spans]
    rows = []
    for code in sorted({*found.codes, *dmcs}):
        now = tuple(found.total(span, code) for span in spans)
        then = tuple(found.total(span, code) for span in before)
        if any((*now, *then)) or code in dmcs:
            family = code.partition(".")[0]
            rows.append(
                Count(code, labels.get(code, code or "Sin clasificar"), family, code in dmcs, now, then)
            )
    return rows


def change(now: float, before: float) -> float | None:
    """In percent; None (sin dato) where there was nothing before."""
    return 100 * (now - before) / before if before else None


def threshold(weeks: Sequence[int]) -> float | None:
    """A week above it is out of the ordinary: mean and twice the deviation of the weeks given.

    None with fewer than eight weeks: too little to say what is ordinary.
    """
    if len(weeks) < 8:
        return None
    mean = sum(weeks) / len(weeks)
    return float(mean + 2 * (sum((week - mean) ** 2 for week in weeks) / (len(weeks) - 1)) ** 0.5)
