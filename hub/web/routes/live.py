"""Server-sent events: which alert changed, so that open consoles fetch it again."""

import uuid
from collections.abc import AsyncIterator

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from hub.alerts import service
from hub.alerts.visibility import sees_restricted
from hub.database import UNAVAILABLE
from hub.web.auth import SignedIn, TheConsole, allowed
from hub.web.bus import AlertChanged, Closed
from hub.web.context import Console
from hub.web.permissions import Permission
from hub.web.sessions import Session, is_alive

router = APIRouter(include_in_schema=False)

# static/js/live.js calls the line dead after two and a half of these.
HEARTBEAT_S = 15.0
_RETRY_MS = 2000


def _frame(event: str, data: object) -> bytes:
    return f"event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


def _heartbeat(console: Console) -> bytes:
    return _frame("latido", {"now": console.now().isoformat()})


def event_stream(frames: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(
        frames,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _may_go_on(console: Console, session: Session) -> bool:
    try:
        return await is_alive(console.pool, session, console.now())
    except UNAVAILABLE:
        return True  # the database being away is no reason to blind the room


async def _may_hear(console: Console, session: Session, change: AlertChanged) -> bool:
    """Who may not know of reserved alerts reads the list anew, so that one that was reserved leaves it."""
    if sees_restricted(session.user.role):
        return True
    try:
        alert_id = uuid.UUID(change.alert_id)
        return await service.get(console.pool, alert_id, role=session.user.role) is not None
    except UNAVAILABLE:
        return False


async def stream(console: Console, session: Session, *, tells_which: bool = True) -> AsyncIterator[bytes]:
    """Begins with a heartbeat; ends with ``fin`` when the session does or the hub stops."""
    with console.bus.subscribe() as subscription:
        yield f"retry: {_RETRY_MS}\n\n".encode() + _heartbeat(console)
        while True:
            change = await subscription.next(HEARTBEAT_S)
            if isinstance(change, Closed):
                return
            if tells_which and isinstance(change, AlertChanged) and await _may_hear(console, session, change):
                yield _frame("alerta", change)
            elif change is not None:
                yield _frame("todo", {})
            elif await _may_go_on(console, session):
                yield _heartbeat(console)
            else:
                yield _frame("fin", {})
                return


@router.get("/eventos", dependencies=[Depends(allowed(Permission.SEE_ALERTS))])
async def events(console: TheConsole, session: SignedIn) -> Response:
    return event_stream(stream(console, session))
