"""The Director's one screen."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from hub.devices.words import DEVICE_KINDS
from hub.operations.words import STATES
from hub.web import audit, direction
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.frame import shown
from hub.web.permissions import Permission

router = APIRouter(include_in_schema=False)


@router.get("/direccion", dependencies=[Depends(allowed(Permission.SEE_DIRECTION))])
async def page(console: TheConsole, session: SignedIn) -> Response:
    now = console.now()
    if console.reads.is_new(session.session_id, "direction", now):
        await audit.record(console.pool, now, session.user.login, audit.Action.PLAN_READ, "direccion")
    values = {
        "section": "direccion",
        "view": await direction.load(console, session),
        "states": STATES,
        "device_kinds": DEVICE_KINDS,
    }
    return await shown(console, session, "direction.html", values)
