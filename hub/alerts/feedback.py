"""What goes back to the device whose event raised an alert, in plain words. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from hub.alerts.lifecycle import Move, Reason, Step
from hub.alerts.model import Alert

SANTIAGO = ZoneInfo("America/Santiago")

ANSWERED_KINDS = frozenset({"panic", "man_down"})
"""Kinds that a person raised on purpose. A silent button stays silent: whoever it is about may see it."""

_CLOSED_TEXTS: Mapping[Reason, str] = {
    Reason.ATTENDED: "Cerrado: atendido.",
    Reason.REFERRED: "Cerrado: derivado a otra institución.",
    Reason.NOTHING_FOUND: "Cerrado: sin novedad.",
    Reason.MISTAKEN: "Cerrado: activado por error.",
    Reason.TECHNICAL: "Cerrado: falla del equipo.",
    Reason.TEST: "Cerrado: fue una prueba.",
    Reason.DRILL: "Cerrado: fue un simulacro.",
    Reason.DUPLICATE: "Cerrado: ya estaba informado.",
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """``feedback`` is one of the edge's words for its LED; ``text`` is for a display."""

    feedback: str
    text: str


def feedback_for(alert: Alert, step: Step) -> Feedback | None:
    """What the person who pressed may know after ``step``; None when nothing is to be shown."""
    if alert.kind not in ANSWERED_KINDS:
        return None
    if step.move is Move.DISPATCH:
        return Feedback("on_its_way", outcome_words(alert, step.move, None))
    if step.move is Move.CLOSE and step.reason is not None:
        return Feedback("closed", outcome_words(alert, step.move, step.reason))
    return None


def coming_feedback(alert: Alert, who: str) -> Feedback | None:
    """What is shown when somebody answered that they go; ``who`` is Spanish: ``Un vecino va``."""
    if alert.kind not in ANSWERED_KINDS or alert.is_restricted:
        return None
    received = alert.opened_at.astimezone(SANTIAGO)
    return Feedback("on_its_way", f"Recibido {received:%H:%M}. {who} en camino.")


def outcome_words(alert: Alert, move: Move, reason: Reason | None) -> str:
    """How an alert went on, in plain words for whoever asked for help; empty where there is no news."""
    if move is Move.DISPATCH:
        received = alert.opened_at.astimezone(SANTIAGO)
        return f"Recibido {received:%H:%M}. Patrulla en camino."
    if move is Move.CLOSE and reason is not None:
        return _CLOSED_TEXTS[reason]
    return ""
