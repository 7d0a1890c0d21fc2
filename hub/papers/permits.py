"""The register of permits over time, and what the street found when it asked for one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from hub.database.statement import numbered
from hub.operations.words import PERMITS
from hub.papers.desk import Desk
from hub.papers.happenings import Span
from hub.plan.periods import local_midnight

# A permit counts on a day when its dates hold it. Withdrawals have no day of their own: they are today's.
_HELD = """
select trade, sector,
  count(*) filter (where state = 'active' and {first})::integer as first,
  count(*) filter (where state = 'active' and {last})::integer as last,
  count(*) filter (where valid_from >= $1 and valid_from < $2)::integer as begun,
  count(*) filter (where valid_until >= $1 and valid_until < $2)::integer as ended,
  count(*) filter (where state = 'suspended' and {last})::integer as suspended,
  count(*) filter (where state = 'revoked' and {last})::integer as revoked
from permits group by trade, sector order by trade, sector
""".format(
    first="valid_until >= $3 and (valid_from is null or valid_from <= $3)",
    last="valid_until >= $4 and (valid_from is null or valid_from <= $4)",
)


@dataclass(frozen=True, slots=True)
class Held:
    """Permits in force on the day before the span and on its last day, and what changed in between."""

    first: int = 0
    last: int = 0
    begun: int = 0
    ended: int = 0
    suspended: int = 0
    revoked: int = 0

    def __add__(self, other: "Held") -> "Held":
        return Held(*(a + b for a, b in zip(_numbers(self), _numbers(other), strict=True)))

    @property
    def is_nothing(self) -> bool:
        return not any(_numbers(self))


def _numbers(one: Held) -> tuple[int, ...]:
    return (one.first, one.last, one.begun, one.ended, one.suspended, one.revoked)


@dataclass(frozen=True, slots=True)
class Register:
    """``newest_at`` None: nobody has imported a register."""

    by_trade: Mapping[str, Held]
    by_sector: Mapping[str, Held]
    newest_at: datetime | None
    source: str

    @property
    def total(self) -> Held:
        return sum(self.by_trade.values(), Held())


async def register(desk: Desk, span: Span) -> Register:
    rows = await desk.pool.fetch(
        _HELD, span.first, span.end, span.first - timedelta(days=1), span.end - timedelta(days=1)
    )
    by_trade: dict[str, Held] = {}
    by_sector: dict[str, Held] = {}
    for row in rows:
        values = dict(row)
        trade, sector = values.pop("trade"), values.pop("sector")
        held = Held(**values)
        by_trade[trade] = by_trade.get(trade, Held()) + held
        by_sector[sector] = by_sector.get(sector, Held()) + held
    newest = await desk.pool.fetchrow(
        "select imported_at, source from permits order by imported_at desc, folio limit 1"
    )
    there = {trade: held for trade, held in by_trade.items() if not held.is_nothing}
    places = {sector: held for sector, held in sorted(by_sector.items()) if not held.is_nothing}
    if newest is None:
        return Register(there, places, None, "")
    return Register(there, places, newest["imported_at"], newest["source"])


async def in_force(desk: Desk, days: Sequence[date]) -> list[int]:
    """Permits in force on each local day."""
    rows = await desk.pool.fetch(
        "select (select count(*) from permits p where p.state = 'active' and p.valid_until >= d.day"
        " and (p.valid_from is null or p.valid_from <= d.day))::integer as n"
        " from unnest($1::date[]) with ordinality as d (day, place) order by d.place",
        list(days),
    )
    return [row["n"] for row in rows]


_FOUND = """
select i.permit_state, count(*)::integer as n,
  count(*) filter (where i.result = 'infringement')::integer as fined
from inspection_versions i left join operations o using (operation_id)
where i.recorded_at <= :as_of::timestamptz and o.is_drill is not true
  and (i.replaced_at is null or i.replaced_at > :as_of::timestamptz)
  and i.inspected_at >= :since::timestamptz and i.inspected_at < :until::timestamptz
group by 1
"""


async def asked(desk: Desk, span: Span) -> Mapping[str, tuple[int, int]]:
    """Standing of a permit (code) → inspections that found it, and those of them with an infringement."""
    statement = numbered(_FOUND)
    values: dict[str, Any] = {
        "since": local_midnight(span.first),
        "until": local_midnight(span.end),
        "as_of": desk.as_of,
    }
    rows = await desk.pool.fetch(statement.sql, *statement.arguments(values))
    known = {row["permit_state"]: (row["n"], row["fined"]) for row in rows}
    return {code: known.get(code, (0, 0)) for code in PERMITS}
