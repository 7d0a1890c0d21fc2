"""Photos of inspections: the list with what differs, and each one to whoever may see it, on record."""

import asyncio
import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from hub.fieldwork import evidence
from hub.fieldwork.errors import VaultError
from hub.web import audit
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.frame import shown
from hub.web.permissions import Permission
from hub.web.problem import Problem

router = APIRouter(
    prefix="/evidencias",
    include_in_schema=False,
    dependencies=[Depends(allowed(Permission.SEE_OPERATIONS))],
)

PAGE = 50


@router.get("")
async def evidence_page(
    console: TheConsole, session: SignedIn, antes: Annotated[uuid.UUID | None, Query()] = None
) -> Response:
    files = await evidence.list_files(console.pool, limit=PAGE + 1, before=antes)
    values = {
        "section": "evidencias",
        "files": files[:PAGE],
        "next_before": files[PAGE - 1].file_id if len(files) > PAGE else None,
    }
    return await shown(console, session, "evidence.html", values)


@router.get("/{file_id}")
async def evidence_file(console: TheConsole, session: SignedIn, file_id: uuid.UUID) -> Response:
    """The bytes as they came, proven against their hash at every reading."""
    file = await evidence.find(console.pool, file_id)
    if file is None:
        raise Problem(404)
    if not file.is_stored:
        raise Problem(404, "El teléfono aún no envía esa foto; solo se conoce su huella.")
    try:
        content = await asyncio.to_thread(console.vault.get, file.sha256)
    except VaultError as error:
        raise Problem(410, f"{str(error).capitalize()}.") from error
    finally:
        await audit.record(
            console.pool, console.now(), session.user.login, audit.Action.EVIDENCE_READ, str(file_id)
        )
    headers = {
        "Content-Disposition": f'inline; filename="{file.name}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(content, media_type=file.media_type, headers=headers)
