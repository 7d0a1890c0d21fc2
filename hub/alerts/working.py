"""People work an alert: every move under a row lock, checked by the table, written to the timeline."""

import logging
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg

from hub.alerts.children import close_children
from hub.alerts.feedback import feedback_for
from hub.alerts.lifecycle import FINAL, AlertError, IncompleteMoveError, Move, Reason, State, Step, apply
from hub.alerts.model import COLUMNS, Alert
from hub.alerts.opening import CHANNEL
from hub.alerts.stages import follow
from hub.database import Connection, Pool
from hub.devices.commands import queue_command

log = logging.getLogger(__name__)

FEEDBACK_LIFE_S = 15 * 60
"""A light that says "on its way" later than this says nothing true."""
MAX_NOTE_CHARS = 2000


class UnknownAlertError(AlertError):
    """There is no such alert."""


class ConflictError(AlertError):
    """Somebody changed the alert meanwhile, or another one stands in its way; ``current`` is how it is."""

    def __init__(self, message: str, current: Alert) -> None:
        super().__init__(message)
        self.current = current


async def move(
    pool: Pool,
    alert_id: uuid.UUID,
    move: Move,
    *,
    author: str,
    now: datetime,
    note: str = "",
    reason: Reason | None = None,
    expected_version: int | None = None,
    target: str | None = None,
) -> Alert:
    """Carry out one move and return the alert as it is then.

    ``target`` is the institution of REFER, the login of ASSIGN, the id of the alert that MERGE joins.
    Raises :class:`UnknownAlertError`, :class:`ConflictError` (also when ``expected_version`` is no longer
    true), :class:`hub.alerts.lifecycle.IllegalMoveError` or ``IncompleteMoveError``; then nothing changed.
    """
    step = Step(
        move=move, author=author, at=now, note=_clean(note), reason=reason, target=_clean(target or "")
    )
    other_id = _merge_target(step)
    async with pool.acquire() as connection, connection.transaction():
        locked = await _lock(connection, [alert_id] if other_id is None else [alert_id, other_id])
        alert = locked.get(alert_id)
        if alert is None:
            raise UnknownAlertError(f"no alert {alert_id}")
        if expected_version is not None and alert.version != expected_version:
            raise ConflictError(f"version is {alert.version}, not {expected_version}", alert)
        after = changed(alert, step)
        if other_id is not None:
            await _join(connection, alert, locked.get(other_id), step)
        stored = await _store(connection, alert, after, step)
        await follow(connection, alert_id, alert.state, after.state, now)
        if stored.state in FINAL and alert.state not in FINAL and stored.reason is not None:
            await close_children(connection, stored, stored.reason.value, author, now)
        await _send_feedback(connection, stored, step)
    log.info("alert %s: %s, now %s", alert_id, move.value, stored.state.value)
    return stored


def changed(alert: Alert, step: Step) -> Alert:
    """The alert after ``step``. Pure; raises what :func:`hub.alerts.lifecycle.apply` raises."""
    state = apply(alert.state, step)
    after = replace(alert, state=state, version=alert.version + 1)
    if alert.acknowledged_at is None and state is not State.RECEIVED:
        after = replace(after, acknowledged_at=step.at, acknowledged_by=step.author)
    if state in FINAL and alert.state not in FINAL:
        after = replace(after, closed_at=step.at, reason=step.reason)
    if step.move is Move.MERGE:
        after = replace(after, reason=Reason.DUPLICATE, merged_into=uuid.UUID(step.target))
    if step.move is Move.REOPEN:
        after = replace(after, closed_at=None, reason=None, merged_into=None)
    if step.move is Move.ASSIGN:
        after = replace(after, assigned_to=step.target)
    if state is not State.RECEIVED:
        # what somebody has taken is no longer covered by another alert
        after = replace(after, parent_id=None)
    return after


