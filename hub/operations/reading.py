"""Operations as they stand: one with all that hangs on it, or a page of the list."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.alerts.model import RESTRICTED_KINDS
from hub.database import Connection, Pool
from hub.operations.model import (
    Count,
    Dossier,
    Draft,
    File,
    Infringement,
    Inspection,
    Institution,
    Link,
    LogLine,
    Operation,
    OperationError,
    Point,
    Seizure,
    Task,
    Withdrawn,
)
from hub.plan.periods import local_midnight

PAGE = 50
_MOST = 2_000
"""Rows of one kind that an operation shows; a large one has some hundreds."""
Executor = Pool | Connection


async def find(executor: Executor, folio: str) -> Operation:
    """Raises :class:`OperationError`."""
    row = await executor.fetchrow("select * from operations where folio = $1", folio)
    if row is None:
        raise OperationError(f"no existe el operativo {folio}")
    return await _operation(executor, row)


async def by_id(executor: Executor, operation_id: uuid.UUID) -> Operation:
    """Raises :class:`OperationError`."""
    row = await executor.fetchrow("select * from operations where operation_id = $1", operation_id)
    if row is None:
        raise OperationError("ese operativo no existe")
    return await _operation(executor, row)


async def _operation(executor: Executor, row: Any) -> Operation:
    id_ = row["operation_id"]
    institutions = await executor.fetch(
        "select institution as name, role, acting, assists, headcount, present, signed_at"
        " from operation_institutions where operation_id = $1 order by role desc, institution",
        id_,
    )
    points = await executor.fetch(
        "select point as id, name, latitude, longitude, visited_at, cleared_at from operation_points"
        " where operation_id = $1 order by point",
        id_,
    )
    tasks = await executor.fetch(
        "select phase, task, institution, position, done_at, done_by, dropped_because from operation_tasks"
        " where operation_id = $1 order by position",
        id_,
    )
    plain = (
        "kind name sector planned_start planned_end plan_id objective activity season series_id hot_spot"
        " origin_since origin_until remarks is_drill"
    ).split()
    draft = Draft(
        **{name: row[name] for name in plain},
        area=json.loads(row["area"]) if row["area"] else None,
        legal_basis=tuple(row["legal_basis"]),
        institutions=tuple(Institution(**dict(one)) for one in institutions),
        points=tuple(Point(**dict(one)) for one in points),
        tasks=tuple(Task(**dict(one)) for one in tasks),
    )
    rest = (
        "operation_id folio state started_at ended_at suspended_because acta_folio acta_sha256 closed_at"
        " author created_at version"
    ).split()
    return Operation(draft=draft, **{name: row[name] for name in rest})


# ------------------------------------------------------------------------------------------- dossier

_STANDING = """
select i.*, case when old.is_withdrawn then 'repuesta' when i.replaces is not null then 'corregida'
  else '' end as mark
from inspection_versions i left join inspections old on old.inspection_id = i.replaces
where i.operation_id = $1 and i.replaced_at is null
order by i.inspected_at, i.folio limit $2
"""
_WITHDRAWN = """
select folio, point, trade, inspected_at, author, recorded_at as at, note as reason from inspections w
where operation_id = $1 and is_withdrawn
  and not exists (select from inspections r where r.replaces = w.inspection_id)
order by inspected_at, folio limit $2
"""
_LINKS = """
select l.link_id, l.alert_id, a.code, a.kind, a.sector, a.opened_at, l.relation, l.way, l.reason,
  l.author, l.at
