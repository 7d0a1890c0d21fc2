"""The inspector's page and its service worker: the same bytes for everybody, with nobody's name in them."""

import json

from fastapi import APIRouter, Depends
from starlette.responses import HTMLResponse, Response

from hub.web import fieldpage
from hub.web.auth import TheConsole, allowed
from hub.web.headers import content_policy
from hub.web.permissions import Permission

router = APIRouter(
    prefix="/terreno",
    include_in_schema=False,
    dependencies=[Depends(allowed(Permission.RECORD_INSPECTIONS))],
)

_HEADERS = {
    # A photo that was just taken is shown from memory.
    "Content-Security-Policy": content_policy(images="'self' data: blob:"),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(self)",
}


@router.get("")
async def field_page(console: TheConsole) -> Response:
    return HTMLResponse(fieldpage.page_html(console), headers=_HEADERS)


@router.get("/sw.js")
async def service_worker(console: TheConsole) -> Response:
    text = console.templates.get_template("terreno_sw.js").render(
        version=fieldpage.page_version(console), files=json.dumps(fieldpage.page_files(console))
    )
    # Its folder is /terreno/; the page itself lies one above.
    headers = {"Service-Worker-Allowed": "/terreno", "Cache-Control": "no-cache"}
    return Response(text, media_type="text/javascript", headers=headers)
