"""The wall: the room's figures on a large screen, for who may see them and for screens without a person."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hub.web import screens
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.cookies import cookie_name, give_cookie
from hub.web.permissions import Permission
from hub.web.routes.board import commune_map
from hub.web.routes.live import event_stream, stream

router = APIRouter(include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_WALL))]


async def _figures(console: Console) -> dict[str, object]:
    sala = await console.sala.read(console.pool, console.bus, console.now(), console.wall)
    return {"sala": sala}


@router.get("/sala", dependencies=_SEES)
async def page(request: Request, console: TheConsole, session: SignedIn) -> Response:
    response = console.page("sala.html", await _figures(console), session)
    is_screen = session.user.role == screens.ROLE
    if is_screen and await screens.renew(console.pool, session, console.now()):
        cookie = request.cookies[cookie_name(console.settings)]
        give_cookie(response, console.settings, cookie, screens.LENGTH)
    return response


@router.get("/sala/cifras", dependencies=_SEES)
async def figures(console: TheConsole, session: SignedIn) -> Response:
    return console.page("fragments/sala_figures.html", await _figures(console), session)


@router.get("/sala/eventos", dependencies=_SEES)
async def events(console: TheConsole, session: SignedIn) -> Response:
    """That something changed, never what: a screen has no business with an alert's id."""
    return event_stream(stream(console, session, tells_which=False))


@router.get("/sala/comuna.geojson", dependencies=_SEES)
async def surface(console: TheConsole) -> Response:
    return await commune_map(console)
