"""One device's page: its readings as charts, tables and files."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import JSONResponse, Response

from hub.web import device_page
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.curves import DEFAULT_PERIOD, PERIODS
from hub.web.files import CSV, sent
from hub.web.frame import shown
from hub.web.permissions import Permission

router = APIRouter(include_in_schema=False)

_SEES = [Depends(allowed(Permission.SEE_DEVICES))]
_Device = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/dispositivos/{device_id}", dependencies=_SEES)
async def page(
    console: TheConsole, session: SignedIn, device_id: _Device, periodo: str = DEFAULT_PERIOD
) -> Response:
    found = await device_page.load(console, session.user, device_id, periodo)
    periods = [(id_, label) for id_, (label, _) in PERIODS.items()]
    values = {"section": "dispositivos", "page": found, "periods": periods}
    return await shown(console, session, "device.html", values)


@router.get("/dispositivos/{device_id}/historia.json", dependencies=_SEES)
async def curves(
    console: TheConsole, session: SignedIn, device_id: _Device, periodo: str = DEFAULT_PERIOD
) -> Response:
    found = await device_page.load(console, session.user, device_id, periodo)
    return JSONResponse(device_page.as_json(found))


@router.get("/dispositivos/{device_id}/historia.csv", dependencies=_SEES)
async def table(
    console: TheConsole, session: SignedIn, device_id: _Device, periodo: str = DEFAULT_PERIOD
) -> Response:
    found = await device_page.load(console, session.user, device_id, periodo)
    name = f"dispositivo-{device_id}-{periodo}.csv"
    return sent(device_page.as_csv(found, console.wall), CSV, name)