from operation_links l join alerts a using (alert_id)
where l.operation_id = $1 and l.removed_at is null and not a.is_reserved and not a.kind = any($3::text[])
order by a.opened_at, l.link_id limit $2
"""


async def dossier(executor: Executor, folio: str) -> Dossier:
    """All of one operation. Reserved cases are not in it. Raises :class:`OperationError`."""
    operation = await find(executor, folio)
    id_ = operation.operation_id
    counts = await executor.fetch(
        "select kind, institution, total from operation_counts where operation_id = $1 order by kind", id_
    )
    links = await executor.fetch(_LINKS, id_, _MOST, sorted(RESTRICTED_KINDS))
    files = await executor.fetch(
        "select f.file_id, f.name, f.media_type, f.size_bytes, f.sha256, f.claimed_sha256, f.captured_at,"
        " f.is_stored, f.author from operation_files f left join inspections i using (inspection_id)"
        " where f.operation_id = $1 or i.operation_id = $1 order by f.received_at limit $2",
        id_,
        _MOST,
    )
    log = await executor.fetch(
        "select at, author, move, note from operation_log where operation_id = $1"
        " order by log_id desc limit $2",
        id_,
        _MOST,
    )
    return Dossier(
        operation=operation,
        inspections=await _inspections(executor, id_),
        withdrawn=[Withdrawn(**dict(one)) for one in await executor.fetch(_WITHDRAWN, id_, _MOST)],
        counts=[Count(**dict(one)) for one in counts],
        links=[Link(**dict(one)) for one in links],
        files=[File(**dict(one)) for one in files],
        log=[LogLine(**dict(one)) for one in log],
    )


async def _inspections(executor: Executor, operation_id: uuid.UUID) -> list[Inspection]:
    rows = await executor.fetch(_STANDING, operation_id, _MOST)
    ids = [row["inspection_id"] for row in rows]
    fines = await _grouped(
        executor,
        "select inspection_id, rule, ticket_folio, court, hearing_on from infringements"
        " where inspection_id = any($1::uuid[]) order by inspection_id, position",
        ids,
    )
    goods = await _grouped(
        executor,
        "select inspection_id, seizure_id, goods, quantity, unit, destination, record_folio from seizures"
        " where inspection_id = any($1::uuid[]) order by inspection_id, seizure_id",
        ids,
    )
    referred = await _grouped(
        executor,
        "select inspection_id, institution, matter from inspection_referrals"
        " where inspection_id = any($1::uuid[]) order by inspection_id, institution",
        ids,
    )
    seizures = [one["seizure_id"] for some in goods.values() for one in some]
    held: dict[uuid.UUID, list[tuple[datetime, str, str]]] = {}
    for row in await executor.fetch(
        "select seizure_id, at, holder, place from seizure_custody where seizure_id = any($1::uuid[])"
        " order by seizure_id, position",
        seizures,
    ):
        held.setdefault(row["seizure_id"], []).append((row["at"], row["holder"], row["place"]))
    plain = (
        "inspection_id folio point trade permit_state result acting assists institution inspected_at note"
        " author recorded_at mark"
    ).split()
    return [
        Inspection(
            **{name: row[name] for name in plain},
            infringements=[Infringement(**one) for one in fines.get(row["inspection_id"], ())],
            seizures=[
                Seizure(holders=held.get(one.pop("seizure_id"), ()), **one)
                for one in goods.get(row["inspection_id"], ())
            ],
            referrals=[(one["institution"], one["matter"]) for one in referred.get(row["inspection_id"], ())],
        )
        for row in rows
    ]


async def _grouped(
    executor: Executor, sql: str, ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, list[dict[str, Any]]]:
    found: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for row in await executor.fetch(sql, ids):
        values = dict(row)
        found.setdefault(values.pop("inspection_id"), []).append(values)
    return found


_BESIDE = """
select o.folio, o.name, o.kind, o.sector, o.planned_start, o.sector = $4 and $4 <> '' as is_same_sector,
  array(select i.institution from operation_institutions i where i.operation_id = o.operation_id
    and i.institution in (select own.institution from operation_institutions own where own.operation_id = $1)
    order by i.institution) as shared
from operations o
where o.operation_id <> $1 and o.state in ('planned', 'confirmed', 'in_progress')
  and o.planned_start < $3 and o.planned_end > $2
order by o.planned_start, o.folio limit 20
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """An operation at the same time; ``shared``: institutions that are wanted at both."""

    folio: str
    name: str
    kind: str
    sector: str
    planned_start: datetime
    is_same_sector: bool
    shared: Sequence[str]


async def beside(executor: Executor, operation: Operation) -> list[Beside]:
    """Operations of which the planned time overlaps; people and vehicles are counted once."""
    draft = operation.draft
    values = (operation.operation_id, draft.planned_start, draft.planned_end, draft.sector)
    return [Beside(**dict(row)) for row in await executor.fetch(_BESIDE, *values)]


