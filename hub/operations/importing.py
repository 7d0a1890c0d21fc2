"""Operations, sectors and seasons from files into the database."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from edge.contract import uuid7
from hub.database import Connection, Pool
from hub.operations import reading, service
from hub.operations.areas import FiledSector
from hub.operations.loading import Filed, FiledInspection
from hub.operations.model import Operation, OperationError


async def store(pool: Pool, filed: Filed, *, author: str, now: datetime) -> tuple[Operation, Sequence[str]]:
    """An operation from a file under its own folio, and notes (Spanish) on what was left out of it.

    Raises :class:`OperationError` where the folio is taken.
    """
    draft, notes = filed.draft, []
    async with pool.acquire() as connection, connection.transaction():
        if draft.season and not await reading.is_season(connection, draft.season):
            notes.append(f"la temporada {draft.season} no está registrada; quedó sin temporada")
            draft = replace(draft, season=None)
        if await connection.fetchval("select exists (select from operations where folio = $1)", filed.folio):
            raise OperationError(f"{filed.folio} ya está; un operativo cargado se cambia en la consola")
        operation = await service.plan_within(connection, draft, author=author, now=now, folio=filed.folio)
        if filed.state != "planned":
            await _done(connection, operation.operation_id, filed, author, now)
        return await reading.by_id(connection, operation.operation_id), notes


async def _done(
    connection: Connection, operation_id: uuid.UUID, filed: Filed, author: str, now: datetime
) -> None:
    """The state that the file tells, with everything that was written down."""
    is_closed = filed.state == "closed"
    await connection.execute(
        "update operations set state = $2, started_at = $3, ended_at = $4, suspended_because = $5,"
        " acta_folio = $6, closed_at = $7, version = version + 1 where operation_id = $1",
        *(operation_id, filed.state, filed.started_at, filed.ended_at, filed.suspended_because),
        filed.acta_folio if is_closed else None,
        now if is_closed else None,
    )
    await connection.execute(
        "insert into operation_log (operation_id, at, author, move, from_state, to_state, note)"
        " values ($1, $2, $3, 'import', 'planned', $4, 'desde archivo')",
        *(operation_id, now, author, filed.state),
    )
    if filed.state in ("executed", "closed"):
        await connection.execute(
            "update operation_institutions set present = headcount,"
            " signed_at = case when institution = any($2::text[]) then $3::timestamptz end"
            " where operation_id = $1",
            *(operation_id, list(filed.signatures), now),
        )
    await connection.executemany(
        "insert into operation_counts (operation_id, kind, institution, total, recorded_at)"
        " values ($1, $2, $3, $4, $5)",
        [(operation_id, kind, by, total, now) for (kind, by), total in filed.counts.items()],
    )
    lead = next(one.name for one in filed.draft.institutions if one.is_lead)
    for number, one in enumerate(filed.inspections, 1):
        await _inspection(connection, operation_id, filed, one, number, lead, author, now)
    await connection.executemany(
        "insert into operation_files (file_id, operation_id, name, media_type, size_bytes, sha256,"
        " timestamp_file, is_stored, author, received_at)"
        " values ($1, $2, $3, 'application/octet-stream', 0, $4, $5, false, $6, $7)",
        [(uuid7(now), operation_id, name, sha, tsa, author, now) for name, sha, tsa in filed.files],
    )
    if is_closed:
        dossier = await reading.dossier(connection, filed.folio)
        await connection.execute(
            "update operations set acta_sha256 = $2 where operation_id = $1",
            *(operation_id, service.digest(dossier)),
        )


async def _inspection(
    connection: Connection,
    operation_id: uuid.UUID,
    filed: Filed,
    one: FiledInspection,
    number: int,
    lead: str,
    author: str,
    now: datetime,
) -> None:
    # the file has no hour for each: they stand in their order from the operation's start
    at = (filed.started_at or filed.draft.planned_start) + timedelta(minutes=number)
    inspection_id = uuid7(at)
    visited = next((point for point in filed.draft.points if point.id == one.point), None)
    await connection.execute(
        "insert into inspections (inspection_id, folio, operation_id, point, sector, latitude, longitude,"
        " trade, permit_state, result, institution, inspected_at, time_quality, author, recorded_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'receipt', $13, $14)",
        *(inspection_id, f"{filed.folio}-{one.id}", operation_id, one.point, filed.draft.sector),
        visited and visited.latitude,
        visited and visited.longitude,
        *(one.trade, one.permit_state, one.result, lead, at, author, now),
    )
    await connection.executemany(
        "insert into infringements (inspection_id, position, rule, ticket_folio, court, hearing_on)"
        " values ($1, $2, $3, $4, $5, $6)",
        [
            (inspection_id, place, fine["rule"], fine["ticket_folio"], fine["court"], fine["hearing_on"])
            for place, fine in enumerate(one.infringements, 1)
        ],
    )
    for goods in one.seizures:
        seizure_id = uuid7(at)
        await connection.execute(
            "insert into seizures (seizure_id, inspection_id, goods, quantity, unit, destination,"
            " record_folio) values ($1, $2, $3, $4, $5, $6, $7)",
            *(seizure_id, inspection_id, goods["goods"], goods["quantity"], goods["unit"]),
            *(goods["destination"], goods["record_folio"]),
        )
        await connection.execute(
            "insert into seizure_custody (seizure_id, position, at, holder, author)"
            " values ($1, 1, $2, $3, $4)",
            *(seizure_id, at, lead, author),
        )
    if visited is not None:
        await connection.execute(
            "update operation_points set visited_at = coalesce(visited_at, $3)"
            " where operation_id = $1 and point = $2",
            *(operation_id, one.point, at),
        )


async def store_sectors(pool: Pool, sectors: Sequence[FiledSector], source: str, now: datetime) -> int:
    """Each row replaces the one of its sector; how many there were."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.executemany(
            "insert into sectors (sector, name, area, is_rural, source, imported_at)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (sector) do update set name = excluded.name,"
            " area = excluded.area, is_rural = excluded.is_rural, source = excluded.source,"
            " imported_at = excluded.imported_at",
            [(s.sector, s.name, json.dumps(s.area), s.is_rural, source, now) for s in sectors],
        )
        # after all of them are there
        await connection.executemany(
            "update sectors set control_for_effect = $2 where sector = $1",
            [(s.sector, s.control or None) for s in sectors],
        )
    return len(sectors)


async def store_season(pool: Pool, season: str, name: str, first: date, last: date) -> None:
    """Raises :class:`OperationError` for days that are not in order or cross another season."""
    if last < first:
        raise OperationError("la temporada termina antes de empezar; corrija las fechas")
    rival = await pool.fetchval(
        "select season from seasons where season <> $1 and starts_on <= $3 and ends_on >= $2 limit 1",
        *(season, first, last),
    )
    if rival is not None:
        raise OperationError(f"se cruza con la temporada {rival}; corrija las fechas")
    await pool.execute(
        "insert into seasons (season, name, starts_on, ends_on) values ($1, $2, $3, $4)"
        " on conflict (season) do update set name = excluded.name, starts_on = excluded.starts_on,"
        " ends_on = excluded.ends_on",
        *(season, name, first, last),
    )
