"""Silences, maintenance windows and declared drills: list, make, end."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.responses import RedirectResponse, Response

from hub.alerts import service as alerts
from hub.alerts.silences import NEVER_SILENCED
from hub.devices import service as devices
from hub.web import quiet, texts
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.context import Console
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.quiet import SilenceForm
from hub.web.sessions import Session

router = APIRouter(prefix="/silencios", include_in_schema=False)

_MAKES = [Depends(allowed(Permission.MAKE_SILENCES))]
_PAST = 20


async def _page(
    console: Console, session: Session, form: SilenceForm, problem: Problem | None = None
) -> Response:
    silences = await quiet.list_views(console, await alerts.list_silences(console.pool, console.now()))
    past = await quiet.list_views(
        console, await alerts.past_silences(console.pool, console.now(), limit=_PAST)
    )
    values = {
        "section": "silencios",
        "silences": silences,
        "past": past,
        "form": form,
        "problem": problem,
        "sorts": quiet.SORTS.items(),
        "lengths": quiet.LENGTHS.items(),
        "kinds": texts.KINDS.items(),
        "never_silenced": NEVER_SILENCED,
        "gateways": [g.gateway for g in await devices.list_gateways(console.pool, limit=500)],
        "sectors": await devices.list_sectors(console.pool),
    }
    return await shown(console, session, "silences.html", values, problem.status if problem else 200)


@router.get("", dependencies=[Depends(allowed(Permission.SEE_SILENCES))])
async def silences_page(console: TheConsole, session: SignedIn) -> Response:
    return await _page(console, session, SilenceForm.model_validate({}))


@router.post("", dependencies=_MAKES)
async def make_silence(
    console: TheConsole, session: Changing, form: Annotated[SilenceForm, Form()]
) -> Response:
    try:
        await quiet.make(console, session, form)
    except Problem as problem:
        return await _page(console, session, form, problem)
    return RedirectResponse("/silencios", status_code=303)


@router.post("/{silence_id}/terminar", dependencies=_MAKES)
async def end_silence(console: TheConsole, session: Changing, silence_id: int) -> Response:
    await quiet.end(console, session, silence_id)
    return RedirectResponse("/silencios", status_code=303)
