"""Drills: their history in numbers, one with its people, its proof, and the start of one."""

import uuid
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import RedirectResponse, Response

from hub.notify import drills
from hub.notify.drills import Drill, DrillError
from hub.web import audit
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.files import sent
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.routes.groups import tabs

router = APIRouter(include_in_schema=False)

PAGE = 50
STATE_LABELS = {
    "planned": "Programado",
    "running": "En curso",
    "closed": "Terminado",
    "missed": "No se hizo",
    "cancelled": "Anulado",
}
ANSWER_LABELS = {
    "": "Sin respuesta",
    "coming": "Respondió 1",
    "nothing_found": "Respondió 2",
    "help": "Respondió 3",
    "not_coming": "Respondió no",
    "pressed": "Se presionó",
}

_SEES_GROUPS = [Depends(allowed(Permission.SEE_GROUPS))]


@router.get("/simulacros", dependencies=_SEES_GROUPS)
async def drills_page(
    console: TheConsole, session: SignedIn, antes: Annotated[datetime | None, Query()] = None
) -> Response:
    if antes is not None and antes.tzinfo is None:
        raise Problem(422, errors={"antes": "falta la zona horaria"})
    found = await drills.list_drills(console.pool, limit=PAGE + 1, before=antes)
    last = found[PAGE - 1].planned_at.isoformat() if len(found) > PAGE else ""
    values = {
        "drills": found[:PAGE],
        "states": STATE_LABELS,
        "first_page": "/simulacros" if antes else "",
        "next_page": f"/simulacros?{urlencode({'antes': last})}" if last else "",
        **await tabs(console, session, "simulacros"),
    }
    return await shown(console, session, "drills.html", values)


async def _find(console: Console, drill_id: uuid.UUID) -> Drill:
    drill = await drills.get_drill(console.pool, drill_id)
    if drill is None:
        raise Problem(404, "Ese simulacro no existe.")
    return drill


@router.get("/simulacros/{drill_id}", dependencies=[Depends(allowed(Permission.SEE_PEOPLE))])
async def drill_page(console: TheConsole, session: SignedIn, drill_id: uuid.UUID) -> Response:
    drill = await _find(console, drill_id)
    now = console.now()
    if console.reads.is_new(session.session_id, f"drill:{drill_id}", now):
        await audit.record(console.pool, now, session.user.login, audit.Action.PEOPLE_READ, str(drill_id))
    has_begun = drill.state in ("running", "closed")
    results = await drills.results(console.pool, drill) if has_begun else []
    values = {
        "drill": drill,
        "answered": [r for r in results if r.answered_s is not None],
        "silent": [r for r in results if r.answered_s is None],
        "states": STATE_LABELS,
        "answers": ANSWER_LABELS,
        **await tabs(console, session, "simulacros"),
    }
    return await shown(console, session, "drill.html", values)


@router.get("/simulacros/{drill_id}/constancia", dependencies=_SEES_GROUPS)
async def proof(console: TheConsole, drill_id: uuid.UUID) -> Response:
    """The snapshot byte for byte: its SHA-256 is the one that the page shows."""
    drill = await _find(console, drill_id)
    if not drill.snapshot:
        raise Problem(404, "Ese simulacro todavía no termina.")
    return sent(drill.snapshot, "application/json", f"simulacro-{drill_id}.json")


@router.post("/simulacros", dependencies=[Depends(allowed(Permission.MANAGE_PEOPLE))])
async def start_drill(
    console: TheConsole, session: Changing, grupo: Annotated[str, Form(max_length=120)]
) -> Response:
    now, login = console.now(), session.user.login
    try:
        drill_id = await drills.run_now(console.pool, grupo, author=login, now=now)
    except DrillError as error:
        raise Problem(422, str(error)) from error
    await audit.record(console.pool, now, login, audit.Action.DRILL_STARTED, str(drill_id), grupo)
    return RedirectResponse(f"/simulacros/{drill_id}", status_code=303)
