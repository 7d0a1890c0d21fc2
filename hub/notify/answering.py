"""What is done about a text that was understood: one handler for each meaning, in one transaction."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from hub.alerts import service as alerts
from hub.alerts.feedback import coming_feedback
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import STATE_LABELS, Move, State, Step
from hub.alerts.model import Alert, Outcome
from hub.alerts.visibility import NEUTRAL_LABEL
from hub.database import Connection
from hub.notify import answer_text, following
from hub.notify.direct import LATER, SOON, URGENT, Text, queue_texts
from hub.notify.escalation import Policies
from hub.notify.policy import DUTY, NotifySettings
from hub.notify.replies import ANSWERS, Meaning, Sort, tells_of_violence_at_home
from hub.notify.senders import Sender, last_answered
from hub.notify.service import confirm, enqueue_for
from hub.notify.text import local_time

HELP_KIND = "sms_help"
STRANGER_KIND = "sms_stranger"
QUESTION_LIFE = timedelta(minutes=30)
MAX_NOTE_CHARS = 480

_DIGITS = {Sort.COMING: "1", Sort.NOTHING_FOUND: "2", Sort.HELP: "3"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One text in its transaction. ``concerns``: alerts that the sender was told of, the newest first."""

    connection: Connection
    settings: NotifySettings
    policies: Policies
    text_id: uuid.UUID
    body: str
    sent_at: datetime
    sender: Sender
    meaning: Meaning
    concerns: Sequence[Alert]
    now: datetime

    @property
    def open(self) -> list[Alert]:
        return [alert for alert in self.concerns if alert.is_open]

    @property
    def note(self) -> str:
        """What was written, for the timeline."""
        return f"«{self.body[:MAX_NOTE_CHARS]}»"

    def emergency(self, kind: str = "") -> str:
        return self.settings.emergency_number_for(kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What became of a text. ``state`` as in ``inbound_texts``; an empty ``answer`` is none."""

    state: str = "done"
    alert_id: uuid.UUID | None = None
    answer: str = ""
    priority: int = SOON
    opened: tuple[Outcome, ...] = field(default=())


Handler: TypeAlias = Callable[[Case], Awaitable[Done]]


async def act(case: Case) -> Done:
    """Do what the text asks for."""
    return await HANDLERS[case.meaning.sort](case)


# ------------------------------------------------------------------------------------ which alert


async def _target(case: Case, sort: Sort) -> Alert | Done:
    """The alert that was meant, or what is done where nobody can tell."""
    if case.meaning.code:
        meant = next((a for a in case.concerns if a.code == case.meaning.code), None)
        if meant is None or not meant.is_open:
            code = case.meaning.code
            return Done(state="unclear", answer=answer_text.unknown_code(code, case.now, case.emergency()))
        return meant
    if len(case.open) == 1:
        return case.open[0]
    if not case.open:
        return Done(state="unclear", answer=answer_text.no_alert(case.now, case.emergency()))
    if sort is Sort.FREE:
        last = await last_answered(case.connection, case.sender)
        known = next((a for a in case.open if a.alert_id == last), None)
        if known is not None:
            return known
    return await _ask_back(case, sort)


async def _ask_back(case: Case, sort: Sort) -> Done:
    """Once; after that people of the room read it at each of the alerts."""
    if await _is_asked(case):
        for alert in case.open:
            await _line(case, alert, f"{case.note} (sin código: puede ser otra alerta)")
        return Done(state="unclear", answer=answer_text.received(case.now, "La central leera su respuesta."))
    if case.sender.contact_id is not None:
        await case.connection.execute(
            "insert into open_questions (contact_id, answer, body, asked_at) values ($1, $2, $3, $4)"
            " on conflict (contact_id) do update"
            " set answer = excluded.answer, body = excluded.body, asked_at = excluded.asked_at",
            case.sender.contact_id,
            sort.value,
            case.body,
            case.now,
        )
    listed = [(alert.code, alert.kind) for alert in case.open]
    return Done(answer=answer_text.question(listed, _DIGITS.get(sort, "")), priority=URGENT)


async def _is_asked(case: Case) -> bool:
    return bool(
        await case.connection.fetchval(
            "select true from open_questions where contact_id = $1 and asked_at > $2",
            case.sender.contact_id,
            case.now - QUESTION_LIFE,
        )
    )


async def _asked(case: Case) -> tuple[Sort, str] | None:
    """The answer that waits for its code, taken away."""
    row = await case.connection.fetchrow(
        "delete from open_questions where contact_id = $1 returning answer, body, asked_at",
        case.sender.contact_id,
    )
    if row is None or row["asked_at"] <= case.now - QUESTION_LIFE:
        return None
    return Sort(row["answer"]), row["body"]


async def _line(case: Case, alert: Alert, note: str) -> None:
    await alerts.add_line(
        case.connection, alert, "answered", author=case.sender.author, note=note, now=case.now
    )


# ----------------------------------------------------------------------------------------- answers


async def _answer(case: Case) -> Done:
    target = await _target(case, case.meaning.sort)
    if isinstance(target, Alert):
        return await _take_answer(case, target.alert_id, case.meaning.sort)
    if case.meaning.sort is Sort.HELP and not case.open:
        # "3" from somebody whom no alert concerns: it is better to ask once too often
        return await _call_help(case)
    return target


async def _take_answer(case: Case, alert_id: uuid.UUID, sort: Sort) -> Done:
    """Confirmation, timeline, light, news and answer; the alert's row is locked first, as a move does."""
    alert = await alerts.locked_alert(case.connection, alert_id)
    await confirm(case.connection, alert_id, case.sender.person, sort.value, case.now)
    await case.connection.execute("delete from open_questions where contact_id = $1", case.sender.contact_id)
    opened = await _EFFECTS[sort](case, alert)
    tally = await following.tally(case.connection, alert_id)
    text = answer_text.answered(
        sort, alert.code, tally, case.now, case.emergency(alert.kind), is_drill=alert.is_drill
    )
    return Done(alert_id=alert_id, answer=text, opened=tuple(opened), priority=_priority(alert))


def _priority(alert: Alert) -> int:
    return LATER if alert.is_drill else SOON


async def _comes(case: Case, alert: Alert) -> Sequence[Outcome]:
    if alert.state is State.RECEIVED:
        step = Step(
            move=Move.ACKNOWLEDGE, author=case.sender.author, at=case.now, note=f"por SMS: {case.note}"
        )
        alert = await alerts.move_within(case.connection, alert.alert_id, step)
    else:
        await _line(case, alert, case.note)
    if not alert.is_drill:
        who = "Van" if case.sender.is_duty else "Un vecino va"
        await alerts.send_feedback(case.connection, alert, coming_feedback(alert, who), case.now)
        await following.follow(case.connection, alert.alert_id, case.sender.contact_id)
        await following.news_is_due(case.connection, alert, case.now)
    return ()


async def _stays(case: Case, alert: Alert) -> Sequence[Outcome]:
    """Nothing found, or not coming: an answer, and no reason to call the alert taken."""
    await _line(case, alert, case.note)
    return ()


async def _needs_help(case: Case, alert: Alert) -> Sequence[Outcome]:
    """The duty phone hears of it at once; what was less urgent becomes a matter of life."""
    await _line(case, alert, f"PIDE AYUDA: {case.note}")
    if alert.is_drill:
        return ()
    name = case.sender.name or DUTY
    words = f"{alert.code}: {name} PIDE AYUDA, {local_time(case.now, case.now)}. Revise la consola."
    if alert.is_restricted:
        words = f"AVISO {alert.code}, {local_time(case.now, case.now)}. Revise la consola."
    text = Text(text=words, purpose="alert", priority=URGENT, recipient=DUTY, alert_id=alert.alert_id)
    await queue_texts(case.connection, [text], case.now)
    return await _make_urgent(case, alert) if alert.priority > 1 else ()


async def _make_urgent(case: Case, alert: Alert) -> Sequence[Outcome]:
    group = await case.connection.fetchval(
        "select watch_group from escalations where alert_id = $1", alert.alert_id
    )
    finding = Finding(
        rule="sms",
        kind=alert.kind,
        priority=1,
        dedup_key=alert.dedup_key,
        summary=f"{case.sender.author} pide ayuda",
        happened_at=alert.happened_at,
        place=alert.place,
        sector=alert.sector,
        watch_group="" if alert.is_restricted else group or "",
    )
    return await _open(case, finding)


_EFFECTS: Mapping[Sort, Callable[[Case, Alert], Awaitable[Sequence[Outcome]]]] = {
    Sort.COMING: _comes,
    Sort.NOTHING_FOUND: _stays,
    Sort.NOT_COMING: _stays,
    Sort.HELP: _needs_help,
}


async def _code_alone(case: Case) -> Done:
    """The code that was asked back, or a question how that alert goes."""
    target = await _target(case, Sort.FREE)
    if not isinstance(target, Alert):
        return target
    asked = await _asked(case)
    if asked is None:
        return await _status(case)
    sort, body = asked
    if sort in ANSWERS:
        return await _take_answer(case, target.alert_id, sort)
    await _line(case, target, f"«{body[:MAX_NOTE_CHARS]}»")
    return Done(
        alert_id=target.alert_id, answer=answer_text.threaded(target.code, case.now, is_drill=target.is_drill)
    )


async def _thread(case: Case) -> Done:
    """Free text belongs to the alert that it is about, in the words in which it came."""
    target = await _target(case, Sort.FREE)
    if not isinstance(target, Alert):
        return target
    await _line(case, target, case.note)
    return Done(
        alert_id=target.alert_id,
        answer=answer_text.threaded(target.code, case.now, is_drill=target.is_drill),
        priority=LATER,
    )


# -------------------------------------------------------------------------------- calls for help


async def _call_help(case: Case) -> Done:
    """A life alert at the person's place; a text alone opens it and starts no siren."""
    if tells_of_violence_at_home(case.body):
        return await _call_reserved(case)
    sender = case.sender
    finding = Finding(
        rule="sms",
        kind=HELP_KIND,
        priority=1,
        dedup_key=f"{HELP_KIND}:{sender.contact_id or DUTY}",
        summary=f"{sender.name or 'El teléfono de turno'} pide ayuda por SMS: {case.note}",
        happened_at=min(case.sent_at, case.now),
        time_quality="receipt",
        place=sender.place,
        sector=sender.sector,
        latitude=sender.latitude,
        longitude=sender.longitude,
        watch_group=sender.watch_group,
    )
    [outcome] = opened = await _open(case, finding)
    await following.follow(case.connection, outcome.alert_id, sender.contact_id, is_reporter=True)
    return Done(
        alert_id=outcome.alert_id,
        answer=answer_text.called_help(outcome.code, case.now, case.emergency(HELP_KIND)),
        priority=URGENT,
        opened=tuple(opened),
    )


async def _call_reserved(case: Case) -> Done:
    """Neutral words, no neighbours, no news and no outcome: only the room, and who states a reason, knows."""
    sender = case.sender
    finding = Finding(
        rule="sms",
        kind="vif",
        priority=1,
        dedup_key=f"vif:sms:{sender.contact_id or DUTY}",
        summary=NEUTRAL_LABEL,
        happened_at=min(case.sent_at, case.now),
        time_quality="receipt",
        place=sender.place,
        sector=sender.sector,
    )
    [outcome] = opened = await _open(case, finding)
    alert = await alerts.locked_alert(case.connection, outcome.alert_id)
    # the author of a line is always shown, its note to those who state a reason
    note = f"{sender.author}: {case.note}"
    await alerts.add_line(case.connection, alert, "answered", author="hub:sms", note=note, now=case.now)
    return Done(
        alert_id=outcome.alert_id,
        answer=answer_text.quiet(case.now),
        priority=URGENT,
        opened=tuple(opened),
    )


async def _open(case: Case, finding: Finding) -> list[Outcome]:
    outcomes = await alerts.receive(case.connection, [finding], case.now)
    await enqueue_for(case.connection, outcomes, case.now, case.settings, case.policies)
    return outcomes


async def stranger(case: Case) -> Done:
    """A number that is on no list: people of the room read it; who seems to need help is shown at once."""
    opened: list[Outcome] = []
    if case.meaning.sort in (Sort.CALL, Sort.HELP):
        finding = Finding(
            rule="sms",
            kind=STRANGER_KIND,
            priority=3,
            dedup_key=STRANGER_KIND,
            summary="Un número no inscrito pide ayuda por SMS: léalo en Grupos, Mensajes",
            happened_at=case.now,
            time_quality="receipt",
        )
        opened = await _open(case, finding)
    return Done(
        state="unknown",
        alert_id=opened[0].alert_id if opened else None,
        answer=answer_text.stranger(case.emergency()),
        priority=LATER,
        opened=tuple(opened),
    )


# ------------------------------------------------------------------------------------- the list


async def _consent(case: Case, scope: str, *, is_given: bool) -> None:
    await case.connection.execute(
        "insert into consents (contact_id, scope, is_given, how, proof, author, at)"
        " values ($1, $2, $3, 'sms', $4, 'sms', $5) on conflict do nothing",
        case.sender.contact_id,
        scope,
        is_given,
        str(case.text_id),
        case.now,
    )


async def _join(case: Case) -> Done:
    sender = case.sender
    if sender.contact_id is None or (not sender.is_active and sender.left_at is None):
        return Done(state="unclear", answer=answer_text.must_ask(case.now))
    await case.connection.execute(
        "update contacts set active = true, left_at = null where contact_id = $1", sender.contact_id
    )
    await _consent(case, "alerts", is_given=True)
    words = answer_text.joined(case.now, was_in=sender.is_active, emergency=case.emergency())
    return Done(answer=words, priority=LATER)


async def _leave(case: Case) -> Done:
    if case.sender.contact_id is None:
        return Done(state="unclear")
    await case.connection.execute(
        "update contacts set active = false, bulletins = false, left_at = coalesce(left_at, $2)"
        " where contact_id = $1 and active",
        case.sender.contact_id,
        case.now,
    )
    await _consent(case, "alerts", is_given=False)
    return Done(answer=answer_text.left(case.now), priority=LATER)


def _bulletins(is_on: bool) -> Handler:
    async def choose(case: Case) -> Done:
        if case.sender.contact_id is None:
            return Done(state="unclear")
        await case.connection.execute(
            "update contacts set bulletins = $2 where contact_id = $1", case.sender.contact_id, is_on
        )
        await _consent(case, "bulletins", is_given=is_on)
        return Done(answer=answer_text.bulletins(case.now, is_on=is_on), priority=LATER)

    return choose


async def _test(case: Case) -> Done:
    return Done(answer=answer_text.tested(case.now), priority=LATER)


async def _status(case: Case) -> Done:
    asked = [a for a in case.open if case.meaning.code in ("", a.code)]
    lines = [
        (a.code, a.kind, STATE_LABELS[a.state], await following.tally(case.connection, a.alert_id))
        for a in asked[: answer_text.MAX_LISTED]
    ]
    return Done(answer=answer_text.status(lines, case.now), priority=LATER)


HANDLERS: Mapping[Sort, Handler] = {
    **dict.fromkeys(ANSWERS, _answer),
    Sort.CODE: _code_alone,
    Sort.FREE: _thread,
    Sort.CALL: _call_help,
    Sort.JOIN: _join,
    Sort.LEAVE: _leave,
    Sort.JOIN_BULLETINS: _bulletins(is_on=True),
    Sort.LEAVE_BULLETINS: _bulletins(is_on=False),
    Sort.TEST: _test,
    Sort.STATUS: _status,
}
