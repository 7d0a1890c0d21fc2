"""The notify room's one door: queue what an alert sets off, and the loop that sends it."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from hub.alerts.model import Outcome
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool, persist
from hub.notify import queue
from hub.notify.escalating import Escalator, escalation_loop, first_steps
from hub.notify.escalation import NO_POLICIES, Policies
from hub.notify.policy import NotifySettings, drafts_for, next_attempt_at
from hub.notify.queue import Claim, Failed, Notification, Queued, Sent
from hub.notify.room import Watch, room_heartbeat, watch_of, watch_room
from hub.notify.transports import Outgoing, Transport, TransportError

__all__ = [
    "LEASE_S",
    "Claim",
    "Escalator",
    "Notification",
    "NotifySettings",
    "Policies",
    "Queued",
    "Senders",
    "Watch",
    "confirm",
    "drafts_for",
    "enqueue_for",
    "escalation_loop",
    "first_steps",
    "notify_loop",
    "room_heartbeat",
    "watch_of",
    "watch_room",
]

log = logging.getLogger(__name__)

LEASE_S = 15.0
"""A hub that died while sending leaves its texts to the others after this long."""
SEND_TIMEOUT_S = 8.0
"""Well below the lease: a transport that hangs does not make a second hub send too."""
SEND_MARGIN = timedelta(seconds=SEND_TIMEOUT_S)
BATCH = 50
SLICE_S = 0.25
"""After this long the rest of a batch is given back, so that priority 1 never waits behind the others."""
POLL_S = 1.0
"""Finds stalled texts and those whose next attempt is due; new ones wake the loop themselves."""

OnSent: TypeAlias = Callable[[Notification, datetime], None]


async def enqueue_for(
    connection: Connection,
    outcomes: Iterable[Outcome],
    now: datetime,
    settings: NotifySettings | None = None,
    policies: Policies = NO_POLICIES,
    claim: Claim | None = None,
) -> Queued:
    """Queue what people are to be told, in the caller's transaction.

    The alert's next step, which its policy says, is written in the same statement. With a ``claim`` of
    :meth:`Senders.claim`, what it took goes to :meth:`Senders.hand` after the commit.
    """
    news = [outcome for outcome in outcomes if outcome.is_news]
    drafts = drafts_for(news, settings or NotifySettings(), now)
    return await queue.enqueue(connection, drafts, now, first_steps(news, policies, now), claim)


async def confirm(
    connection: Pool | Connection, alert_id: uuid.UUID, person: str, answer: str, at: datetime
) -> None:
    """Remember what a person answered: ``coming``, ``nothing_found``, ``help`` or ``not_coming``.

    The newest answer counts. ``person`` is ``contact:<id>`` or ``user:<login>``. Enough people who come end
    the steps that wait for them (``until_confirmed``). A question that the alert's rule asked is looked at
    now.
    """
    await connection.execute(
        "with answered as ("
        "  insert into confirmations (alert_id, person, answer, at) values ($1, $2, $3, $4)"
        "  on conflict (alert_id, person) do update set answer = excluded.answer, at = excluded.at"
        "  where confirmations.at <= excluded.at)"
        " update alert_questions set due_at = least(due_at, $4) where alert_id = $1 and due_at is not null",
        alert_id,
        person,
        answer,
        at,
    )


class Senders:
    """Sends what is queued. Each transport works by itself: one that hangs or fails holds up no other.

    ``on_sent`` is called with each text as it was handed over. ``owner`` names this hub in its log.
    """

    def __init__(
        self,
        pool: Pool,
        transports: Mapping[str, Transport],
        clock: Clock,
        owner: str,
        *,
        on_sent: OnSent | None = None,
        settings: NotifySettings | None = None,
    ) -> None:
        self._clock = clock
        self._senders = {
            name: _Sender(pool, name, transport, clock, owner, settings or NotifySettings(), on_sent)
            for name, transport in transports.items()
        }

    def claim(self, transport: str = "sms") -> Claim | None:
        """What is queued now may be born claimed, and go out without another look at the queue.

        None where this hub has no such transport, or where it is busy: then the queue's order counts.
        """
        sender = self._senders.get(transport)
        if sender is None or not sender.is_idle:
            return None
        return Claim(transport, self._clock.now() + timedelta(seconds=LEASE_S))

    def hand(self, claimed: Sequence[Notification]) -> None:
        """Send these, which a claim of ours took; call it after their commit."""
        for notification in claimed:
            sender = self._senders[notification.transport]
            sender.handed.append(notification)
            sender.wake.set()

    def wake(self) -> None:
        for sender in self._senders.values():
            sender.wake.set()

    async def run_loop(self, wake: asyncio.Event) -> None:
        """For ever. Set ``wake`` after a commit that queued something."""
        async with asyncio.TaskGroup() as group:
            for sender in self._senders.values():
                group.create_task(sender.send_loop())
            group.create_task(self._wake_loop(wake))
            group.create_task(self._poll_loop())

    async def _wake_loop(self, wake: asyncio.Event) -> None:
        while True:
            await wake.wait()
            wake.clear()
            self.wake()

    async def _poll_loop(self) -> None:
        while True:
            await self._clock.sleep(POLL_S)
            self.wake()


async def notify_loop(
    pool: Pool,
    transports: Mapping[str, Transport],
    clock: Clock,
    wake: asyncio.Event,
    owner: str,
    *,
    on_sent: OnSent | None = None,
    settings: NotifySettings | None = None,
) -> None:
    """Send what is queued, for ever; see :class:`Senders`."""
    await Senders(pool, transports, clock, owner, on_sent=on_sent, settings=settings).run_loop(wake)


@dataclass
class _Sender:
    """One transport's worker."""

    pool: Pool
    name: str
    transport: Transport
    clock: Clock
    owner: str
    settings: NotifySettings
    on_sent: OnSent | None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    handed: list[Notification] = field(default_factory=list)
    is_idle: bool = False
    """Nothing is being sent and nothing was left in the queue at the last look."""

    async def send_loop(self) -> None:
        while True:
            self.wake.clear()
            try:
                while await self.send_due():
                    pass
            except UNAVAILABLE as error:
                log.warning("%s: texts wait, database away (%s)", self.name, type(error).__name__)
            else:
                self.is_idle = True
            await self.wake.wait()
            self.is_idle = False

    async def send_due(self) -> int:
        """Claim, send, mark: one round; returns how many were claimed."""
        now = self.clock.now()
        handed, self.handed = self.handed, []
        # Too late for our lease: by now they may be somebody else's.
        claimed: Sequence[Notification] = [n for n in handed if n.lease_until > now + SEND_MARGIN]
        claimed = claimed or await queue.claim(self.pool, self.name, BATCH, LEASE_S, now)
        if not claimed:
            return 0
        batch = _Batch()
        until = self.clock.now() + timedelta(seconds=SLICE_S)
        for index, notification in enumerate(claimed):
            if index and self.clock.now() >= until:
                batch.untried = claimed[index:]
                break
            await self._send(notification, batch)
        await self._finish(batch)
        return len(claimed)

    async def _send(self, notification: Notification, batch: "_Batch") -> None:
        at = self.clock.now()
        try:
            message = _outgoing(notification, self.settings, at)
            async with asyncio.timeout(SEND_TIMEOUT_S):
                references = await self.transport.send(message)
        except TransportError as error:
            batch.failed.append(self._failure(notification, str(error), error.permanent))
        except TimeoutError:
            cause = f"no answer within {SEND_TIMEOUT_S:.0f} s"
            batch.failed.append(self._failure(notification, cause, permanent=False))
        except Exception as error:  # noqa: BLE001  a defect in one transport must not silence the hub
            # the type alone: the message of an unknown error may hold the number
            batch.failed.append(self._failure(notification, type(error).__name__, permanent=False))
        else:
            sent_at = self.clock.now()
            batch.sent.append(Sent(notification, sent_at, references))
            if self.on_sent:
                self.on_sent(notification, sent_at)

    def _failure(self, notification: Notification, error: str, permanent: bool) -> Failed:
        at = self.clock.now()
        retry_at = None if permanent else next_attempt_at(notification.attempts, notification.created_at, at)
        log.warning(
            "%s: notification %s failed at attempt %d (%s); %s",
            self.name,
            notification.notification_id,
            notification.attempts,
            error,
            "given up" if retry_at is None else "again soon",
        )
        return Failed(notification, at, error, retry_at)

    async def _finish(self, batch: "_Batch") -> None:
        await self._persist(lambda: queue.mark_sent(self.pool, batch.sent))
        await self._persist(lambda: queue.mark_failed(self.pool, batch.failed))
        await self._persist(lambda: queue.hasten(self.pool, batch.failed, self.clock.now()))
        await self._persist(lambda: queue.release(self.pool, batch.untried))
        if batch.sent:
            log.info("%s: %d texts sent by hub %s", self.name, len(batch.sent), self.owner)

    async def _persist(self, act: Callable[[], Awaitable[None]]) -> None:
        await persist(act, self.clock.sleep, f"{self.name} texts")


@dataclass
class _Batch:
    """What became of one round."""

    sent: list[Sent] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    untried: Sequence[Notification] = ()


def _outgoing(notification: Notification, settings: NotifySettings, at: datetime) -> Outgoing:
    is_duty = notification.contact_id is None and notification.phone is None
    if not is_duty and notification.phone is None:
        raise TransportError("the contact is no longer active", permanent=True)
    return Outgoing(
        notification_id=notification.notification_id,
        at=at,
        to=settings.duty_phone if is_duty else notification.phone or "",
        recipient=notification.recipient,
        text=notification.text,
        priority=notification.priority,
        alert_id=notification.alert_id,
        code=notification.code,
    )
