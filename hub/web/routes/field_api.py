"""What the inspector's page says to the hub: it takes the day's load, brings records, then their photos.

JSON under the console's session and token. Repeats are harmless: each record and photo counts once.
"""

import uuid
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hub.fieldwork import evidence, sync, taking
from hub.fieldwork.errors import FieldError
from hub.fieldwork.messages import Batch, Take
from hub.web import audit, fieldpage
from hub.web.auth import Changing, TheConsole, allowed
from hub.web.permissions import Permission
from hub.web.problem import Problem, sentence

router = APIRouter(prefix="/api/v1/field", dependencies=[Depends(allowed(Permission.RECORD_INSPECTIONS))])


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def _read(request: Request, type_: Any) -> Any:
    try:
        return msgspec.json.decode(await request.body(), type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(422, "El envío no se entiende; actualice la página con señal.") from error


@router.post("/take")
async def take(request: Request, console: TheConsole, session: Changing) -> Response:
    wish = await _read(request, Take)
    return _json(
        await taking.load(
            console.pool,
            wish,
            session.user.login,
            console.form(),
            fieldpage.NAMES,
            console.now(),
            ZoneInfo(console.settings.timezone),
        )
    )


@router.post("/items")
async def bring(request: Request, console: TheConsole, session: Changing) -> Response:
    batch = await _read(request, Batch)
    now, login = console.now(), session.user.login
    institution = await taking.institution_of(console.pool, login)
    results = await sync.take_items(console.pool, batch, login, institution, now)
    detail = f"{sync.accepted(results)} de {len(results)}"
    await audit.record(console.pool, now, login, audit.Action.FIELD_BROUGHT, batch.phone, detail)
    return _json({"now": console.now(), "results": results})


@router.put("/photos/{file_id}")
async def bring_photo(
    request: Request, console: TheConsole, session: Changing, file_id: uuid.UUID
) -> Response:
    content = await request.body()
    try:
        file = await evidence.store(
            console.pool, console.vault, file_id, content, session.user.login, console.now()
        )
    except FieldError as error:
        raise Problem(422, sentence(error)) from error
    return _json({"id": str(file_id), "sha256": file.sha256, "differs": file.differs})
