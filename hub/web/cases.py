"""One alert in full, for one person: what is shown, what is hidden, what is recorded."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from hub.alerts import service
from hub.alerts.model import Alert, LogEntry
from hub.web import audit, texts
from hub.web.cards import REASONS, Card, MoveButton, TimelineEntry, buttons_for, card_of, timeline_of
from hub.web.context import Console
from hub.web.fleet import DeviceView, find_device, view_device
from hub.web.ledger import LedgerView, load_ledger
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

TIMELINE_LINES = 200
_PAGE, _MAX_PAGES = 500, 10

READING_REASONS = (
    "Despachar un móvil al lugar",
    "Coordinar con Carabineros u otra institución",
    "Verificar la emergencia",
    "Supervisión del caso",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """``is_hidden``: restricted, and this session has not stated why it reads."""

    card: Card
    is_hidden: bool
    summary: str
    sector: str
    gateway: str
    happened_at: datetime
    time_quality_label: str
    device: DeviceView | None
    ledger: LedgerView
    timeline: list[TimelineEntry]
    has_older: bool
    moves: list[MoveButton]
    reasons: list[tuple[str, str]]
    reading_reasons: tuple[str, ...]


async def find_alert(console: Console, alert_id: uuid.UUID) -> Alert:
    """Raises :class:`Problem` 404."""
    alert = await service.get(console.pool, alert_id)
    if alert is None:
        raise Problem(404, "Esa alerta no existe.")
    return alert


def is_hidden(console: Console, session: Session, alert: Alert) -> bool:
    if not alert.is_restricted:
        return False
    is_open = console.revealed.is_recent(session.session_id, str(alert.alert_id), console.now())
    return not (is_open and session.user.may(Permission.SEE_RESTRICTED))


async def record_reading(console: Console, session: Session, alert: Alert) -> None:
    """One audit row for each person, alert and hour: live refreshes are not readings."""
    now, alert_id = console.now(), str(alert.alert_id)
    if console.reads.is_new(session.session_id, alert_id, now):
        await audit.record(console.pool, now, session.user.login, audit.Action.ALERT_READ, alert_id)


async def reveal(console: Console, session: Session, alert: Alert, why: str) -> None:
    """Open the restricted part to this session for a while; the reason is recorded first."""
    if why not in READING_REASONS:
        raise Problem(422, "Elija un motivo.", {"motivo": "elija uno de la lista"})
    now, alert_id = console.now(), str(alert.alert_id)
    await audit.record(console.pool, now, session.user.login, audit.Action.RESTRICTED_READ, alert_id, why)
    console.revealed.is_new(session.session_id, alert_id, now)


async def _newest_lines(console: Console, alert_id: uuid.UUID) -> tuple[list[LogEntry], bool]:
    """The last lines of the log, oldest first, and whether there are older ones."""
    lines: list[LogEntry] = []
    for _ in range(_MAX_PAGES):
        after = lines[-1].log_id if lines else 0
        page = await service.timeline(console.pool, alert_id, limit=_PAGE, after=after)
        lines.extend(page)
        if len(page) < _PAGE:
            break
    return lines[-TIMELINE_LINES:], len(lines) > TIMELINE_LINES


async def load_detail(console: Console, session: Session, alert: Alert) -> Detail:
    """All that this person may see of the alert now."""
    hidden = is_hidden(console, session, alert)
    lines, has_older = await _newest_lines(console, alert.alert_id)
    device = None
    if alert.device_id is not None and not hidden:
        device = await find_device(console, alert.device_id)
    return Detail(
        card=card_of(alert, is_revealed=not hidden),
        is_hidden=hidden,
        summary="" if hidden else alert.summary,
        sector="" if hidden else alert.sector,
        gateway="" if hidden else alert.gateway or "",
        happened_at=alert.happened_at,
        time_quality_label=texts.named(texts.TIME_QUALITIES, alert.time_quality),
        device=view_device(device) if device else None,
        ledger=LedgerView() if hidden else await load_ledger(console, alert.alert_id),
        timeline=timeline_of(lines, is_hidden=hidden),
        has_older=has_older,
        moves=buttons_for(alert, session.user),
        reasons=REASONS,
        reading_reasons=READING_REASONS,
    )
