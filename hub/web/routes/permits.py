"""The register of permits: one folio, one answer. There is no list, and nobody's name, to look through."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from hub.fieldwork import permits
from hub.fieldwork.permit_file import folio_of
from hub.papers.stickers import stickers_pdf
from hub.web import audit
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.files import PDF, sent
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence

router = APIRouter(include_in_schema=False)

STANDINGS: dict[str, str] = {
    "valid": "Vigente",
    "not_yet": "Aún no rige",
    "expired": "Vencido",
    "suspended": "Suspendido",
    "revoked": "Caducado",
}


@router.get("/permisos", dependencies=[Depends(allowed(Permission.SEE_OPERATIONS))])
async def permits_page(
    console: TheConsole, session: SignedIn, folio: Annotated[str, Query(max_length=80)] = ""
) -> Response:
    now = console.now()
    today = console.wall.today(now)
    found, mistake, status = None, "", 200
    if folio.strip():
        try:
            folio = folio_of(folio)
        except ValueError as error:
            mistake, status = sentence(error), 422
        else:
            found = await permits.find(console.pool, folio, today)
            await audit.record(console.pool, now, session.user.login, audit.Action.PERMIT_READ, folio)
    values = {
        "section": "permisos",
        "folio": folio,
        "found": found,
        "mistake": mistake,
        "register": await permits.register(console.pool, today),
        "standings": STANDINGS,
    }
    return await shown(console, session, "permits.html", values, status)


@router.get("/permisos/adhesivo.pdf", dependencies=[Depends(allowed(Permission.SEE_OPERATIONS))])
async def sticker(
    console: TheConsole, session: SignedIn, folio: Annotated[str, Query(max_length=80)]
) -> Response:
    now = console.now()
    try:
        folio = folio_of(folio)
    except ValueError as error:
        raise Problem(422, sentence(error)) from error
    found = await permits.in_force(console.pool, console.wall.today(now), [folio])
    await audit.record(console.pool, now, session.user.login, audit.Action.PERMIT_READ, folio)
    if not found:
        raise Problem(404, f"El permiso {folio} no figura o no rige: no lleva adhesivo.")
    made = await stickers_pdf(
        [permits.sticker(one) for one in found],
        kind="Permiso municipal",
        commune=console.settings.commune,
        prepared_at=now,
    )
    return sent(made, PDF, "adhesivo-permiso.pdf")
