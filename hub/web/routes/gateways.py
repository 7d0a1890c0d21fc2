"""Where message gateways push delivery reports and replies; each with a token of its own.

``/pasarela/<transport>/informe`` takes ``id`` and ``estado``, ``/pasarela/<transport>/entrada`` takes
``from`` and ``text``: as query (Kannel), form or JSON. Nobody is answered before it is committed.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from hub.notify import mailbox
from hub.notify.transports import DeliveryReport, Inbound
from hub.web.auth import TheConsole
from hub.web.problem import Problem
from hub.web.settings import Hook

router = APIRouter(include_in_schema=False)

MAX_TEXT_CHARS = 5000
_BOTH = ["GET", "POST"]


async def _values(request: Request) -> dict[str, str]:
    """Query and body as text; ``charset`` says how the others are written (Kannel's ``%C``)."""
    pairs = _pairs(request.scope["query_string"])
    body = await request.body()
    if "json" in request.headers.get("content-type", ""):
        return _decoded(pairs) | _json(body)
    if "form" in request.headers.get("content-type", ""):
        pairs += _pairs(body)
    return _decoded(pairs)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    # Latin 1 keeps every octet: what they mean is known once the charset is
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")


def _decoded(pairs: list[tuple[str, str]]) -> dict[str, str]:
    charset = dict(pairs).get("charset") or "utf-8"
    try:
        return {
            name: value.encode("latin-1").decode(charset if name == "text" else "utf-8", "replace")
            for name, value in pairs
        }
    except LookupError:
        raise Problem(422, errors={"charset": "no es un juego de caracteres conocido"}) from None


def _json(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)
    except ValueError:
        raise Problem(422, "El cuerpo no es JSON.") from None
    if not isinstance(found, dict):
        raise Problem(422, "El cuerpo no es un objeto JSON.")
    return {name: value if isinstance(value, str) else str(value) for name, value in found.items()}


def _clean(value: str) -> str:
    """What the database can keep: JSON may hold a zero octet and half a surrogate pair."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _needed(values: Mapping[str, str], name: str) -> str:
    if not (value := _clean(values.get(name, ""))):
        raise Problem(422, errors={name: "falta"})
    return value


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a gateway said, after its token was seen."""

    hook: Hook
    values: Mapping[str, str]


async def hook_checked(request: Request, console: TheConsole, transport: str) -> Pushed:
    """Raises :class:`Problem` 403 alike for a wrong token and for a transport without one."""
    values = await _values(request)
    sent = request.headers.get("authorization", "").removeprefix("Bearer ") or values.get("clave", "")
    for hook in console.settings.hooks:
        is_right = secrets.compare_digest(sent.encode("utf-8", "replace"), hook.token.encode())
        if hook.transport == transport and hook.token and is_right:
            return Pushed(hook, values)
    raise Problem(403, "La clave de la pasarela no corresponde.")


FromGateway = Annotated[Pushed, Depends(hook_checked)]


@router.api_route("/pasarela/{transport}/informe", methods=_BOTH)
async def report(console: TheConsole, pushed: FromGateway) -> Response:
    reference, state = _needed(pushed.values, "id"), _needed(pushed.values, "estado")
    if state in pushed.hook.delivered_values | pushed.hook.failed_values:
        is_delivered = state in pushed.hook.delivered_values
        event = DeliveryReport(
            reference=reference[:200],
            at=console.now(),
            is_delivered=is_delivered,
            detail="" if is_delivered else f"la pasarela informa «{state[:40]}»",
        )
        await mailbox.put(console.pool, pushed.hook.transport, event)
    return PlainTextResponse("")


@router.api_route("/pasarela/{transport}/entrada", methods=_BOTH)
async def inbound(console: TheConsole, pushed: FromGateway) -> Response:
    event = Inbound(
        sender=_needed(pushed.values, "from")[:40],
        at=console.now(),
        text=_clean(pushed.values.get("text", ""))[:MAX_TEXT_CHARS],
        reference=_clean(pushed.values.get("id", ""))[:100],
    )
    await mailbox.put(console.pool, pushed.hook.transport, event)
    # an empty answer: Kannel would send any words back as a text
    return PlainTextResponse("")
