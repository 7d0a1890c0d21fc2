"""The agenda for people's own calendars: a file, or a secret address that a phone follows by itself."""

import uuid
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request
from starlette.responses import Response

from hub.papers import agenda
from hub.web import audit, calendars
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.calendars import CalendarError
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session
from hub.web.users import User

router = APIRouter(include_in_schema=False)
open_router = APIRouter(include_in_schema=False)
"""For whom no session is asked: the address itself is the proof."""

_SEES = [Depends(allowed(Permission.SEE_OPERATIONS))]
_BEFORE, _AHEAD = timedelta(days=31), timedelta(days=366)


async def _file(console: Console, request: Request, now: datetime) -> Response:
    found = await agenda.between(console.pool, now - _BEFORE, now + _AHEAD)
    text = agenda.document(found, console.settings.commune, str(request.base_url), now)
    headers = {
        "Content-Disposition": 'attachment; filename="agenda.ics"',
        "Cache-Control": "private, max-age=900",
    }
    return Response(text, media_type="text/calendar; charset=utf-8", headers=headers)


@router.get("/operativos/agenda.ics", dependencies=_SEES)
async def agenda_file(request: Request, console: TheConsole) -> Response:
    """Operations and sessions from a month ago to a year ahead, for the phone's own calendar."""
    return await _file(console, request, console.now())


async def _page(
    console: Console, session: Session, error: str = "", address: str = "", status: int = 200
) -> Response:
    values = {
        "section": "operativos",
        "keys": await calendars.listed(console.pool, session.user.login, console.now()),
        "address": address,
        "error": error,
    }
    response = await shown(console, session, "calendars.html", values, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/operativos/calendario", dependencies=_SEES)
async def page(console: TheConsole, session: SignedIn) -> Response:
    return await _page(console, session)


@router.post("/operativos/calendario", dependencies=_SEES)
async def make(
    request: Request,
    console: TheConsole,
    session: Changing,
    equipo: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    now, login = console.now(), session.user.login
    try:
        secret = await calendars.make(console.pool, login, equipo, now)
    except CalendarError as error:
        return await _page(console, session, str(error), status=422)
    await audit.record(console.pool, now, login, audit.Action.CALENDAR_SHARED, login)
    return await _page(console, session, address=f"{request.base_url}calendario/{secret}.ics")


@router.post("/operativos/calendario/{key_id}/quitar", dependencies=_SEES)
async def revoke(console: TheConsole, session: Changing, key_id: uuid.UUID) -> Response:
    now, login = console.now(), session.user.login
    if not await calendars.revoke(console.pool, login, key_id, now):
        raise Problem(404, "Esa dirección ya no está.")
    await audit.record(console.pool, now, login, audit.Action.CALENDAR_REVOKED, login)
    return await _page(console, session)


async def calendar_reader(
    console: TheConsole, secret: Annotated[str, Path(max_length=100, pattern=r"^[\w-]+$")]
) -> User:
    """Raises :class:`Problem` 404 for an address that is nobody's, or no longer."""
    now = console.now()
    found = await calendars.reader(console.pool, secret, now)
    if found is None:
        raise Problem(404, "Esta dirección de calendario no existe o terminó.")
    user, is_first = found
    if is_first:
        await audit.record(console.pool, now, user.login, audit.Action.CALENDAR_READ, user.login)
    return user


@open_router.get("/calendario/{secret}.ics", dependencies=[Depends(calendar_reader)])
async def subscribed(request: Request, console: TheConsole) -> Response:
    """The agenda for a calendar that fetches it by itself, without a session."""
    return await _file(console, request, console.now())
