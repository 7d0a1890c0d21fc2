"""Texts that come in: a row first, then what they ask for, in one transaction with its answer.

A number proves nothing about who wrote. A text may acknowledge an alert of which that number was told, call
for help, and be answered to that same number; it starts no siren and reads nothing out.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.contract import uuid7
from hub.alerts.model import Outcome
from hub.database import UNAVAILABLE, Connection, Pool
from hub.notify import answering
from hub.notify.answering import Case, Done
from hub.notify.direct import Text, queue_texts
from hub.notify.escalation import NO_POLICIES, Policies
from hub.notify.phones import sender_of
from hub.notify.policy import NotifySettings
from hub.notify.replies import Meaning, Sort, read
from hub.notify.senders import Sender, alerts_concerning, find_sender
from hub.notify.transports import Inbound

log = logging.getLogger(__name__)

MAX_BODY_CHARS = 2000
BURST, BURST_WINDOW = 20, timedelta(minutes=10)
"""Texts of one number that are acted on; calls for help always are."""
MAX_ANSWERS, ANSWER_WINDOW = 12, timedelta(hours=1)
"""Answers to one number: two machines that answer each other come to an end."""
STRANGER_WINDOW = timedelta(days=1)
MAX_STRANGERS = 60
"""Answers to unknown numbers in an hour, all together: credit is the municipality's."""
MAX_ATTEMPTS = 5
RETRY_S = 2.0
KEPT_DAYS = 400


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What handling needs; ``on_opened`` hears of each alert that a text opened, ``wake`` of queued texts."""

    pool: Pool
    settings: NotifySettings
    policies: Callable[[], Policies] = lambda: NO_POLICIES
    wake: Callable[[], None] = lambda: None
    on_opened: Callable[[str], None] = lambda _: None

    async def receive(self, transport: str, inbound: Inbound, now: datetime) -> bool:
        """Store a text; False for one that was stored before, as a modem's sweep brings it."""
        sender, _ = sender_of(inbound.sender)
        stored = await self.pool.fetchval(
            "insert into inbound_texts"
            " (text_id, transport, sender, body, sent_at, reference, received_at, due_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $7) on conflict do nothing returning true",
            uuid7(now),
            transport,
            sender,
            _clean(inbound.text),
            inbound.at,
            inbound.reference,
            now,
        )
        return bool(stored)

    async def handle_due(self, now: datetime) -> int:
        """Act on every stored text, each in its own transaction; returns how many were looked at."""
        count = 0
        while await self._handle_one(now):
            count += 1
        return count

    async def _handle_one(self, now: datetime) -> bool:
        text_id: uuid.UUID | None = None
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(_NEXT, now)
                if row is None:
                    return False
                text_id = row["text_id"]
                done = await self._handle(connection, row, now)
        except UNAVAILABLE:
            raise
        except Exception as error:
            # the type alone: the message of an unknown error may hold the number or the words
            log.error("text %s not handled: %s", text_id, type(error).__name__)  # noqa: TRY400
            log.debug("text %s", text_id, exc_info=error)
            await self._put_off(text_id, now)
            return True
        self._tell(done.opened)
        return True

    async def _handle(self, connection: Connection, row: Any, now: datetime) -> Done:
        number, is_mobile = sender_of(row["sender"])
        sender = await find_sender(connection, number, is_mobile, self.settings.duty_phone)
        concerns = await alerts_concerning(connection, sender, now) if sender.is_known else []
        meaning = read(row["body"], [alert.code for alert in concerns])
        case = Case(
            connection=connection,
            settings=self.settings,
            policies=self.policies(),
            text_id=row["text_id"],
            body=row["body"],
            sent_at=row["sent_at"],
            sender=sender,
            meaning=meaning,
            concerns=concerns,
            now=now,
        )
        done = await self._decide(case)
        answered = await _answer(case, done)
        await _finish(case, done, is_answered=answered)
        return done

    async def _decide(self, case: Case) -> Done:
        if not _is_urgent(case.meaning) and await _is_flood(case):
            return Done(state="limited")
        if not case.sender.is_known:
            return await answering.stranger(case)
        return await answering.act(case)

    async def _put_off(self, text_id: uuid.UUID | None, now: datetime) -> None:
        await self.pool.execute(
            "update inbound_texts set attempts = attempts + 1, due_at = $2::timestamptz + $3,"
            " state = case when attempts + 1 >= $4 then 'failed' else state end where text_id = $1",
            text_id,
            now,
            timedelta(seconds=RETRY_S),
            MAX_ATTEMPTS,
        )

    def _tell(self, opened: tuple[Outcome, ...]) -> None:
        for outcome in opened:
            if outcome.opened:
                self.on_opened(outcome.kind)
        self.wake()


_NEXT = """
select text_id, sender, body, sent_at from inbound_texts
where state = 'new' and due_at <= $1 order by due_at, text_id limit 1
for update skip locked
"""


def _clean(text: str) -> str:
    """What a text column can hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_BODY_CHARS]


def _is_urgent(meaning: Meaning) -> bool:
    return meaning.sort in (Sort.CALL, Sort.HELP)


async def _is_flood(case: Case) -> bool:
    count = await case.connection.fetchval(
        "select count(*) from inbound_texts where sender = $1 and received_at > $2 and text_id <> $3",
        case.sender.number,
        case.now - BURST_WINDOW,
        case.text_id,
    )
    return bool(count >= BURST)


async def _answer(case: Case, done: Done) -> bool:
    """Queue the answer where there is one and one may go; to the number that wrote, whoever that is."""
    if not done.answer or not case.sender.is_mobile or not await _may_answer(case):
        return False
    text = Text(
        text=done.answer,
        purpose="answer",
        priority=done.priority,
        recipient=case.sender.name or "respuesta",
        contact_id=case.sender.contact_id,
        reply_to=case.sender.number,
    )
    return bool(await queue_texts(case.connection, [text], case.now))


async def _may_answer(case: Case) -> bool:
    sender, now = case.sender, case.now
    if sender.is_known:
        return await _answers_to(case.connection, sender, now - ANSWER_WINDOW) < MAX_ANSWERS
    if await _answers_to(case.connection, sender, now - STRANGER_WINDOW):
        return False
    count = await case.connection.fetchval(
        "select count(*) from inbound_texts where state = 'unknown' and answered and received_at > $1",
        now - ANSWER_WINDOW,
    )
    return bool(count < MAX_STRANGERS)


async def _answers_to(connection: Connection, sender: Sender, since: datetime) -> int:
    count: int = await connection.fetchval(
        "select count(*) from notifications where reply_to = $1 and purpose = 'answer' and created_at > $2",
        sender.number,
        since,
    )
    return count


async def _finish(case: Case, done: Done, *, is_answered: bool) -> None:
    await case.connection.execute(
        "update inbound_texts set state = $2, meaning = $3, contact_id = $4, alert_id = $5, answered = $6"
        " where text_id = $1",
        case.text_id,
        done.state,
        case.meaning.sort.value,
        case.sender.contact_id,
        done.alert_id,
        is_answered,
    )


async def forget_old(pool: Pool, now: datetime) -> None:
    """Words of people are not kept for ever, nor texts that belong to no alert."""
    since = now - timedelta(days=KEPT_DAYS)
    await pool.execute("delete from inbound_texts where received_at < $1 and state <> 'new'", since)
    await pool.execute(
        "delete from notifications where alert_id is null and created_at < $1 and state <> 'queued'", since
    )
