"""The transports of messages, and the calls that people of the room note on an alert."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from hub.notify import watching
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.cases import find_alert, is_hidden
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.routes.calls import note
from hub.web.transport_views import SHOWN_FOR, view_transport

router = APIRouter(include_in_schema=False)


@router.get("/transportes", dependencies=[Depends(allowed(Permission.SEE_DEVICES))])
async def transports_page(console: TheConsole, session: SignedIn) -> Response:
    now = console.now()
    states = await watching.states(console.pool)
    fresh = [view_transport(state, now) for state in states if now - state.checked_at < SHOWN_FOR]
    waiting = await console.pool.fetchval("select count(*) from notifications where state = 'queued'")
    values = {"section": "dispositivos", "transports": fresh, "waiting_texts": waiting}
    return await shown(console, session, "transports.html", values)


@router.post("/alertas/{alert_id}/llamada", dependencies=[Depends(allowed(Permission.WORK_ALERTS))])
async def note_call(
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    resultado: Annotated[str, Form(max_length=20)],
    persona: Annotated[str, Form(max_length=9, pattern=r"^[0-9]*$")] = "",
) -> Response:
    """``persona`` is the contact of the line; empty: the duty phone."""
    alert = await find_alert(console, session, alert_id)
    if is_hidden(console, session, alert):
        raise Problem(403, "Abra primero los datos reservados e indique el motivo.")
    await note(console, session, alert_id, int(persona) if persona else None, resultado)
    return RedirectResponse(f"/alertas/{alert_id}", status_code=303)
