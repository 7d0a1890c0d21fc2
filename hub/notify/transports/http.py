"""A gateway that takes texts by HTTP: Kannel's ``sendsms``, or any provider whose request fits a template.

Its reports and replies come to the console's address (``hub/web/routes/gateways.py``) and from there, as
rows, to :meth:`HttpTransport.events`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote

import httpx

from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent

CONNECT_S = 3.0
ANSWER_S = 7.0
KANNEL_ACCEPTED = r"^[03]:"
"""``0: Accepted for delivery`` and ``3: Queued for later delivery``."""

_PLACE = re.compile(r"\{(to|digits|text|id|secret|hook|priority)\}")
_NOT_SENT = frozenset({401, 402, 403, 404, 405, 429, 503})
"""The gateway did not even look at the text: account, address, or too much to do."""

Events: TypeAlias = Callable[[], AsyncIterator[TransportEvent]]


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpGateway:
    """``url``, ``headers`` and ``body`` hold ``{to}`` (E.164), ``{digits}`` (without +), ``{text}``, ``{id}``
    (ours), ``{priority}``, ``{secret}`` and ``{hook}`` (its password for the console), escaped as their place
    needs it.

    ``accepted`` must be found in the answer; ``reference``, with one group, finds the gateway's id in it,
    else ours counts; ``refused`` finds answers about this phone or this text. ``credit``, with one group,
    finds what is left in the answer of ``health_url``.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    secret: str = ""
    hook: str = ""
    accepted: str = ""
    reference: str = ""
    refused: str = ""
    health_url: str = ""
    credit: str = ""


class HttpTransport:
    """``events`` gives what was pushed to us; without it there are neither reports nor replies."""

    def __init__(self, gateway: HttpGateway, events: Events | None = None) -> None:
        self._gateway = gateway
        self._events = events
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), follow_redirects=False, trust_env=False
        )

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """The gateway's reference, or the notification's id where it gives none."""
        if not message.to:
            raise TransportError("falta el teléfono de turno", permanent=True)
        answer = await self._ask(message)
        text = answer.text
        gateway = self._gateway
        if answer.is_success and re.search(gateway.accepted, text):
            found = re.search(gateway.reference, text) if gateway.reference else None
            return (found[1] if found else str(message.notification_id),)
        raise _refusal(gateway, answer.status_code, text)

    async def _ask(self, message: Outgoing) -> httpx.Response:
        gateway = self._gateway
        values = _values(message, gateway)
        headers = {name: _fill(value, values, str) for name, value in gateway.headers.items()}
        is_json = any("json" in value for name, value in headers.items() if name.lower() == "content-type")
        url = _fill(gateway.url, values, _for_url)
        body = _fill(gateway.body, values, _for_json if is_json else _for_url)
        try:
            return await self._client.request(
                gateway.method, url, headers=headers, content=body.encode() if body else None
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise TransportError("no se puede conectar con la pasarela", permanent=False) from None
        except httpx.HTTPError:
            # the message of the error may hold the address, and that a number
            raise TransportError(
                "la pasarela no terminó de contestar", permanent=False, maybe_sent=True
            ) from None

    async def events(self) -> AsyncIterator[TransportEvent]:
        if self._events is None:
            return
        async for event in self._events():
            yield event

    async def health(self) -> Health:
        """Without ``health_url`` only the texts themselves can tell."""
        gateway = self._gateway
        if not gateway.health_url:
            return Health(is_ok=True, detail="sin dirección de salud: se sabe al enviar")
        try:
            url = _fill(gateway.health_url, {"secret": gateway.secret}, _for_url)
            headers = {n: _fill(v, {"secret": gateway.secret}, str) for n, v in gateway.headers.items()}
            answer = await self._client.get(url, headers=headers)
        except httpx.HTTPError as error:
            return Health(is_ok=False, detail=f"la pasarela no contesta ({type(error).__name__})")
        if not answer.is_success:
            return Health(is_ok=False, detail=f"la pasarela contesta {answer.status_code}")
        return Health(is_ok=True, detail="la pasarela contesta", credit=_credit(gateway.credit, answer.text))

    async def run_loop(self) -> None:
        """The client keeps its connections by itself; here they end in order."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._client.aclose()


def _values(message: Outgoing, gateway: HttpGateway) -> dict[str, str]:
    return {
        "to": message.to,
        "digits": message.to.removeprefix("+"),
        "text": message.text,
        "id": str(message.notification_id),
        "priority": str(message.priority),
        "secret": gateway.secret,
        "hook": gateway.hook,
    }


def _fill(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """In one pass, so that a text that reads ``{secret}`` stays that text."""
    return _PLACE.sub(lambda found: escape(values.get(found[1], "")), template)


def _for_url(value: str) -> str:
    return quote(value, safe="")


def _for_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _refusal(gateway: HttpGateway, status: int, text: str) -> TransportError:
    is_person = bool(gateway.refused) and re.search(gateway.refused, text) is not None
    if is_person:
        return TransportError("la pasarela rechazó el número o el texto", permanent=True)
    # an error inside the gateway does not say how far the text got
    maybe_sent = status >= 500 and status not in _NOT_SENT
    return TransportError(f"la pasarela contestó {status}", permanent=False, maybe_sent=maybe_sent)


def _credit(pattern: str, text: str) -> float | None:
    found = re.search(pattern, text) if pattern else None
    try:
        return float(found[1].replace(",", ".")) if found else None
    except ValueError:
        return None
