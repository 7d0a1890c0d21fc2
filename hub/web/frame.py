"""Pages inside the frame that all signed-in people share: its strip shows the P1 alerts nobody took."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import HTMLResponse

from hub.alerts import service
from hub.web.cards import Card, card_of
from hub.web.context import Console
from hub.web.permissions import Permission
from hub.web.sessions import Session

_MAX_P1 = 500


async def waiting_cards(console: Console, session: Session) -> list[Card]:
    """P1 alerts without acknowledgement, the oldest first; none for who may not see alerts."""
    if not session.user.may(Permission.SEE_ALERTS):
        return []
    alerts = await service.list_open(console.pool, priority=1, limit=_MAX_P1, role=session.user.role)
    return [card for card in map(card_of, alerts) if card.is_waiting_p1]


async def shown(
    console: Console, session: Session, template: str, values: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    waiting = await waiting_cards(console, session)
    return console.page(template, {**values, "waiting": waiting}, session, status)
