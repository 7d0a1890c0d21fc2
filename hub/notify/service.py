"""The notify room's one door: queue what an alert sets off, and the loop that sends it."""

import asyncio
import contextlib
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
from hub.notify.queue import Failed, Notification, Sent
from hub.notify.room import room_heartbeat, watch_room
from hub.notify.router import Router, router_for
from hub.notify.transports import Outgoing, Transport, TransportError

__all__ = [
    "Escalator",
    "Notification",
    "NotifySettings",
    "Policies",
    "confirm",
    "enqueue_for",
    "escalation_loop",
    "notify_loop",
    "room_heartbeat",
    "watch_room",
]

log = logging.getLogger(__name__)

LEASE_S = 15.0
"""A hub that died while sending leaves its texts to the others after this long."""
SEND_TIMEOUT_S = 8.0
"""Well below the lease: a transport that hangs does not make a second hub send too."""
LEAVE_S = 2.0
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
) -> int:
    """Queue what people are to be told, in the caller's transaction; returns how many texts are new.

    The alert's next step, which its policy says, is written in the same statement.
    """
    news = [outcome for outcome in outcomes if outcome.is_news]
    drafts = drafts_for(news, settings or NotifySettings(), now)
    return await queue.enqueue(connection, drafts, now, first_steps(news, policies, now))


async def confirm(pool: Pool, alert_id: uuid.UUID, person: str, answer: str, at: datetime) -> None:
    """Remember what a person answered: ``coming``, ``nothing_found`` or ``help``; the newest answer counts.

    ``person`` is ``contact:<id>`` or ``user:<login>``. Enough people who come end the steps that wait for
    them (``until_confirmed``).
    """
    await pool.execute(
        "insert into confirmations (alert_id, person, answer, at) values ($1, $2, $3, $4)"
        " on conflict (alert_id, person) do update set answer = excluded.answer, at = excluded.at"
        " where confirmations.at <= excluded.at",
        alert_id,
        person,
        answer,
        at,
    )


async def notify_loop(
    pool: Pool,
    transports: Mapping[str, Transport],
    clock: Clock,
    wake: asyncio.Event,
    owner: str,
    *,
    on_sent: OnSent | None = None,
    settings: NotifySettings | None = None,
    router: Router | None = None,
) -> None:
    """Send what is queued, for ever. Set ``wake`` after a commit that queued something.

    Each transport works by itself: one that hangs or fails does not hold up the others. ``on_sent`` is
    called with each text as it was handed over. ``owner`` names this hub in its log. Without ``router``
    each transport takes what names it.
    """
    router = router or router_for(list(transports), clock)
    router.on_change = wake.set
    senders = [
        _Sender(pool, name, transport, clock, owner, settings or NotifySettings(), on_sent, router)
        for name, transport in transports.items()
    ]
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(sender.send_loop())
        group.create_task(_wake_loop(wake, senders))
        group.create_task(_poll_loop(clock, senders))


async def _wake_loop(wake: asyncio.Event, senders: Sequence["_Sender"]) -> None:
    while True:
        await wake.wait()
        wake.clear()
        for sender in senders:
            sender.wake.set()