# ---------------------------------------------------------------------------------------------- list


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One operation in a list."""

    folio: str
    kind: str
    name: str
    state: str
    sector: str
    planned_start: datetime
    planned_end: datetime
    season: str | None
    lead: str
    institutions: int
    inspections: int
    is_drill: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """``first`` and ``end``: local days, ``end`` not included; empty words filter nothing."""

    state: str = ""
    sector: str = ""
    kind: str = ""
    first: date | None = None
    end: date | None = None
    institution: str = ""
    season: str = ""


_LIST = """
select o.folio, o.kind, o.name, o.state, o.sector, o.planned_start, o.planned_end, o.season, o.is_drill,
  coalesce((select i.institution from operation_institutions i
    where i.operation_id = o.operation_id and i.role = 'leads'), '') as lead,
  (select count(*) from operation_institutions i where i.operation_id = o.operation_id)::integer
    as institutions,
  (select count(*) from inspection_versions i
    where i.operation_id = o.operation_id and i.replaced_at is null)::integer as inspections
from operations o
where ($1 = '' or o.state = $1) and ($2 = '' or o.sector = $2) and ($3 = '' or o.kind = $3)
  and ($4::timestamptz is null or o.planned_start >= $4) and ($5::timestamptz is null or o.planned_start < $5)
  and ($6 = '' or exists (select from operation_institutions i
    where i.operation_id = o.operation_id and i.institution = $6))
  and ($7 = '' or o.season = $7)
  and ($8::timestamptz is null or (o.planned_start, o.folio) < ($8, $9))
order by o.planned_start desc, o.folio desc limit $10
"""


async def listed(
    executor: Executor,
    wanted: Filter,
    before: tuple[datetime, str] | None = None,
    limit: int = PAGE,
) -> list[Line]:
    """The newest first; ``before`` is (planned start, folio) of the last one of the page before."""
    rows = await executor.fetch(
        _LIST,
        *(wanted.state, wanted.sector, wanted.kind),
        wanted.first and local_midnight(wanted.first),
        wanted.end and local_midnight(wanted.end),
        wanted.institution,
        wanted.season,
        *(before or (None, "")),
        limit,
    )
    return [Line(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class Sector:
    sector: str
    name: str


async def sectors(executor: Executor) -> list[Sector]:
    rows = await executor.fetch("select sector, name from sectors order by sector")
    return [Sector(row["sector"], row["name"]) for row in rows]


async def area_of(executor: Executor, sector: str) -> Mapping[str, Any] | None:
    """The outline of a sector, if it is known."""
    text = await executor.fetchval("select area from sectors where sector = $1", sector)
    return json.loads(text) if text else None


@dataclass(frozen=True, slots=True)
class Season:
    """First and last local day, both included."""

    season: str
    name: str
    starts_on: date
    ends_on: date


async def seasons(executor: Executor) -> list[Season]:
    """The newest first."""
    rows = await executor.fetch(
        "select season, name, starts_on, ends_on from seasons order by starts_on desc limit 100"
    )
    return [Season(**dict(row)) for row in rows]


async def season_on(executor: Executor, day: date) -> str | None:
    """The season of a local day, if any."""
    found: str | None = await executor.fetchval(
        "select season from seasons where $1 between starts_on and ends_on order by starts_on desc limit 1",
        day,
    )
    return found


async def is_season(executor: Executor, season: str) -> bool:
    found: bool = await executor.fetchval("select exists (select from seasons where season = $1)", season)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Total:
    """What one institution did in an operation."""

    institution: str
    acting: str
    assists: str
    headcount: int
    present: int | None
    inspections: int
    warnings: int
    infringements: int
    seizures: int
    counts: Sequence[Count]


def totals(found: Dossier) -> list[Total]:
    """Each institution's own results: only the competent body acts, the others accompany. Pure."""
    totals = []
    for one in found.operation.draft.institutions:
        own = [i for i in found.inspections if i.institution == one.name]
        totals.append(
            Total(
                institution=one.name,
                acting=one.acting,
                assists=one.assists,
                headcount=one.headcount,
                present=one.present,
                inspections=len(own),
                warnings=sum(i.result == "warning" for i in own),
                infringements=sum(len(i.infringements) for i in own),
                seizures=sum(len(i.seizures) for i in own),
                counts=[count for count in found.counts if count.institution == one.name],
            )
        )
    return totals
