"""A transport of messages as people see it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.notify.watching import State

SHOWN_FOR = timedelta(days=1)
"""A transport that nobody has asked for so long was taken out of the settings."""
_STALE_AFTER = timedelta(seconds=60)

TRANSPORT_KINDS: dict[str, str] = {
    "file": "Archivo (solo pruebas)",
    "modem": "Módem GSM",
    "smpp": "SMPP",
    "http": "Pasarela HTTP",
    "smsd": "Gammu SMSD",
    "apprise": "Apprise",
}


@dataclass(frozen=True, slots=True)
class TransportView:
    name: str
    kind_label: str
    health: str
    health_label: str
    detail: str
    signal_dbm: int | None
    queue: int | None
    credit: str
    is_credit_low: bool
    per_minute: int | None
    since: datetime
    checked_at: datetime
    owner: str


def view_transport(state: State, now: datetime) -> TransportView:
    is_stale = now - state.checked_at > _STALE_AFTER
    label = "En servicio" if state.is_ok else "Sin servicio"
    if state.is_ok and state.is_open:
        label = "En pausa"
    is_low = state.credit is not None and state.credit_min is not None and state.credit < state.credit_min
    return TransportView(
        name=state.transport,
        kind_label=TRANSPORT_KINDS.get(state.kind, state.kind),
        health="never" if is_stale else "online" if state.is_ok and not state.is_open else "silent",
        health_label="Sin noticias de su hub" if is_stale else label,
        detail="los envíos fallan" if state.is_ok and state.is_open else state.detail,
        signal_dbm=state.signal_dbm,
        queue=state.queue,
        credit="" if state.credit is None else f"{state.credit:g}",
        is_credit_low=is_low,
        per_minute=round(60 / state.s_per_text) if state.s_per_text else None,
        since=state.since,
        checked_at=state.checked_at,
        owner=state.owner,
    )
