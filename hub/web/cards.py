"""Alerts as people see them. Pure: a restricted alert loses its place here, before any template."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from hub.alerts.lifecycle import (
    MOVE_LABELS,
    NEEDS,
    REASON_LABELS,
    STATE_LABELS,
    Move,
    Reason,
    State,
    allowed,
)
from hub.alerts.model import Alert, LogEntry
from hub.web import texts
from hub.web.permissions import Permission
from hub.web.users import User


@dataclass(frozen=True, slots=True)
class Card:
    """One alert in a list. No coordinates and no more than the sector where it is restricted."""

    alert_id: uuid.UUID
    code: str
    kind_label: str
    priority: int
    state: str
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

    @property
    def is_waiting_p1(self) -> bool:
        return self.priority == 1 and self.state == State.RECEIVED


def by_urgency(cards: Sequence[Card]) -> list[Card]:
    """As the room works them: by priority, and first those that nobody has taken."""
    return sorted(cards, key=lambda card: (card.priority, card.state != State.RECEIVED, card.opened_at))


def kind_label(alert: Alert) -> str:
    return texts.RESTRICTED_LABEL if alert.is_restricted else texts.named(texts.KINDS, alert.kind)


def card_of(alert: Alert, *, is_revealed: bool = False) -> Card:
    is_hidden = alert.is_restricted and not is_revealed
    coarse = f"Sector {alert.sector}" if alert.sector else "Lugar reservado"
    return Card(
        alert_id=alert.alert_id,
        code=alert.code,
        kind_label=kind_label(alert),
        priority=alert.priority,
        state=alert.state,
        state_label=STATE_LABELS[alert.state],
        reason_label=REASON_LABELS[alert.reason] if alert.reason else "",
        place=coarse if is_hidden else alert.place,
        latitude=None if is_hidden else alert.latitude,
        longitude=None if is_hidden else alert.longitude,
        opened_at=alert.opened_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        closed_at=alert.closed_at,
        event_count=alert.event_count,
        assigned_to=alert.assigned_to,
        is_drill=alert.is_drill,
        version=alert.version,
    )


# ---------------------------------------------------------------------------------------- buttons

MOVE_PERMISSIONS: dict[Move, Permission] = {
    **dict.fromkeys(Move, Permission.WORK_ALERTS),
    Move.REOPEN: Permission.REOPEN_ALERTS,
}

# The next step that the work calls for, where it is not simply the first legal one.
_PREFERRED: dict[State, Move] = {State.CONTROLLED: Move.CLOSE, State.REFERRED: Move.CLOSE}

_KEYS: dict[Move, str] = {
    Move.ACKNOWLEDGE: "A",
    Move.VERIFY: "V",
    Move.DISPATCH: "D",
    Move.CLOSE: "C",
    Move.COMMENT: "N",
    Move.ASSIGN: "T",
    Move.MERGE: "M",
}

LINK_SORTS: list[tuple[str, str]] = [
    ("device", "Dispositivo"),
    ("place", "Lugar"),
    ("operation", "Operativo"),
    ("evidence", "Evidencia"),
]
"""What an alert is joined to; the other room's own id is its reference."""

_LABELS: dict[Move, str] = {Move.ASSIGN: "Tomar a cargo", Move.COMMENT: "Novedad"}

_DONE: dict[Move, str] = {
    Move.ACKNOWLEDGE: "Recibo acusado",
    Move.VERIFY: "En verificación",
    Move.DISPATCH: "Despachada",
    Move.ARRIVE: "Llegada registrada",
    Move.CONTROL: "Controlada",
    Move.CLOSE: "Alerta cerrada",
    Move.REFER: "Alerta derivada",
    Move.MERGE: "Alerta fusionada",
    Move.REOPEN: "Alerta reabierta",
    Move.ASSIGN: "Queda a su cargo",
    Move.COMMENT: "Novedad guardada",
}

_SUBMITS: dict[Move, str] = {
    Move.CLOSE: "Cerrar alerta",
    Move.REFER: "Derivar alerta",
    Move.MERGE: "Fusionar con esa alerta",
    Move.COMMENT: "Guardar novedad",
}

_NOTE_LABELS: dict[Move, str] = {Move.COMMENT: "Novedad"}


@dataclass(frozen=True, slots=True)
class MoveButton:
    """``asks``: ``reason``, ``institution``, ``code`` or ``note`` where a form opens, else empty."""

    id: str
    label: str
    key: str
    done: str
    submit: str
    asks: str
    note_label: str
    note_required: bool
    is_urgent: bool
    depends_on_state: bool
    """Whether a change meanwhile is a reason to look again; news about an alert never is."""


