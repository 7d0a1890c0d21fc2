"""How an alert is answered: its fragment to the open console, its page or a redirect to a plain form."""

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from hub.alerts.model import Alert
from hub.web.cases import load_detail
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.sessions import Session


def wants_fragment(request: Request) -> bool:
    return request.headers.get("x-requested-with") == "fetch"


async def alert_answer(request: Request, console: Console, session: Session, alert: Alert) -> Response:
    values = {
        "section": "historial",
        "detail": await load_detail(console, session, alert),
        "codes": console.catalogue().codes,
    }
    template = "fragments/detail.html" if wants_fragment(request) else "alert.html"
    return await shown(console, session, template, values)


async def after_change(request: Request, console: Console, session: Session, alert: Alert) -> Response:
    if wants_fragment(request):
        return await alert_answer(request, console, session, alert)
    return RedirectResponse(f"/alertas/{alert.alert_id}", status_code=303)
