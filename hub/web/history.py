"""The list of all alerts, open and closed, with filters and pages."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from hub.alerts import service
from hub.alerts.lifecycle import State
from hub.alerts.model import Alert
from hub.web.context import Console
from hub.web.problem import Problem

PAGE = 50
OPEN = "abiertas"


class Filter(BaseModel):
    """The words of the page's address. Forms send empty fields; these filter nothing."""

    texto: str = Field("", max_length=80)
    estado: str = Field("", max_length=32)
    prioridad: str = Field("", pattern="^[1-4]?$")
    tipo: str = Field("", max_length=64)
    desde: str = Field("", max_length=10)
    hasta: str = Field("", max_length=10)
    despues: uuid.UUID | None = None
    """The last alert of the page before."""

    def link(self, after: str) -> str:
        words = {k: v for k, v in self.model_dump(exclude={"despues"}).items() if v}
        return f"/alertas?{urlencode(words | ({'despues': after} if after else {}))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A parsed filter. ``opened_until`` is exclusive."""

    text: str = ""
    is_open_only: bool = False
    state: State | None = None
    priority: int | None = None
    kind: str | None = None
    opened_from: datetime | None = None
    opened_until: datetime | None = None
    after: uuid.UUID | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class Page:
    alerts: list[Alert]
    next_after: str
    """Empty on the last page."""


def _day(console: Console, field: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        return console.wall.midnight(text)
    except ValueError:
        raise Problem(422, "La fecha va como AAAA-MM-DD.", {field: "fecha no válida"}) from None


def _state(text: str) -> State | None:
    try:
        return State(text) if text and text != OPEN else None
    except ValueError:
        raise Problem(422, "Ese estado no existe.", {"estado": "no es un estado"}) from None


def parse_filter(console: Console, query: Filter) -> Search:
    """Raises :class:`Problem` 422 naming the field."""
    until = _day(console, "hasta", query.hasta)
    return Search(
        text=query.texto.strip(),
        is_open_only=query.estado == OPEN,
        state=_state(query.estado),
        priority=int(query.prioridad) if query.prioridad else None,
        kind=query.tipo or None,
        opened_from=_day(console, "desde", query.desde),
        opened_until=until + timedelta(days=1) if until else None,
        after=query.despues,
    )


async def list_history(console: Console, role: str, search: Search) -> Page:
    """One page of what ``role`` may know of: open ones by urgency, all others the newest first."""
    after = await service.get(console.pool, search.after, role=role) if search.after else None
    fetch = _open_page if search.is_open_only else _any_page
    alerts = await fetch(console, role, search, after)
    rows = alerts[: search.limit]
    next_after = str(rows[-1].alert_id) if len(alerts) > search.limit else ""
    return Page([alert for alert in rows if _matches(alert, search)], next_after)


async def _open_page(console: Console, role: str, search: Search, after: Alert | None) -> list[Alert]:
    return await service.list_open(
        console.pool,
        priority=search.priority,
        limit=search.limit + 1,
        after=service.OpenAfter.of(after) if after else None,
        role=role,
    )


async def _any_page(console: Console, role: str, search: Search, after: Alert | None) -> list[Alert]:
    return await service.search(
        console.pool,
        text=search.text,
        kind=search.kind,
        priority=search.priority,
        state=search.state,
        opened_from=search.opened_from,
        opened_until=search.opened_until,
        limit=search.limit + 1,
        after=after,
        role=role,
    )


def _matches(alert: Alert, search: Search) -> bool:
    """What the query could not say: the list of open alerts knows priorities only."""
    return (
        _may_be_found(alert, search.text)
        and (search.kind is None or alert.kind == search.kind)
        and (search.opened_from is None or alert.opened_at >= search.opened_from)
        and (search.opened_until is None or alert.opened_at < search.opened_until)
    )


def _may_be_found(alert: Alert, text: str) -> bool:
    """Finding a restricted alert by the words of its place would tell the place."""
    wanted = text.casefold()
    if wanted in ("", alert.code.casefold()):
        return True
    return not alert.is_restricted and wanted in f"{alert.place}\n{alert.summary}".casefold()
