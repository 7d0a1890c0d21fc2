"""The device list, with the messages that were not accepted."""

from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from hub.devices import service
from hub.devices.service import StateFilter
from hub.web import fleet
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem

router = APIRouter(include_in_schema=False)

PAGE = 50
MAX_REFUSALS = 50


def parse_state(text: str) -> StateFilter | None:
    """A form's empty choice is no filter; raises :class:`Problem` for a word that is none of ours."""
    if not text:
        return None
    for state in get_args(StateFilter):
        if text == state:
            known: StateFilter = state
            return known
    raise Problem(422, errors={"estado": "no es un estado de dispositivo"})


@router.get("/dispositivos", dependencies=[Depends(allowed(Permission.SEE_DEVICES))])
async def devices_page(
    console: TheConsole,
    session: SignedIn,
    estado: str = "",
    sector: Annotated[str, Query(max_length=80)] = "",
    desde: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    now = console.now()
    rows = await service.list_devices(
        console.pool,
        now=now,
        limit=PAGE + 1,
        after=desde,
        sector=sector.strip() or None,
        state=parse_state(estado),
    )
    refusals = []
    if session.user.may(Permission.SEE_REFUSALS):
        refusals = await service.list_refusals(console.pool, limit=MAX_REFUSALS)
    query = {"estado": estado, "sector": sector}
    return await shown(
        console,
        session,
        "devices.html",
        {
            "section": "dispositivos",
            "counts": await service.count_fleet(console.pool, now=now),
            "devices": [fleet.view_device(fleet.without_secrets(row)) for row in rows[:PAGE]],
            "refusals": [fleet.view_refusal(row) for row in refusals],
            "states": fleet.STATE_FILTERS.items(),
            "chosen": query,
            "first_page": _page(query, 0) if desde else "",
            "next_page": _page(query, rows[PAGE - 1].device_id) if len(rows) > PAGE else "",
        },
    )


def _page(query: dict[str, str], after: int) -> str:
    words = {name: value for name, value in query.items() if value}
    return f"/dispositivos?{urlencode(words | ({'desde': str(after)} if after else {}))}"
