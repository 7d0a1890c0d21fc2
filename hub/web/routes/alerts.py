"""One alert, its moves, and the history."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from hub.alerts.lifecycle import STATE_LABELS, Move, Reason
from hub.alerts.model import Alert
from hub.web import texts
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.cards import card_of
from hub.web.cases import find_alert, load_detail, record_reading, reveal
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.history import OPEN, Filter, list_history, parse_filter
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session
from hub.web.working import Wish, work

router = APIRouter(include_in_schema=False)

_SEES_ALERTS = [Depends(allowed(Permission.SEE_ALERTS))]
_STATES = [("", "Todas"), (OPEN, "Abiertas"), *((s.value, label) for s, label in STATE_LABELS.items())]


def _wants_fragment(request: Request) -> bool:
    return request.headers.get("x-requested-with") == "fetch"


async def _alert_answer(request: Request, console: Console, session: Session, alert: Alert) -> Response:
    values = {"section": "historial", "detail": await load_detail(console, session, alert)}
    template = "fragments/detail.html" if _wants_fragment(request) else "alert.html"
    return await shown(console, session, template, values)


@router.get("/alertas", dependencies=_SEES_ALERTS)
async def history_page(console: TheConsole, session: SignedIn, query: Annotated[Filter, Query()]) -> Response:
    page = await list_history(console, parse_filter(console, query))
    return await shown(
        console,
        session,
        "history.html",
        {
            "section": "historial",
            "cards": [card_of(alert) for alert in page.alerts],
            "chosen": query,
            "states": _STATES,
            "kinds": texts.KINDS.items(),
            "first_page": query.link("") if query.despues else "",
            "next_page": query.link(page.next_after) if page.next_after else "",
        },
    )


@router.get("/alertas/{alert_id}", dependencies=_SEES_ALERTS)
async def alert_page(
    request: Request, console: TheConsole, session: SignedIn, alert_id: uuid.UUID
) -> Response:
    alert = await find_alert(console, alert_id)
    await record_reading(console, session, alert)
    return await _alert_answer(request, console, session, alert)


def _reason(text: str) -> Reason | None:
    try:
        return Reason(text) if text else None
    except ValueError:
        raise Problem(422, "Elija el motivo de cierre.", {"reason": "no es un motivo"}) from None


@router.post("/alertas/{alert_id}/mover", dependencies=[Depends(allowed(Permission.WORK_ALERTS))])
async def move_alert(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    move: Annotated[Move, Form()],
    version: Annotated[int | None, Form()] = None,
    state: Annotated[str, Form(max_length=32)] = "",
    reason: Annotated[str, Form(max_length=32)] = "",
    note: Annotated[str, Form(max_length=2000)] = "",
    target: Annotated[str, Form(max_length=120)] = "",
) -> Response:
    wish = Wish(
        move=move, version=version, state=state, reason=_reason(reason), note=note, target=target.strip()
    )
    alert = await work(console, session, alert_id, wish)
    if _wants_fragment(request):
        return await _alert_answer(request, console, session, alert)
    return RedirectResponse(f"/alertas/{alert_id}", status_code=303)


@router.post("/alertas/{alert_id}/reservado", dependencies=[Depends(allowed(Permission.SEE_RESTRICTED))])
async def reveal_alert(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    motivo: Annotated[str, Form(max_length=120)] = "",
) -> Response:
    alert = await find_alert(console, alert_id)
    await reveal(console, session, alert, motivo)
    if _wants_fragment(request):
        return await _alert_answer(request, console, session, alert)
    return RedirectResponse(f"/alertas/{alert_id}", status_code=303)
