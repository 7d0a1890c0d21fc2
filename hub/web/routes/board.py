"""The control-room page and its live parts."""

import asyncio
import logging
import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, RedirectResponse, Response

from hub.alerts import service
from hub.web import fleet
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.cards import by_urgency, card_of
from hub.web.cases import find_alert, load_detail, record_reading
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.sessions import Session

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

MAX_CARDS = 200
"""More open alerts than this no room can watch; the history lists the rest, by pages."""

_NO_MAP = b'{"type": "FeatureCollection", "features": []}'
# Where who sees no alerts begins instead.
_HOMES = ((Permission.SEE_WALL, "/sala"), (Permission.SEE_OPERATIONS, "/operativos"))
_SEES_ALERTS = [Depends(allowed(Permission.SEE_ALERTS))]


async def _queue(console: Console, session: Session) -> dict[str, object]:
    role = session.user.role
    counts = await service.counts(console.pool, role=role)
    alerts = await service.list_open(console.pool, limit=MAX_CARDS, role=role)
    cards = by_urgency([card_of(alert) for alert in alerts])
    return {"cards": cards, "total": max(counts.open, len(cards))}


@router.get("/")
async def console_page(
    console: TheConsole, session: SignedIn, alerta: Annotated[uuid.UUID | None, Query()] = None
) -> Response:
    if not session.user.may(Permission.SEE_ALERTS):
        home = next((path for permission, path in _HOMES if session.user.may(permission)), "/dispositivos")
        return RedirectResponse(home, status_code=303)
    detail = None
    if alerta is not None:
        alert = await find_alert(console, session, alerta)
        await record_reading(console, session, alert)
        detail = await load_detail(console, session, alert)
    codes = console.catalogue().codes if detail else ()
    values = {"section": "consola", "detail": detail, "codes": codes, **await _queue(console, session)}
    return await shown(console, session, "console.html", values)


@router.get("/cola", dependencies=_SEES_ALERTS)
async def queue_fragment(console: TheConsole, session: SignedIn) -> Response:
    return await shown(console, session, "fragments/queue.html", await _queue(console, session))


@router.get("/tira", dependencies=_SEES_ALERTS)
async def strip_fragment(console: TheConsole, session: SignedIn) -> Response:
    return await shown(console, session, "fragments/strip.html", {})


@router.get("/mapa/comuna.geojson", dependencies=_SEES_ALERTS)
async def commune_map(console: TheConsole) -> Response:
    path = console.settings.geojson_path
    try:
        content = await asyncio.to_thread(path.read_bytes) if path else _NO_MAP
    except OSError as error:
        log.warning("the commune's map cannot be read: %s", error.strerror)
        content = _NO_MAP
    return Response(content, media_type="application/geo+json")


@router.get("/mapa/dispositivos.json", dependencies=[Depends(allowed(Permission.SEE_DEVICES))])
async def devices_on_map(console: TheConsole) -> Response:
    return JSONResponse(await fleet.located_devices(console))


@router.get("/ayuda", dependencies=[Depends(allowed(Permission.SEE_HELP))])
async def help_page(console: TheConsole, session: SignedIn) -> Response:
    return await shown(console, session, "help.html", {"section": "ayuda"})
