"""Equipment that is out, as the supplier is told of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.papers.desk import Desk

MOST = 200

# A device is out while an alert of its silence, or of its gateway's, is open: the rule that the figures use.
_SQL = """
select d.name, d.kind, d.sector, min(a.opened_at) as since, count(*) over () as in_all
from devices d join alerts a
  on a.kind = 'device_silent' and a.device_id = d.device_id
    or a.kind = 'gateway_silent' and a.gateway = d.gateway
where a.opened_at <= $1 and (a.closed_at is null or a.closed_at > $1) and not a.is_drill
group by d.device_id, d.name, d.kind, d.sector order by since limit $2
"""


@dataclass(frozen=True, slots=True)
class Outage:
    name: str
    kind: str
    sector: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Outages:
    """The oldest first, at most :data:`MOST`; ``count`` is complete."""

    lines: Sequence[Outage]
    count: int


async def outages(desk: Desk) -> Outages:
    rows = await desk.pool.fetch(_SQL, desk.as_of, MOST)
    lines = [Outage(row["name"], row["kind"], row["sector"], row["since"]) for row in rows]
    return Outages(lines, rows[0]["in_all"] if rows else 0)
