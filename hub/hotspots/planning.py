"""From a hot spot to a planned operation in one step."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import h3

from hub.database import Connection, Pool
from hub.hotspots.model import Sheet, Spot
from hub.operations import reading, service
from hub.operations.model import Draft, Institution, Operation, OperationError, Point, Task

KIND_OF_CODE: Mapping[str, str] = {
    "INC.COMERCIO": "street_trade",
    "INC.ALCOHOL": "alcohol",
    "INC.RUIDOS": "noise",
    "INC.RINA": "alcohol",
    "INC.BASURA": "dump",
    "INC.CARRERAS": "traffic",
}
LEAD = Institution(name="DSP", role="leads", acting="autonomous", headcount=4)
BASIS = "Ley 18.695 art. 4 letra j"
"""The municipality's function in public safety: stands where nobody planned one like it before."""
TASKS = (
    Task(phase="before", task="Revisar permisos vigentes del sector"),
    Task(phase="during", task="Recorrer los puntos del foco"),
    Task(phase="after", task="Cerrar el acta y fijar la revisión a 14 días"),
)


def find_spot(sheet: Sheet | None, code: str) -> Spot:
    """Raises :class:`OperationError` for a code that the newest sheet does not name."""
    for spot in sheet.spots if sheet else ():
        if spot.code == code:
            return spot
    raise OperationError(f"{code} no está entre los focos de ahora; vuelva a la lista")


async def plan(pool: Pool, sheet: Sheet, spot: Spot, *, author: str, now: datetime) -> Operation:
    """Plan it for the spot's own hours; the linking ties what caused it. Raises :class:`OperationError`."""
    kind = kind_of(spot)
    async with pool.acquire() as connection, connection.transaction():
        known = {one.sector for one in await reading.sectors(connection)}
        draft = Draft(
            kind=kind,
            name=f"Foco {spot.code}",
            sector=spot.sector if spot.sector in known else "",
            area=h3.cells_to_h3shape(spot.cells).__geo_interface__,
            planned_start=spot.planned_start,
            planned_end=spot.planned_end,
            legal_basis=(BASIS,),
            institutions=(LEAD,),
            points=tuple(
                Point(id=f"P{number}", name=one.name, latitude=one.latitude, longitude=one.longitude)
                for number, one in enumerate(spot.points, 1)
            ),
            tasks=TASKS,
            hot_spot=spot.code,
            origin_since=sheet.since,
            origin_until=sheet.computed_at,
        )
        like = await _like_before(connection, kind, spot.sector)
        if like is not None:
            draft = replace(
                draft,
                legal_basis=like.legal_basis,
                institutions=tuple(replace(one, present=None, signed_at=None) for one in like.institutions),
                tasks=tuple(
                    replace(one, done_at=None, done_by=None, dropped_because="") for one in like.tasks
                ),
                plan_id=like.plan_id,
                objective=like.objective,
                activity=like.activity,
            )
        return await service.plan_within(connection, draft, author=author, now=now)


def kind_of(spot: Spot) -> str:
    """By the commonest class of its events. Pure."""
    if not spot.kinds:
        return "other"
    code = spot.kinds[0].code
    return KIND_OF_CODE.get(code, "rural" if code.startswith("RUR.") else "other")


async def _like_before(connection: Connection, kind: str, sector: str) -> Draft | None:
    """The newest of its kind, of the same sector if there is one: who came along and on what basis."""
    folio = await connection.fetchval(
        "select folio from operations where kind = $1 and state <> 'suspended' and not is_drill"
        " order by (sector = $2) desc, planned_start desc limit 1",
        kind,
        sector,
    )
    return (await reading.find(connection, folio)).draft if folio else None
