"""The hand-over of a shift as a page: which shift, what is on the sheet, who may sign it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hub.alerts import service as alerts
from hub.alerts.model import RESTRICTED_KINDS
from hub.devices.words import DEVICE_KINDS
from hub.web import audit, quiet, texts
from hub.web.cards import Card, card_of, move_words
from hub.web.context import Console
from hub.web.problem import Problem
from hub.web.quiet import SilenceView
from hub.web.sessions import Session

FIRST_SHIFT = timedelta(hours=12)
MAX_SHIFT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """``given_by`` is the signature that waits for somebody to take the shift; None before it."""

    since: datetime
    given_by: alerts.Signature | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeView:
    alert_id: str
    code: str
    priority: int
    kind_label: str
    place: str
    state: str
    did: list[str]
    authors: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceView:
    name: str
    kind_label: str
    place: str
    gateway: str
    last_seen_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """What a person sees, and signs: ``digest`` is of the data behind it."""

    shift: Shift
    at: datetime
    digest: str
    open: list[Card]
    open_count: int
    changes: list[ChangeView]
    change_count: int
    silences: list[SilenceView]
    devices: list[DeviceView]
    device_count: int
    pending: Sequence[alerts.Pending]
    overdue: list[Card]


def current(signatures: Sequence[alerts.Signature], now: datetime) -> Shift:
    """The shift that runs, or the one that was given away and nobody has taken. ``signatures``: newest first.

    Without any signature: the last twelve hours, from a full hour on.
    """
    given = next((s for s in signatures if s.role == "off"), None)
    if given is None:
        return Shift(since=(now - FIRST_SHIFT).replace(minute=0, second=0, microsecond=0))
    if any(s.role == "on" and s.since == given.since and s.at >= given.at for s in signatures):
        return Shift(since=given.at)
    return Shift(since=given.since, given_by=given)


def chosen(console: Console, since: str, signatures: Sequence[alerts.Signature]) -> Shift:
    """The shift that the address names, else the current one. Raises :class:`Problem` 422."""
    now = console.now()
    if not since:
        return current(signatures, now)
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        at = now
    if at.tzinfo is None or not now - MAX_SHIFT <= at < now:
        raise Problem(422, "El turno empieza a lo más hace siete días.", {"desde": "no vale"})
    return Shift(since=at)


async def load(console: Console, session: Session, shift: Shift) -> Sheet:
    """Everything the next shift has to know, as this person may see it; that it was shown is remembered."""
    now = console.now()
    found = await alerts.handover(console.pool, shift.since, now, session.user.role)
    digest = found.digest()
    console.sheets.is_new(session.session_id, _shown(shift.since, digest), now)
    return Sheet(
        shift=shift,
        at=now,
        digest=digest,
        open=[card_of(alert) for alert in found.open],
        open_count=found.open_count,
        changes=[_change(change) for change in found.changes],
        change_count=found.change_count,
        silences=await quiet.list_views(console, list(found.silences_ending)),
        devices=[_device(device) for device in found.devices_out],
        device_count=found.devices_out_count,
        pending=found.pending,
        overdue=[card_of(alert) for alert in found.overdue],
    )


def _shown(since: datetime, digest: str) -> str:
    return f"{since.isoformat()} {digest}"


def _change(change: alerts.Change) -> ChangeView:
    is_hidden = change.kind in RESTRICTED_KINDS or change.is_reserved
    did = ["Alerta recibida"] if change.was_opened else []
    return ChangeView(
        alert_id=str(change.alert_id),
        code=change.code,
        priority=change.priority,
        kind_label=texts.RESTRICTED_LABEL if is_hidden else texts.named(texts.KINDS, change.kind),
        place="Lugar reservado" if is_hidden else change.place,
        state=change.state,
        did=[*did, *move_words(change.moves)],
        authors=", ".join(change.authors),
    )


def _device(device: alerts.DeviceOut) -> DeviceView:
    return DeviceView(
        name=device.name or f"Dispositivo {device.device_id}",
        kind_label=texts.named(DEVICE_KINDS, device.kind),
        place=device.place,
        gateway=device.gateway,
        last_seen_at=device.last_seen_at,
    )


async def sign(
    console: Console,
    session: Session,
    side: Literal["off", "on"],
    since: datetime,
    digest: str,
    note: str,
) -> None:
    """Raises :class:`Problem`: 409 for a sheet that was not shown lately, 422 for who may not sign it."""
    now = console.now()
    if not console.sheets.is_recent(session.session_id, _shown(since, digest), now):
        raise Problem(409, "Esa hoja ya no es la que se muestra. Vuelva a Entrega, revise y firme de nuevo.")
    if side == "on" and not await _is_given(console, since):
        raise Problem(422, "Nadie ha entregado ese turno: primero firma quien sale.")
    try:
        await alerts.sign(
            console.pool,
            login=session.user.login,
            role=side,
            since=since,
            digest=digest,
            now=now,
            note=note,
        )
    except alerts.HandoverError as error:
        raise Problem(422, str(error)) from None
    await audit.record(
        console.pool, now, session.user.login, audit.Action.HANDOVER_SIGNED, since.isoformat(), side
    )


async def _is_given(console: Console, since: datetime) -> bool:
    signed = await alerts.signatures(console.pool, limit=100)
    return any(s.role == "off" and s.since == since for s in signed)