_ASKS: dict[Move, str] = {
    Move.CLOSE: "reason",
    Move.REFER: "institution",
    Move.MERGE: "code",
    Move.COMMENT: "note",
}

REASONS: list[tuple[str, str]] = [(reason.value, REASON_LABELS[reason]) for reason in Reason]


def buttons_for(alert: Alert, user: User) -> list[MoveButton]:
    """The legal moves that this person may make, the next step first."""
    preferred = _PREFERRED.get(alert.state)
    moves = sorted(allowed(alert.state), key=lambda move: move is not preferred)
    return [
        MoveButton(
            id=move.value,
            label=_LABELS.get(move, MOVE_LABELS[move]),
            key=_KEYS.get(move, ""),
            done=_DONE[move],
            submit=_SUBMITS.get(move, MOVE_LABELS[move]),
            asks=_ASKS.get(move, ""),
            note_label=_NOTE_LABELS.get(move, "Nota (opcional)"),
            note_required=NEEDS.get(move) == "note",
            is_urgent=move is Move.ACKNOWLEDGE and alert.priority == 1,
            depends_on_state=move is not Move.COMMENT,
        )
        for move in moves
        if user.may(MOVE_PERMISSIONS[move]) and not (move is Move.ASSIGN and alert.assigned_to == user.login)
    ]


# ---------------------------------------------------------------------------------------- timeline

_TITLES: dict[str, str] = {
    "opened": "Alerta recibida",
    "joined": "Se sumó otro evento",
    "cleared": "Volvió a lo normal",
    "escalated": "Se avisó al siguiente",
    "covered": "Quedó bajo otra alerta",
    "uncovered": "Volvió a la lista",
    "priority": "Cambió la prioridad",
    "classified": "Se reclasificó",
    "linked": "Se vinculó",
    "unlinked": "Se desvinculó",
    "notified": "Aviso enviado",
    "notify_failed": "Aviso sin entregar",
    "raised": "Subió de prioridad",
    Move.ACKNOWLEDGE: "Acusó recibo",
    Move.VERIFY: "Comenzó a verificar",
    Move.DISPATCH: "Despachó",
    Move.ARRIVE: "Informó llegada al lugar",
    Move.CONTROL: "Informó situación controlada",
    Move.CLOSE: "Cerró la alerta",
    Move.REFER: "Derivó la alerta",
    Move.MERGE: "Fusionó la alerta",
    Move.REOPEN: "Reabrió la alerta",
    Move.ASSIGN: "Asignó la alerta",
    Move.COMMENT: "Novedad",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at: datetime
    author: str
    title: str
    note: str
    is_person: bool


def _cause_and_note(entry: LogEntry) -> str:
    """The log holds "cause: note"; a cause that is a word of the program becomes Spanish."""
    cause, separator, note = entry.note.partition(": ")
    if entry.move == Move.MERGE:
        return note
    if entry.move == Move.ASSIGN:
        return "" if cause == entry.author else f"A {entry.note}"
    if entry.move in ("linked", "unlinked"):
        return f"{dict(LINK_SORTS).get(cause, cause)}{separator}{note}"
    if entry.move == Move.CLOSE and cause in set(Reason):
        return f"{REASON_LABELS[Reason(cause)]}{separator}{note}"
    return entry.note


def entry_of(entry: LogEntry, *, is_hidden: bool = False) -> TimelineEntry:
    """One line of the log; notes of a restricted alert are read with a reason only."""
    is_person = not entry.author.startswith("hub:")
    is_own = entry.move == Move.ASSIGN and entry.note.partition(": ")[0] == entry.author
    return TimelineEntry(
        at=entry.at,
        author=entry.author if is_person else "Sistema",
        title="Tomó la alerta a cargo" if is_own else texts.named(_TITLES, entry.move),
        note="" if is_hidden else _cause_and_note(entry),
        is_person=is_person,
    )


def move_words(moves: Sequence[str]) -> list[str]:
    """What was done, each once and in its order, as people read it."""
    return [texts.named(_TITLES, move) for move in dict.fromkeys(moves)]


def timeline_of(entries: Sequence[LogEntry], *, is_hidden: bool = False) -> list[TimelineEntry]:
    """Newest first; events that joined one after the other are one line."""
    lines: list[TimelineEntry] = []
    for move, run in groupby(entries, key=lambda entry: entry.move):
        group = list(run)
        if move == "joined" and len(group) > 1:
            newest = entry_of(group[-1], is_hidden=is_hidden)
            lines.append(replace(newest, title=f"Se sumaron {len(group)} eventos"))
        else:
            lines.extend(entry_of(entry, is_hidden=is_hidden) for entry in group)
    return lines[::-1]