def _clean(text: str) -> str:
    """What a text column can hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode().strip()[:MAX_NOTE_CHARS]


def _merge_target(step: Step) -> uuid.UUID | None:
    if step.move is not Move.MERGE or not step.target:
        return None
    try:
        return uuid.UUID(step.target)
    except ValueError:
        raise IncompleteMoveError(step.move, "target") from None


async def _lock(connection: Connection, ids: list[uuid.UUID]) -> dict[uuid.UUID, Alert]:
    # in one order, so that two people who merge two alerts crosswise wait instead of locking each other out
    rows = await connection.fetch(
        f"select {COLUMNS} from alerts where alert_id = any($1) order by alert_id for update",  # noqa: S608
        ids,
    )
    return {row["alert_id"]: Alert.from_row(row) for row in rows}


async def _join(connection: Connection, alert: Alert, other: Alert | None, step: Step) -> None:
    """What ``alert`` brings to the alert that it is merged into."""
    if other is None:
        raise UnknownAlertError(f"no alert {step.target}")
    if other.alert_id == alert.alert_id or not other.is_open:
        raise ConflictError("an alert is merged into another one that is open", alert)
    await connection.execute(
        "update alerts set priority = least(priority, $2), event_count = event_count + $3,"
        " last_event_at = greatest(last_event_at, $4), version = version + 1 where alert_id = $1",
        other.alert_id,
        alert.priority,
        alert.event_count,
        alert.last_event_at,
    )
    # Whoever may read the other one need not be of this one's case.
    note = f"se fusionó {alert.code}" + ("" if alert.is_restricted else f": {alert.summary}")
    await _log(connection, other.alert_id, replace(step, note=note), "joined", other.state, other.state)


# A code that was given away meanwhile is not taken back: the newer alert's texts already carry it.
_STORE = f"""
update alerts set state = $2, version = $3, acknowledged_at = $4, acknowledged_by = $5, closed_at = $6,
  reason = $7, merged_into = $8, assigned_to = $9, parent_id = $11,
  code = case when $10 and exists (select from alerts o where o.code = alerts.code and o.closed_at is null)
              then next_alert_code() else code end
where alert_id = $1
returning {COLUMNS}
"""  # noqa: S608  a constant of ours


async def _store(connection: Connection, before: Alert, after: Alert, step: Step) -> Alert:
    try:
        rows = await connection.fetch(
            _STORE,
            after.alert_id,
            after.state.value,
            after.version,
            after.acknowledged_at,
            after.acknowledged_by,
            after.closed_at,
            None if after.reason is None else after.reason.value,
            after.merged_into,
            after.assigned_to,
            step.move is Move.REOPEN,
            after.parent_id,
        )
    except asyncpg.UniqueViolationError as error:
        raise ConflictError("the same thing has another open alert by now", before) from error
    await _log(connection, after.alert_id, step, step.move.value, before.state, after.state)
    return Alert.from_row(rows[0])


async def _log(
    connection: Connection, alert_id: uuid.UUID, step: Step, word: str, before: State, after: State
) -> None:
    cause = step.reason.value if step.reason else step.target if word == step.move.value else ""
    await connection.fetchval(
        "with logged as (insert into alert_log (alert_id, at, author, move, from_state, to_state, note)"
        " values ($1, $2, $3, $4, $5, $6, $7)) select pg_notify($8, $1::uuid::text)",
        alert_id,
        step.at,
        step.author,
        word,
        before.value,
        after.value,
        ": ".join(part for part in (cause, step.note) if part),
        CHANNEL,
    )


async def _send_feedback(connection: Connection, alert: Alert, step: Step) -> None:
    feedback = feedback_for(alert, step)
    if feedback is None or alert.device_id is None:
        return
    rows = await connection.fetch(_RAISED_BY, alert.alert_id, alert.device_id)
    if not rows:
        return  # raised by the hub itself, or the event is past its retention: nobody waits at a button
    event = rows[0]
    await queue_command(
        connection,
        event["gateway"],
        "show_feedback",
        {
            "event_id": event["event_id"],
            "source": event["source"],
            "feedback": feedback.feedback,
            "text": feedback.text,
        },
        step.at + timedelta(seconds=FEEDBACK_LIFE_S),
        step.at,
    )


# The newest event of the alert: who presses twice looks at the light after the second press.
_RAISED_BY = """
select coalesce(e.event_id, e.id::text) as event_id, d.source, d.gateway
from alert_log l
join events e on e.id = l.source_event and e.device_id = $2
join devices d on d.device_id = $2
where l.alert_id = $1 and l.source_event is not null
order by l.log_id desc limit 1
"""
