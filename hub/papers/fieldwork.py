"""What operations did over windows: controls, inspections, infringements, seizures. Drills never count."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.database.statement import numbered
from hub.papers.desk import Desk
from hub.papers.happenings import Span
from hub.plan.periods import local_midnight

_SQL = """
with held as (
  select operation_id from operations
  where not is_drill and created_at <= :as_of::timestamptz
),
standing as (  -- corrections stand for what they replace
  select i.* from inspection_versions i
  where i.recorded_at <= :as_of::timestamptz
    and (i.operation_id is null or i.operation_id in (select operation_id from held))
    and (i.replaced_at is null or i.replaced_at > :as_of::timestamptz)
    and i.inspected_at >= :since::timestamptz and i.inspected_at < :until::timestamptz
)
select 'Operativos ejecutados' as what, count(*)::float8 as n, 10 as place from operations
  where not is_drill and ended_at >= :since::timestamptz and ended_at < :until::timestamptz
    and ended_at <= :as_of::timestamptz
union all
select case c.kind when 'identity' then 'Controles de identidad' when 'vehicles' then 'Controles vehiculares'
    when 'arrests' then 'Personas detenidas' when 'sanitary_files' then 'Sumarios sanitarios' end,
  sum(c.total)::float8,
  case c.kind when 'identity' then 20 when 'vehicles' then 21 when 'arrests' then 22 else 23 end
  from operation_counts c join operations o using (operation_id)
  where not o.is_drill and c.recorded_at <= :as_of::timestamptz
    and c.kind in ('identity', 'vehicles', 'arrests', 'sanitary_files')
    and coalesce(o.started_at, o.planned_start) >= :since::timestamptz
    and coalesce(o.started_at, o.planned_start) < :until::timestamptz
  group by c.kind
union all select 'Fiscalizaciones', count(*)::float8, 30 from standing
union all select 'Advertencias', count(*)::float8, 31 from standing where result = 'warning'
union all
select 'Infracciones', count(*)::float8, 32 from infringements join standing using (inspection_id)
union all
select 'Citaciones al JPL', count(*)::float8, 33 from infringements join standing using (inspection_id)
  where hearing_on is not null
union all
select 'Decomisos (' || case unit when 'un' then 'unidades' when 'l' then 'litros' else unit end || ')',
  sum(quantity)::float8, case unit when 'kg' then 40 when 'l' then 41 else 42 end
  from seizures join standing using (inspection_id) group by unit
"""


@dataclass(frozen=True, slots=True)
class Work:
    """One line: its number in each span and in the same span a year before."""

    what: str
    now: tuple[float, ...]
    before: tuple[float, ...]


async def work(desk: Desk, spans: Sequence[Span]) -> list[Work]:
    """Lines in the order of work: operations, controls, inspections, seizures."""
    places: dict[str, int] = {}
    totals: list[dict[str, float]] = []
    statement = numbered(_SQL)
    for span in (*spans, *(span.a_year_before() for span in spans)):
        values = {
            "since": local_midnight(span.first),
            "until": local_midnight(span.end),
            "as_of": desk.as_of,
        }
        rows = await desk.pool.fetch(statement.sql, *statement.arguments(values), timeout=60)
        places |= {row["what"]: row["place"] for row in rows}
        totals.append({row["what"]: row["n"] for row in rows})
    half = len(spans)
    return [
        Work(
            what,
            tuple(of.get(what, 0.0) for of in totals[:half]),
            tuple(of.get(what, 0.0) for of in totals[half:]),
        )
        for what in sorted(places, key=lambda one: (places[one], one))
    ]
