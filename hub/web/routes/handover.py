"""The shift's hand-over: its sheet, and the signatures of who gives it and who takes it."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import RedirectResponse, Response

from hub.alerts import service as alerts
from hub.web import audit, shifts
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem

router = APIRouter(prefix="/entrega", include_in_schema=False)

SIDES: dict[str, str] = {"off": "Entregó", "on": "Recibió"}


@router.get("", dependencies=[Depends(allowed(Permission.SEE_HANDOVER))])
async def handover_page(
    console: TheConsole, session: SignedIn, desde: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    signed = await alerts.signatures(console.pool, limit=20)
    shift = shifts.chosen(console, desde, signed)
    sheet = await shifts.load(console, session, shift)
    if console.reads.is_new(session.session_id, "entrega", console.now()):
        await audit.record(console.pool, console.now(), session.user.login, audit.Action.HANDOVER_READ)
    values = {"section": "entrega", "sheet": sheet, "signatures": signed, "sides": SIDES}
    return await shown(console, session, "handover.html", values)


@router.post("/firmar", dependencies=[Depends(allowed(Permission.SIGN_HANDOVER))])
async def sign_handover(
    console: TheConsole,
    session: Changing,
    lado: Annotated[Literal["off", "on"], Form()],
    desde: Annotated[datetime, Form()],
    huella: Annotated[str, Form(pattern="^[0-9a-f]{64}$")],
    nota: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    if desde.tzinfo is None:
        raise Problem(422, errors={"desde": "sin zona horaria"})
    await shifts.sign(console, session, lado, desde, huella, nota)
    return RedirectResponse("/entrega", status_code=303)
