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
from hub.notify.queue import Claim, Failed, Notification, Queued, Sent
from hub.notify.room import Watch, room_heartbeat, watch_of, watch_room
from hub.notify.router import Router, router_for
from hub.notify.routing import Terms
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

    ``on_sent`` is called with each text as it was handed over. ``owner`` names this hub: no other process
    has that name, and what it claimed before it ended is its own to claim again. Without ``router`` each
    transport takes what names it.
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
        router: Router | None = None,
    ) -> None:
        self._pool, self._owner = pool, owner
        self._clock = clock
        self._router = router or router_for(list(transports), clock)
        self._router.on_change = self.wake
        self._senders = {
            name: _Sender(
                pool, name, transport, clock, owner, settings or NotifySettings(), on_sent, self._router
            )
            for name, transport in transports.items()
        }

    def claim(self, way: str = "sms") -> Claim | None:
        """What is queued now may be born claimed, and go out without another look at the queue.

        None where this hub has no transport for the most urgent texts of that way, or where it is busy, not
        well, or takes texts one by one: then the queue's order counts.
        """
        name = self._router.first_for(way)
        sender = self._senders.get(name or "")
        share = self._router.share(name) if sender is not None and sender.is_idle and name else None
        if sender is None or share is None or share.is_cautious or sender.takes_one:
            return None
        until = self._clock.now() + timedelta(seconds=sender.lease_s)
        return Claim(sender.name, until, share.wants, self._owner)

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
        await self._give_up_leases(self._owner)
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
            await self._give_up_leases("")
            self.wake()

    async def _give_up_leases(self, restarted: str) -> None:
        try:
            await queue.give_up_leases(self._pool, restarted, self._clock.now())
        except UNAVAILABLE as error:
            log.warning("leases of dead hubs run out: database away (%s)", type(error).__name__)


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
    """Send what is queued, for ever; see :class:`Senders`."""
    senders = Senders(pool, transports, clock, owner, on_sent=on_sent, settings=settings, router=router)
    await senders.run_loop(wake)


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
        terms = self.router.terms_of(self.name)
        claimed = await self._handed() or await self._claim(terms)
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

    async def _handed(self) -> Sequence[Notification]:
        """What a claim of ours took. Too late for our lease, it may be somebody else's by now."""
        latest = self.clock.now() + timedelta(seconds=self.timeout_s)
        handed, self.handed = self.handed, []
        late = [notification for notification in handed if notification.lease_until <= latest]
        await self._persist(lambda: queue.release(self.pool, late))
        return [notification for notification in handed if notification.lease_until > latest]

    async def _claim(self, terms: Terms) -> Sequence[Notification]:
        share = self.router.share(self.name)
        if share is None:
            return ()
        limit = 1 if share.is_cautious else terms.batch
        return await queue.claim(
            self.pool,
            self.name,
            limit,
            self.lease_s,
            self.clock.now(),
            share.wants,
            terms.parallel,
            self.owner,
        )

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
    def timeout_s(self) -> float:
        return self.router.terms_of(self.name).timeout_s or SEND_TIMEOUT_S

    @property
    def takes_one(self) -> bool:
        return self.router.terms_of(self.name).batch == 1

    @property
    def lease_s(self) -> float:
        return LEASE_S - SEND_TIMEOUT_S + self.timeout_s

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
            async with asyncio.timeout(self.timeout_s):
                return await self.transport.send(message)
        except TransportError as error:
            wrong = error
        except TimeoutError:
            wrong = _unsure(f"sin respuesta en {self.timeout_s:.0f} s")
        except Exception as error:  # noqa: BLE001  a defect in one transport must not silence the hub
            # the type alone: the message of an unknown error may hold the number
            wrong = _unsure(type(error).__name__)
        self.router.failed(self.name, wrong, message.priority)
        raise wrong

    def _failure(self, notification: Notification, error: TransportError) -> Failed:
        at = self.clock.now()
        retry_at = None
        if error.rest_s is not None:
            # the router says who takes it, and when: no attempt is wasted meanwhile
            retry_at = next_attempt_at(1, notification.created_at, at) and at
        elif not error.permanent:
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
    is_duty = notification.contact_id is None and notification.phone is None
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
