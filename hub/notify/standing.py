"""Where an alert stands with each person, from the texts, answers and calls on record. Pure."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


class Standing(enum.StrEnum):
    """From nothing yet to an answer; UNREACHABLE: a person has to go or call."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    ANSWERED = "answered"
    CALLED = "called"
    UNREACHABLE = "unreachable"


STANDING_LABELS: Mapping[Standing, str] = {
    Standing.QUEUED: "En cola",
    Standing.ACCEPTED: "Aceptado por la red",
    Standing.DELIVERED: "Entregado al teléfono",
    Standing.ANSWERED: "Respondió",
    Standing.CALLED: "Contestó la llamada",
    Standing.UNREACHABLE: "Sin contacto",
}

ANSWER_LABELS: Mapping[str, str] = {
    "coming": "voy",
    "nothing_found": "sin novedad",
    "help": "pide ayuda",
    "not_coming": "no puede ir",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One text for one person. ``is_delivered`` None: the phone network has not said."""

    contact_id: int | None
    recipient: str
    transport: str
    state: str
    attempts: int
    error: str
    is_delivered: bool | None
    reported_at: datetime | None
    sent_at: datetime | None
    created_at: datetime
    priority: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer: what and when."""

    at: datetime
    answer: str


@dataclass(frozen=True, slots=True)
class Call:
    contact_id: int | None
    recipient: str
    at: datetime
    is_answered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A person's line. ``cause`` is Spanish: what was answered, or why nothing arrived."""

    contact_id: int | None
    recipient: str
    standing: Standing
    at: datetime
    cause: str
    transport: str
    attempts: int
    texts: int

    @property
    def is_waiting(self) -> bool:
        return self.standing is Standing.QUEUED


def lines_of(texts: Sequence[Text], answers: Mapping[int, Entry], calls: Sequence[Call]) -> list[Line]:
    """A line for each person, in the order of their first texts; ``answers`` by contact.

    Who got no text (asleep to what is not priority 1) and was called comes last.
    """
    people: dict[int | None, list[Text]] = {}
    for text in texts:
        people.setdefault(text.contact_id, []).append(text)
    last_calls = {call.contact_id: call for call in sorted(calls, key=lambda call: call.at)}
    told = [
        _line(theirs, None if contact is None else answers.get(contact), last_calls.get(contact))
        for contact, theirs in people.items()
    ]
    return told + [
        _only_called(call, answers) for contact, call in last_calls.items() if contact not in people
    ]


def _only_called(call: Call, answers: Mapping[int, Entry]) -> Line:
    answer = None if call.contact_id is None else answers.get(call.contact_id)
    standing, at, cause = _standing((), answer, call)
    return Line(
        contact_id=call.contact_id,
        recipient=call.recipient,
        standing=standing,
        at=at,
        cause=cause,
        transport="",
        attempts=0,
        texts=0,
    )


def _line(texts: Sequence[Text], answer: Entry | None, call: Call | None) -> Line:
    standing, at, cause = _standing(texts, answer, call)
    last = max(texts, key=lambda text: text.sent_at or text.created_at)
    return Line(
        contact_id=last.contact_id,
        recipient=last.recipient,
        standing=standing,
        at=at,
        cause=cause,
        transport=last.transport,
        attempts=sum(text.attempts for text in texts),
        texts=len(texts),
    )


def _standing(
    texts: Sequence[Text], answer: Entry | None, call: Call | None
) -> tuple[Standing, datetime, str]:
    """The strongest word: the person's own, then the network's, then ours."""
    if answer is not None and not (call and call.is_answered and call.at > answer.at):
        return Standing.ANSWERED, answer.at, ANSWER_LABELS.get(answer.answer, answer.answer)
    if call is not None and call.is_answered:
        return Standing.CALLED, call.at, ""
    delivered = [t.reported_at for t in texts if t.is_delivered and t.reported_at]
    if call is not None and not any(at > call.at for at in delivered):
        return Standing.UNREACHABLE, call.at, "no contestó la llamada"
    if delivered:
        return Standing.DELIVERED, max(delivered), ""
    return _unanswered(texts)


def _unanswered(texts: Sequence[Text]) -> tuple[Standing, datetime, str]:
    accepted = _latest(t.sent_at for t in texts if t.state == "sent" and t.is_delivered is None)
    if accepted:
        return Standing.ACCEPTED, accepted, ""
    waiting = [t for t in texts if t.state == "queued"]
    if waiting:
        return Standing.QUEUED, waiting[-1].created_at, waiting[-1].error
    last = texts[-1]
    return Standing.UNREACHABLE, last.reported_at or last.sent_at or last.created_at, last.error


def _latest(instants: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in instants if at is not None), default=None)