async def _poll_loop(clock: Clock, senders: Sequence["_Sender"]) -> None:
    while True:
        await clock.sleep(POLL_S)
        for sender in senders:
            sender.wake.set()


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
    router: Router
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_loop(self) -> None:
        while True:
            self.wake.clear()
            try:
                while await self.send_due():
                    pass
            except UNAVAILABLE as error:
                log.warning("%s: texts wait, database away (%s)", self.name, type(error).__name__)
            await self.wake.wait()

    async def send_due(self) -> int:
        """Claim, send, mark: one round; returns how many were claimed."""
        share, terms = self.router.share(self.name), self.router.terms_of(self.name)
        if share is None:
            return 0
        limit, lease_s = 1 if share.is_cautious else terms.batch, LEASE_S - SEND_TIMEOUT_S + self._timeout_s
        claimed = await queue.claim(
            self.pool, self.name, limit, lease_s, self.clock.now(), share.wants, terms.parallel
        )
        if not claimed:
            return 0
        batch = _Batch(untried=claimed)
        try:
            await self._send_some(batch, terms.parallel)
        except asyncio.CancelledError:
            await self._leave(batch)
            raise
        await self._finish(batch)
        return len(claimed)

    async def _send_some(self, batch: "_Batch", parallel: int) -> None:
        """As many as the time allows; what stays untried is given back."""
        until = self.clock.now() + timedelta(seconds=SLICE_S)
        while batch.untried and not (batch.has_begun and self.clock.now() >= until):
            at_once, batch.untried = batch.untried[:parallel], batch.untried[parallel:]
            batch.has_begun = True
            if len(at_once) == 1:
                await self._send(at_once[0], batch)
            else:
                await asyncio.gather(*(self._send(notification, batch) for notification in at_once))

    async def _leave(self, batch: "_Batch") -> None:
        """A hub that stops in order costs nobody a hand-over; the database may be gone already."""
        with contextlib.suppress(*UNAVAILABLE):
            async with asyncio.timeout(LEAVE_S):
                await queue.mark_sent(self.pool, batch.sent)
                await queue.mark_failed(self.pool, batch.failed)
                await queue.release(self.pool, batch.untried)

    @property
    def _timeout_s(self) -> float:
        return self.router.terms_of(self.name).timeout_s or SEND_TIMEOUT_S

    async def _send(self, notification: Notification, batch: "_Batch") -> None:
        at = self.clock.now()
        try:
            references = await self._hand_over(_outgoing(notification, self.settings, at))
        except TransportError as error:
            batch.failed.append(self._failure(notification, error))
        else:
            sent_at = self.clock.now()
            batch.sent.append(Sent(notification, sent_at, references))
            self.router.sent(self.name, (sent_at - at).total_seconds())
            if self.on_sent:
                self.on_sent(notification, sent_at)

    async def _hand_over(self, message: Outgoing) -> tuple[str, ...]:
        """Whatever goes wrong becomes a :class:`TransportError`, of which the router hears too."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self.transport.send(message)
        except TransportError as error:
            wrong = error
        except TimeoutError:
            wrong = _unsure(f"sin respuesta en {self._timeout_s:.0f} s")
        except Exception as error:  # noqa: BLE001  a defect in one transport must not silence the hub
            # the type alone: the message of an unknown error may hold the number
            wrong = _unsure(type(error).__name__)
        self.router.failed(self.name, wrong)
        raise wrong

    def _failure(self, notification: Notification, error: TransportError) -> Failed:
        at = self.clock.now()
        retry_at = None
        if not error.permanent:
            # where somebody else can take it over, it has not to wait for this one to come back
            attempts = 1 if self.router.has_other(self.name) else notification.attempts
            retry_at = next_attempt_at(attempts, notification.created_at, at)
        log.warning(
            "%s: notification %s failed at attempt %d (%s); %s",
            self.name,
            notification.notification_id,
            notification.attempts,
            error,
            "given up" if retry_at is None else "again soon",
        )
        return Failed(notification, at, str(error), retry_at, error.maybe_sent)

    async def _finish(self, batch: "_Batch") -> None:
        unreached: set[uuid.UUID] = set()

        async def mark_failed() -> None:
            unreached.update(await queue.mark_failed(self.pool, batch.failed))

        await self._persist(lambda: queue.mark_sent(self.pool, batch.sent))
        await self._persist(mark_failed)
        await self._persist(lambda: queue.hasten(self.pool, unreached, self.clock.now()))
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
    has_begun: bool = False


def _unsure(cause: str) -> TransportError:
    return TransportError(cause, permanent=False, maybe_sent=True)


def _outgoing(notification: Notification, settings: NotifySettings, at: datetime) -> Outgoing:
    is_duty = notification.contact_id is None
    if not is_duty and notification.phone is None:
        raise TransportError("la persona ya no está activa", permanent=True)
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
