"""A person corrects an alert or joins something to it: permission, the change, the audit; Spanish errors."""

import uuid
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from hub.alerts import service
from hub.alerts.lifecycle import STATE_LABELS
from hub.alerts.model import RESTRICTED_KINDS, Alert
from hub.web import audit
from hub.web.auth import require
from hub.web.cases import find_alert
from hub.web.context import Console
from hub.web.permissions import Permission
from hub.web.problem import Problem
from hub.web.sessions import Session

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Amendment:
    """``version`` is the one that the person saw; another one is refused."""

    version: int | None = None
    reason: str = ""


async def change_priority(
    console: Console, session: Session, alert_id: uuid.UUID, priority: int, why: Amendment
) -> Alert:
    """Raises :class:`Problem` (403, 404, 409, 422), and then nothing changed; so do all of these."""
    require(session, Permission.CHANGE_PRIORITY)
    await find_alert(console, session, alert_id)
    change = service.change_priority(
        console.pool,
        alert_id,
        priority,
        author=session.user.login,
        reason=why.reason,
        now=console.now(),
        expected_version=why.version,
    )
    return await _done(console, session, alert_id, f"priority {priority}", change)


async def classify(
    console: Console, session: Session, alert_id: uuid.UUID, code: str, why: Amendment
) -> Alert:
    """A reserved alert is given an open code by the shift's chief alone."""
    require(session, Permission.CLASSIFY_ALERTS)
    alert = await find_alert(console, session, alert_id)
    wanted, catalogue = code.strip().upper(), console.catalogue()
    entry = catalogue.by_code.get(wanted)
    is_opened = alert.is_reserved and entry is not None and not entry.is_restricted
    if is_opened and alert.kind not in RESTRICTED_KINDS and not session.user.may(Permission.UNRESERVE_ALERTS):
        raise Problem(403, "Solo la jefatura de turno puede quitar la reserva a una alerta.")
    change = service.reclassify(
        console.pool,
        alert_id,
        wanted,
        catalogue,
        author=session.user.login,
        reason=why.reason,
        now=console.now(),
        expected_version=why.version,
    )
    return await _done(console, session, alert_id, f"classified {wanted}", change)


async def link(
    console: Console,
    session: Session,
    alert_id: uuid.UUID,
    sort: service.LinkSort,
    reference: str,
    note: str,
) -> Alert:
    require(session, Permission.LINK_ALERTS)
    await find_alert(console, session, alert_id)
    change = service.link(
        console.pool, alert_id, sort, reference, note=note, author=session.user.login, now=console.now()
    )
    await _done(console, session, alert_id, f"linked {sort.value}", change)
    return await find_alert(console, session, alert_id)


async def unlink(console: Console, session: Session, alert_id: uuid.UUID, link_id: int, reason: str) -> Alert:
    require(session, Permission.LINK_ALERTS)
    await find_alert(console, session, alert_id)
    if link_id not in {found.link_id for found in await service.links_of(console.pool, alert_id)}:
        raise Problem(404, "Ese vínculo no existe.")
    change = service.unlink(
        console.pool, link_id, author=session.user.login, reason=reason, now=console.now()
    )
    await _done(console, session, alert_id, "unlinked", change)
    return await find_alert(console, session, alert_id)


async def _done(
    console: Console, session: Session, alert_id: uuid.UUID, what: str, change: Awaitable[_T]
) -> _T:
    """Carry the change out and record it."""
    try:
        found = await change
    except service.AmendError as error:
        raise Problem(422, str(error)) from None
    except service.ConflictError as error:
        state = STATE_LABELS[error.current.state]
        raise Problem(409, f"La alerta cambió: ahora está «{state}». Revísela antes de seguir.") from None
    except service.UnknownAlertError:
        raise Problem(404, "Esa alerta no existe.") from None
    login, action = session.user.login, audit.Action.ALERT_AMENDED
    await audit.record(console.pool, console.now(), login, action, str(alert_id), what)
    return found
