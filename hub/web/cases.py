"""One alert in full, for one person: what is shown, what is hidden, what is recorded."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from hub.alerts import service
from hub.alerts.model import Alert, LogEntry
from hub.notify.outlook import Outlook, outlook
from hub.web import audit, texts
from hub.web.cards import (
    LINK_SORTS,
    REASONS,
    Card,
    MoveButton,
    TimelineEntry,
    buttons_for,
    card_of,
    timeline_of,
)
from hub.web.context import Console
from hub.web.fleet import DeviceView, find_device, view_device, without_secrets
from hub.web.ledger import CallsView, LedgerView, load_calls, load_ledger
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.promises import Promise, promises
from hub.web.sessions import Session
from hub.web.users import User, list_workers

TIMELINE_LINES = 200
CHILDREN = 6
"""So many stand in the detail; the rest has a page of its own."""
_PAGE, _MAX_PAGES = 500, 10
_PROPOSED = 60

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
    calls: CallsView | None
    timeline: list[TimelineEntry]
    has_older: bool
    moves: list[MoveButton]
    reasons: list[tuple[str, str]]
    reading_reasons: tuple[str, ...]
    promises: list[Promise]
    outlook: Outlook
    naming: "Naming"
    links: list[service.Link]
    link_sorts: list[tuple[str, str]]
    parent: Card | None
    covered: service.Covered
    children: list[Card]
    workers: list[User]
    mergeable: list[Card]


@dataclass(frozen=True, kw_only=True, slots=True)
class Naming:
    """What people found it to be. ``suggested`` is a code for one that has none yet."""

    code: str
    label: str
    cead: str
    first: str
    suggested: str


async def find_alert(console: Console, session: Session, alert_id: uuid.UUID) -> Alert:
    """Raises :class:`Problem` 404, also where this person may not know that there is such an alert."""
    alert = await service.get(console.pool, alert_id, role=session.user.role)
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
        if device is not None and not alert.is_restricted:
            device = without_secrets(device)
    ahead = await outlook(console.pool, alert, console.policies(), console.now())
    sent_at = await service.first_sent_at(console.pool, alert.alert_id)
    role, may_work = session.user.role, session.user.may(Permission.WORK_ALERTS)
    may_call = session.user.may(Permission.CALL_PEOPLE)
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
        calls=await load_calls(console, alert.alert_id) if may_call and not hidden else None,
        timeline=timeline_of(lines, is_hidden=hidden),
        has_older=has_older,
        moves=buttons_for(alert, session.user),
        reasons=REASONS,
        reading_reasons=READING_REASONS,
        promises=promises(alert, ahead, sent_at),
        outlook=ahead,
        naming=_naming(console, alert, is_hidden=hidden),
        links=[] if hidden else await service.links_of(console.pool, alert.alert_id),
        link_sorts=LINK_SORTS,
        parent=await _parent(console, session, alert),
        covered=await service.covered(console.pool, alert.alert_id, role=role),
        children=[
            card_of(child)
            for child in await service.list_children(console.pool, alert.alert_id, limit=CHILDREN, role=role)
        ],
        workers=await list_workers(console.pool) if may_work and alert.is_open else [],
        mergeable=await _mergeable(console, session, alert) if may_work and alert.is_open else [],
    )


def _naming(console: Console, alert: Alert, *, is_hidden: bool) -> Naming:
    catalogue = console.catalogue()
    code = catalogue.by_code.get(alert.classification)
    suggested = None if alert.classification or is_hidden else catalogue.suggest(alert.kind)
    return Naming(
        code=alert.classification,
        label=code.label if code else alert.classification,
        cead=code.cead if code else "",
        first=alert.first_classification,
        suggested=suggested.code if suggested else "",
    )


async def _parent(console: Console, session: Session, alert: Alert) -> Card | None:
    if alert.parent_id is None:
        return None
    parent = await service.get(console.pool, alert.parent_id, role=session.user.role)
    return card_of(parent) if parent else None


async def _mergeable(console: Console, session: Session, alert: Alert) -> list[Card]:
    """Open alerts that are proposed where this one is merged: those of its sector first."""
    rows = await service.list_open(console.pool, limit=_PROPOSED, role=session.user.role)
    others = sorted((a for a in rows if a.alert_id != alert.alert_id), key=lambda a: a.sector != alert.sector)
    return [card_of(other) for other in others]


async def list_children(
    console: Console, session: Session, alert: Alert, after: uuid.UUID | None, limit: int
) -> tuple[list[Card], str]:
    """One page of what stands under an alert, and the id that the next page begins after."""
    role = session.user.role
    last = await service.get(console.pool, after, role=role) if after else None
    rows = await service.list_children(
        console.pool, alert.alert_id, limit=limit + 1, after=last.dedup_key if last else "", role=role
    )
    is_more = len(rows) > limit
    return [card_of(row) for row in rows[:limit]], str(rows[limit - 1].alert_id) if is_more else ""
