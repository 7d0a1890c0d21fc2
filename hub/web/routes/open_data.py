"""Open data, for anybody, where the commune has said that it publishes: nothing here knows who asks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from hub.papers.desk import PaperError
from hub.papers.making import Workshop
from hub.web.auth import TheConsole
from hub.web.problem import Problem
from hub.web.shelf import FRESH_S

router = APIRouter(prefix="/publico", include_in_schema=False)


def published(console: TheConsole) -> Workshop:
    """Raises :class:`Problem` 404 unless the installation publishes."""
    if not console.settings.publishes or console.workshop is None:
        raise Problem(404)
    return console.workshop


@router.get("/sectores.geojson")
async def sectors(
    console: TheConsole,
    workshop: Annotated[Workshop, Depends(published)],
    mes: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    try:
        body = await console.shelf.month(workshop.desk_at(console.now()), mes)
    except PaperError as error:
        raise Problem(422, f"{str(error).capitalize()}.") from error
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": f"public, max-age={FRESH_S}"}
    return Response(body, media_type="application/geo+json", headers=headers)
