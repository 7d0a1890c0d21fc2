"""The operations of a period, one line each, and the totals of each institution."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.papers.desk import Desk
from hub.papers.happenings import Span
from hub.plan.periods import local_midnight

STATES = {
    "planned": "programado",
    "confirmed": "confirmado",
    "in_progress": "en curso",
    "executed": "ejecutado, sin acta",
    "closed": "ejecutado, acta cerrada",
    "suspended": "suspendido",
}
MOST = 400
"""Lines of a table; a month has dozens."""

# States are those of the log at the instant that the document knows up to.
_SQL = """
select o.folio, o.kind, o.name, o.sector, coalesce(o.started_at, o.planned_start) as at,
  coalesce((select l.to_state from operation_log l where l.operation_id = o.operation_id
    and l.at <= $3 and l.to_state is not null order by l.log_id desc limit 1), o.state) as state,
  (select count(*) from operation_institutions i
    where i.operation_id = o.operation_id)::integer as institutions,
  (select count(*) from inspection_versions i where i.operation_id = o.operation_id
    and i.recorded_at <= $3 and (i.replaced_at is null or i.replaced_at > $3))::integer as inspections,
  (select count(*) from infringements f join inspection_versions i using (inspection_id)
    where i.operation_id = o.operation_id
    and i.recorded_at <= $3 and (i.replaced_at is null or i.replaced_at > $3))::integer as infringements,
  (select count(*) from operation_links k where k.operation_id = o.operation_id and k.relation = 'origin'
    and k.at <= $3 and (k.removed_at is null or k.removed_at > $3))::integer as origins
from operations o
where coalesce(o.started_at, o.planned_start) >= $1 and coalesce(o.started_at, o.planned_start) < $2
  and not o.is_drill and o.created_at <= $3
order by at limit $4
"""


@dataclass(frozen=True, slots=True)
class Held:
    folio: str
    kind: str
    name: str
    sector: str
    at: datetime
    state: str
    institutions: int
    inspections: int
    infringements: int
    origins: int


async def operations(desk: Desk, span: Span) -> Sequence[Held]:
    values = (local_midnight(span.first), local_midnight(span.end), desk.as_of, MOST)
    return [Held(**dict(row)) for row in await desk.pool.fetch(_SQL, *values)]
