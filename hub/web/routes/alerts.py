"""One alert, its moves, and the history."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from hub.alerts import service
from hub.alerts.lifecycle import STATE_LABELS, Move, Reason
from hub.alerts.visibility import sees_restricted
from hub.web import texts
from hub.web.answers import after_change, alert_answer
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.cards import card_of
from hub.web.cases import find_alert, list_children, record_reading, reveal
from hub.web.frame import shown
from hub.web.history import OPEN, PAGE, Filter, list_history, parse_filter
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.working import Wish, work

router = APIRouter(include_in_schema=False)

_SEES_ALERTS = [Depends(allowed(Permission.SEE_ALERTS))]
_STATES = [("", "Todas"), (OPEN, "Abiertas"), *((s.value, label) for s, label in STATE_LABELS.items())]


@router.get("/alertas", dependencies=_SEES_ALERTS)
async def history_page(console: TheConsole, session: SignedIn, query: Annotated[Filter, Query()]) -> Response:
    page = await list_history(console, session.user.role, parse_filter(console, query))
    return await shown(
        console,
        session,
        "history.html",
        {
            "section": "historial",
            "cards": [card_of(alert) for alert in page.alerts],
            "chosen": query,
            "states": _STATES,
            "kinds": kinds_for(session.user.role).items(),
            "first_page": query.link("") if query.despues else "",
            "next_page": query.link(page.next_after) if page.next_after else "",
        },
    )


@router.get("/alertas/{alert_id}", dependencies=_SEES_ALERTS)
async def alert_page(
    request: Request, console: TheConsole, session: SignedIn, alert_id: uuid.UUID
) -> Response:
    alert = await find_alert(console, session, alert_id)
    await record_reading(console, session, alert)
    return await alert_answer(request, console, session, alert)


@router.get("/alertas/{alert_id}/cubiertas", dependencies=_SEES_ALERTS)
async def children_page(
    console: TheConsole, session: SignedIn, alert_id: uuid.UUID, despues: uuid.UUID | None = None
) -> Response:
    """What stands under an alert: a gateway that is out explains the silence of its devices."""
    alert = await find_alert(console, session, alert_id)
    await record_reading(console, session, alert)
    cards, after = await list_children(console, session, alert, despues, PAGE)
    address = f"/alertas/{alert_id}/cubiertas"
    values = {
        "section": "historial",
        "parent": card_of(alert),
        "covered": await service.covered(console.pool, alert_id, role=session.user.role),
        "cards": cards,
        "first_page": address if despues else "",
        "next_page": f"{address}?despues={after}" if after else "",
    }
    return await shown(console, session, "children.html", values)


def kinds_for(role: str) -> dict[str, str]:
    """The kinds that a role may know of, for a form's list."""
    is_of_the_case = sees_restricted(role)
    return {k: v for k, v in texts.KINDS.items() if is_of_the_case or k not in service.RESTRICTED_KINDS}


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
    return await after_change(request, console, session, alert)


@router.post("/alertas/{alert_id}/reservado", dependencies=[Depends(allowed(Permission.SEE_RESTRICTED))])
async def reveal_alert(
    request: Request,
    console: TheConsole,
    session: Changing,
    alert_id: uuid.UUID,
    motivo: Annotated[str, Form(max_length=120)] = "",
) -> Response:
    alert = await find_alert(console, session, alert_id)
    await reveal(console, session, alert, motivo)
    return await after_change(request, console, session, alert)
