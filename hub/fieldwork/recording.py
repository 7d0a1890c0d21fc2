"""An item of a phone becomes rows of an operation. Raises :class:`RefusedError` with what to mend."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hub.database import Connection
from hub.fieldwork import evidence, phones
from hub.fieldwork.errors import RefusedError
from hub.fieldwork.messages import Inspection, Point, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Bearer:
    """Who brings an item, and when what it tells happened (``at``, by the hub's clock)."""

    login: str
    institution: str
    phone: str
    at: datetime
    time_quality: str
    now: datetime


async def inspection(connection: Connection, item: Inspection, bearer: Bearer) -> str:
    """Write an inspection with all that hangs on it; returns its folio."""
    sector = item.sector
    if item.operation_id is not None:
        sector = await _open_operation(connection, item.operation_id, bearer.institution)
        if item.point:
            await _known_point(connection, item.operation_id, item.point)
    folio = await _folio(connection, item, bearer)
    where = item.where
    await connection.execute(
        "insert into inspections (inspection_id, folio, operation_id, point, sector, latitude, longitude,"
        " accuracy_m, trade, permit_state, permit_folio, result, acting, assists, institution, inspected_at,"
        " time_quality, note, phone, author, recorded_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,"
        " $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        item.id,
        folio,
        item.operation_id,
        item.point,
        sector,
        where and where.latitude,
        where and where.longitude,
        where and where.accuracy_m,
        item.trade,
        item.permit_state,
        item.permit_folio,
        item.result,
        item.acting,
        item.assists,
        bearer.institution,
        bearer.at,
        bearer.time_quality,
        item.note,
        bearer.phone,
        bearer.login,
        bearer.now,
    )
    await connection.executemany(
        "insert into infringements (inspection_id, position, rule, ticket_folio) values ($1, $2, $3, $4)",
        [(item.id, at, one.rule, one.ticket_folio) for at, one in enumerate(item.infringements)],
    )
    await _seizures(connection, item, bearer)
    await evidence.announce(
        connection,
        item.id,
        item.operation_id,
        folio,
        [
            evidence.Photo(
                file_id=photo.id,
                sha256=photo.sha256,
                size_bytes=photo.size_bytes,
                captured_at=photo.captured_at + (bearer.at - item.at),
            )
            for photo in item.photos
        ],
        bearer.login,
        bearer.now,
    )
    return folio


async def _open_operation(connection: Connection, operation_id: uuid.UUID, institution: str) -> str:
    """The operation's sector; raises unless it takes records of this institution."""
    row = await connection.fetchrow(
        "select o.folio, o.state, o.sector, o.suspended_because, exists (select from operation_institutions i"
        " where i.operation_id = o.operation_id and i.institution = $2) as takes_part"
        " from operations o where operation_id = $1",
        operation_id,
        institution,
    )
    if row is None:
        raise RefusedError("Ese operativo no existe; elija otro o ninguno.")
    if not row["takes_part"]:
        raise RefusedError(f"{institution} no participa en {row['folio']}; elija otro operativo o ninguno.")
    if row["state"] == "closed":
        raise RefusedError(f"{row['folio']} ya cerró su acta; elija otro operativo o ninguno.")
    if row["state"] == "suspended":
        raise RefusedError(
            f"{row['folio']} fue suspendido ({row['suspended_because']}); elija otro o ninguno."
        )
    sector: str = row["sector"]
    return sector


async def _known_point(connection: Connection, operation_id: uuid.UUID, point: str) -> None:
    known = await connection.fetchval(
        "select true from operation_points where operation_id = $1 and point = $2", operation_id, point
    )
    if not known:
        raise RefusedError(f"El punto «{point}» no es de ese operativo; elija uno de la lista.")


async def _folio(connection: Connection, item: Inspection, bearer: Bearer) -> str:
    """The phone's own number, proven to be its; without one, the hub's next."""
    if not item.folio:
        block = await phones.issue_block(
            connection, bearer.at.year, bearer.phone, bearer.login, bearer.now, size=1
        )
        return phones.folio(block.prefix, block.year, block.first)
    if not await phones.is_ours(connection, item.folio, bearer.login):
        raise RefusedError(f"El folio {item.folio} no fue entregado a usted; avise a la jefatura.")
    taken = await connection.fetchval(
        "select true from inspections where folio = $1 and replaces is null", item.folio
    )
    if taken:
        raise RefusedError(f"El folio {item.folio} ya lo lleva otra fiscalización; avise a la jefatura.")
    return item.folio


async def _seizures(connection: Connection, item: Inspection, bearer: Bearer) -> None:
    """Goods begin their custody with whoever seized them."""
    await connection.executemany(
        "insert into seizures (seizure_id, inspection_id, goods, quantity, unit, destination, record_folio)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        [
            (
                one.id,
                item.id,
                one.goods,
                Decimal(str(one.quantity)),
                one.unit,
                one.destination,
                one.record_folio,
            )
            for one in item.seizures
        ],
    )
    await connection.executemany(
        "insert into seizure_custody (seizure_id, position, at, holder, place, note, author)"
        " values ($1, 0, $2, $3, $4, 'incautado en terreno', $5)",
        [(one.id, bearer.at, bearer.institution, item.point, bearer.login) for one in item.seizures],
    )


async def task(connection: Connection, item: Task, bearer: Bearer) -> None:
    """Tick or untick a task; of two phones the later touch wins, whichever arrives last."""
    await _open_operation(connection, item.operation_id, bearer.institution)
    known = await connection.fetchval(
        "update operation_tasks set done_at = case when $3 then $4::timestamptz end,"
        " done_by = case when $3 then $5::text end,"
        " dropped_because = case when $3 then '' else dropped_because end"
        " where operation_id = $1 and position = $2 returning true",
        item.operation_id,
        item.position,
        item.is_done,
        bearer.at,
        bearer.login,
    )
    if not known:
        raise RefusedError("Esa tarea ya no es del operativo; actualice la página con señal.")
    await _log(connection, item.operation_id, "task", f"tarea {item.position}", bearer)


async def point(connection: Connection, item: Point, bearer: Bearer) -> None:
    """A point was visited, or cleared, which is a visit, too. The first time counts."""
    await _open_operation(connection, item.operation_id, bearer.institution)
    await _known_point(connection, item.operation_id, item.point)
    await connection.execute(
        "update operation_points set visited_at = least(visited_at, $3),"
        " cleared_at = case when $4 then least(cleared_at, $3) else cleared_at end"
        " where operation_id = $1 and point = $2",
        item.operation_id,
        item.point,
        bearer.at,
        item.what == "cleared",
    )
    await _log(connection, item.operation_id, "point", f"{item.point}, en terreno", bearer)


async def _log(connection: Connection, operation_id: uuid.UUID, move: str, note: str, bearer: Bearer) -> None:
    """A line of the timeline, at the time of receipt like all others there."""
    await connection.execute(
        "insert into operation_log (operation_id, at, author, move, note) values ($1, $2, $3, $4, $5)",
        operation_id,
        bearer.now,
        bearer.login,
        move,
        note,
    )
