"""The JSON API, version 1: the console's own data for other programs of the municipality.

Same sessions and permissions as the pages. Errors are RFC 9457 documents in Spanish.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from hub.alerts import service
from hub.alerts.lifecycle import MOVE_LABELS, Move, Reason, State
from hub.alerts.lifecycle import allowed as legal_moves
from hub.alerts.model import Alert
from hub.devices import service as device_service
from hub.web.auth import Changing, SignedIn, TheConsole, allowed
from hub.web.cards import card_of, entry_of
from hub.web.cases import find_alert, is_hidden, record_reading
from hub.web.fleet import without_secrets
from hub.web.history import Search, list_history
from hub.web.permissions import Permission
from hub.web.routes.devices import parse_state
from hub.web.working import Wish, work

router = APIRouter(prefix="/api/v1")

MAX_PAGE = 200


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = Field(default_factory=list)


class AlertOut(BaseModel):
    """An alert. Where it is restricted, ``place`` is coarse and there are no coordinates."""

    model_config = ConfigDict(from_attributes=True)

    alert_id: uuid.UUID
    code: str
    kind_label: str
    priority: int = Field(ge=1, le=4)
    state: State
    state_label: str
    reason_label: str
    place: str
    latitude: float | None
    longitude: float | None
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None
    event_count: int
    assigned_to: str | None
    is_drill: bool
    version: int


class AlertDetailOut(AlertOut):
    moves: list[Move]
    """Legal from this state; a role may allow fewer."""


class AlertPage(BaseModel):
    alerts: list[AlertOut]
    next_after: uuid.UUID | None = Field(description="pass as `after` for the next page")


class TimelineOut(BaseModel):
    log_id: int
    at: datetime
    author: str
    move: str
    from_state: State | None
    to_state: State | None
    note: str


class TimelinePage(BaseModel):
    entries: list[TimelineOut]
    next_after: int | None


class MoveIn(BaseModel):
    """``version`` is the one that the caller saw; another one is refused with 409."""

    move: Move
    version: int | None = None
    reason: Reason | None = None
    note: str = Field("", max_length=2000)
    target: str = Field("", max_length=120)


class DeviceOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    device_id: int
    source: str
    name: str
    kind: str
    place: str
    sector: str
    gateway: str
    gateway_state: str
    adopted: bool
    last_seen_at: datetime | None
    battery: float | None
    state: str


class DevicePage(BaseModel):
    devices: list[DeviceOut]
    next_after: int | None


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
    for status in (401, 403, 404, 409, 422)
}
_MOVES = ", ".join(f"{move} ({label})" for move, label in MOVE_LABELS.items())
_SEES_ALERTS = [Depends(allowed(Permission.SEE_ALERTS))]


def _detail(alert: Alert, *, is_revealed: bool) -> AlertDetailOut:
    card = AlertOut.model_validate(card_of(alert, is_revealed=is_revealed))
    return AlertDetailOut(**card.model_dump(), moves=list(legal_moves(alert.state)))


@router.get("/alerts", dependencies=_SEES_ALERTS, responses=_ERRORS)
async def list_alerts(
    console: TheConsole,
    session: SignedIn,
    open_only: bool = False,
    state: State | None = None,
    priority: Annotated[int | None, Query(ge=1, le=4)] = None,
    kind: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    after: uuid.UUID | None = None,
) -> AlertPage:
    search = Search(
        is_open_only=open_only, state=state, priority=priority, kind=kind, after=after, limit=limit
    )
    page = await list_history(console, session.user.role, search)
    alerts = [AlertOut.model_validate(card_of(alert)) for alert in page.alerts]
    return AlertPage(alerts=alerts, next_after=uuid.UUID(page.next_after) if page.next_after else None)


@router.get("/alerts/{alert_id}", dependencies=_SEES_ALERTS, responses=_ERRORS)
async def get_alert(console: TheConsole, session: SignedIn, alert_id: uuid.UUID) -> AlertDetailOut:
    alert = await find_alert(console, session, alert_id)
    await record_reading(console, session, alert)
    return _detail(alert, is_revealed=not is_hidden(console, session, alert))


@router.get("/alerts/{alert_id}/timeline", dependencies=_SEES_ALERTS, responses=_ERRORS)
async def get_timeline(
    console: TheConsole,
    session: SignedIn,
    alert_id: uuid.UUID,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> TimelinePage:
    alert = await find_alert(console, session, alert_id)
    await record_reading(console, session, alert)
    hidden = is_hidden(console, session, alert)
    lines = await service.timeline(console.pool, alert_id, limit=limit + 1, after=after)
    entries = [
        TimelineOut(
            log_id=line.log_id,
            at=line.at,
            author=line.author,
            move=line.move,
            from_state=line.from_state,
            to_state=line.to_state,
            note=entry_of(line, is_hidden=hidden).note,
        )
        for line in lines[:limit]
    ]
    return TimelinePage(entries=entries, next_after=entries[-1].log_id if len(lines) > limit else None)


@router.post(
    "/alerts/{alert_id}/moves",
    dependencies=[Depends(allowed(Permission.WORK_ALERTS))],
    responses=_ERRORS,
    description=f"Needs the header `X-CSRF-Token`. Moves: {_MOVES}.",
)
async def move_alert(
    console: TheConsole, session: Changing, alert_id: uuid.UUID, body: MoveIn
) -> AlertDetailOut:
    wish = Wish(
        move=body.move, version=body.version, reason=body.reason, note=body.note, target=body.target.strip()
    )
    alert = await work(console, session, alert_id, wish)
    return _detail(alert, is_revealed=not is_hidden(console, session, alert))


@router.get("/devices", dependencies=[Depends(allowed(Permission.SEE_DEVICES))], responses=_ERRORS)
async def list_devices(
    console: TheConsole,
    state: str = "",
    sector: Annotated[str, Query(max_length=80)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> DevicePage:
    rows = await device_service.list_devices(
        console.pool,
        now=console.now(),
        limit=limit + 1,
        after=after,
        sector=sector or None,
        state=parse_state(state),
    )
    devices = [DeviceOut.model_validate(without_secrets(row)) for row in rows[:limit]]
    return DevicePage(devices=devices, next_after=devices[-1].device_id if len(rows) > limit else None)


@router.get("/session", responses=_ERRORS)
async def get_session(session: SignedIn) -> dict[str, str]:
    """Who is signed in, and the token that changes need."""
    return {
        "login": session.user.login,
        "name": session.user.name,
        "role": session.user.role,
        "csrf": session.csrf,
    }


@router.get("/openapi.json", include_in_schema=False)
async def openapi() -> Response:
    """The document alone: pages that draw it come from other hosts."""
    return JSONResponse(get_openapi(title="Almenara", version="1", routes=router.routes))
