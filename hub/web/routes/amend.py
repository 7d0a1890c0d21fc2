"""Corrections of one alert, and what is joined to it."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from hub.alerts.service import LinkSort
from hub.web import amending
from hub.web.amending import Amendment
from hub.web.answers import after_change
from hub.web.auth import Changing, TheConsole, allowed
from hub.web.permissions import Permission

router = APIRouter(prefix="/alertas/{alert_id}", include_in_schema=False)

_LINKS = [Depends(allowed(Permission.LINK_ALERTS))]
Version = Annotated[int | None, Form()]
Reason = Annotated[str, Form(max_length=500)]


@router.post("/prioridad", dependencies=[Depends(allowed(Permission.CHANGE_PRIORITY))])
async def change_priority(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    prioridad: Annotated[int, Form(ge=1, le=4)],
    version: Version = None,
    motivo: Reason = "",
) -> Response:
    why = Amendment(version=version, reason=motivo)
    alert = await amending.change_priority(console, session, alert_id, prioridad, why)
    return await after_change(request, console, session, alert)


@router.post("/clasificar", dependencies=[Depends(allowed(Permission.CLASSIFY_ALERTS))])
async def classify(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    codigo: Annotated[str, Form(max_length=60)] = "",
    version: Version = None,
    motivo: Reason = "",
) -> Response:
    why = Amendment(version=version, reason=motivo)
    alert = await amending.classify(console, session, alert_id, codigo, why)
    return await after_change(request, console, session, alert)


@router.post("/vinculos", dependencies=_LINKS)
async def link(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    que: Annotated[LinkSort, Form()],
    referencia: Annotated[str, Form(max_length=200)] = "",
    nota: Reason = "",
) -> Response:
    alert = await amending.link(console, session, alert_id, que, referencia, nota)
    return await after_change(request, console, session, alert)


@router.post("/vinculos/{link_id}/quitar", dependencies=_LINKS)
async def unlink(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    link_id: int,
    motivo: Reason = "",
) -> Response:
    alert = await amending.unlink(console, session, alert_id, link_id, motivo)
    return await after_change(request, console, session, alert)
