"""One opened modem at work: send, receive, watch. Blocking, in the driver's thread."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from hub.notify.transports.modem import replies
from hub.notify.transports.modem.bucket import Bucket
from hub.notify.transports.modem.dialogue import Notice
from hub.notify.transports.modem.errors import (
    Fault,
    LeftError,
    LineError,
    ModemError,
    RateLimitedError,
    UnusableError,
)
from hub.notify.transports.modem.inbox import Arrived, Inbox
from hub.notify.transports.modem.link import Link
from hub.notify.transports.modem.pdu import StatusReport
from hub.notify.transports.modem.references import ConcatReferences, KnownReferences
from hub.notify.transports.modem.replies import Registration
from hub.notify.transports.modem.sending import Parts, Sender
from hub.notify.transports.modem.settings import ModemSettings
from hub.notify.transports.modem.setup import Setup, check_sim
from hub.notify.transports.modem.state import ModemState
from hub.notify.transports.modem.storage import Storage
from hub.notify.transports.modem.timing import Timing

log = logging.getLogger(__name__)

BALANCE_RETRY_S = 600.0
"""After a query of the balance that nobody answered."""
NOTICES = 10
"""In one go; reading a message takes a modem up to a tenth of a second, and an alarm may be waiting."""
URGENT = 1
"""The priority that may use the SIM's reserve."""


class LostNetworkError(LineError):
    """No network for so long that the radio has to be restarted."""


class Job(Protocol):
    """A text that somebody waits for. Called in the driver's thread."""

    @property
    def parts(self) -> Parts: ...

    @property
    def priority(self) -> int: ...

    @property
    def is_abandoned(self) -> bool:
        """Nobody waits any more: leave it, if it has not begun."""
        ...

    def sent(self, references: tuple[str, ...]) -> None: ...

    def failed(self, error: ModemError) -> None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What a session needs of its driver."""

    next_job: Callable[[], Job | None]
    arrived: Callable[[Arrived], None]
    show: Callable[[ModemState], None]
    take_committed: Callable[[], None]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lasting:
    """What outlives a session."""

    inbox: Inbox
    bucket: Bucket
    concat: ConcatReferences
    known: KnownReferences


class Session:
    """One opened modem, from its set-up to the error that ends it."""

    def __init__(
        self,
        link: Link,
        setup: Setup,
        state: ModemState,
        settings: ModemSettings,
        timing: Timing,
        desk: Desk,
        lasting: Lasting,
    ) -> None:
        self._link = link
        self._settings = settings
        self._timing = timing
        self._desk = desk
        self._inbox, self._bucket, self._known = lasting.inbox, lasting.bucket, lasting.known
        lasting.inbox.start_session()
        self._storage = Storage(link, setup, lasting.inbox, timing)
        self._sender = Sender(link, settings, timing, lasting.concat, self._storage.make_room)
        self._unsettled: list[tuple[Job, float]] = []
        start = desk.monotonic()
        self._watch_at = self._sweep_at = start
        self._registered_at = start
        self._balance_at = start if settings.balance_code else float("inf")
        self.state = replace(
            state,
            is_ready=True,
            is_dead=False,
            problem=None,
            identity=setup.identity,
            service_centre=setup.service_centre,
        )

    def turn(self) -> None:
        """Do what is due, at most one text, and wait for the next thing.

        Raises :class:`LineError` when the link is over, :class:`UnusableError` when the SIM is.
        """
        self._heed_notices()
        self._hand_on()
        self._look_around()
        self._hand_on()
        self._desk.take_committed()
        is_tidy = self._storage.delete_some()
        job = self._desk.next_job()
        if job is not None:
            self._work(job)
        elif is_tidy and not self._link.notices:
            self._link.listen(self._idle_s())
        self._settle_overdue()

    def tidy_up(self) -> None:
        """Before an orderly end: what the hub has is not told again at the next start."""
        self._desk.take_committed()
        while not self._storage.delete_some():
            continue

    def end(self) -> None:
        """Tell those who still wait that nobody knows."""
        for job, _ in self._unsettled:
            job.failed(ModemError("el módem no confirmó el envío", Fault.MODEM, maybe_sent=True))
        self._unsettled.clear()

    # --------------------------------------------------------------------------------------- notices

    def _heed_notices(self) -> None:
        for _ in range(min(NOTICES, len(self._link.notices))):
            self._heed(self._link.notices.popleft())

    def _heed(self, notice: Notice) -> None:
        now = self._desk.now()
        if notice.name in ("+CMTI", "+CDSI"):
            if (place := replies.place(notice.text)) is not None:
                self._storage.read(place, now)
        elif notice.name in ("+CMT", "+CDS"):
            self._inbox.take_direct(notice.body, now)
        elif notice.name == "+CMGS":
            self._adopt_late(notice.text)
        elif notice.name == "+CUSD":
            self._take_balance(replies.ussd_text(notice.text))

    def _hand_on(self) -> None:
        for one in self._inbox.take_arrived():
            if one.report is not None:
                self._settle(one.report)
            self._desk.arrived(one)

    # --------------------------------------------------------------------------------------- sending

    def _work(self, job: Job) -> None:
        if job.is_abandoned:
            return
        try:
            self._check_network()
            self._pay(job)
            job.parts.begun_at = self._desk.now()
            self._sender.send(job.parts)
        except ModemError as error:
            self._remember(job)
            self._count(failed=1, sent=len(job.parts.references))
            job.failed(error)
        except Exception as error:
            # the link died, the SIM is gone, or this code is wrong: the session ends, the text is told
            has_left = isinstance(error, LeftError) or bool(job.parts.references)
            told = str(error) if isinstance(error, LineError | UnusableError) else type(error).__name__
            job.failed(ModemError(told, Fault.MODEM, maybe_sent=has_left))
            raise
        else:
            self._count(sent=len(job.parts.references))
            self._finish(job)

    def _check_network(self) -> None:
        """What was true at the last look may have changed."""
        if not self.state.registration.is_registered:
            self._watch()
        if (problem := self.state.registration.problem) is not None:
            raise ModemError(problem.cause, Fault.NETWORK)

    def _pay(self, job: Job) -> None:
        count, is_urgent = len(job.parts.segments), job.priority <= URGENT
        if wait_s := self._bucket.take(count, self._desk.monotonic(), is_urgent=is_urgent):
            raise RateLimitedError(wait_s)

    def _finish(self, job: Job) -> None:
        self._remember(job)
        if job.parts.is_known:
            job.sent(job.parts.names())
        else:
            # a delivery report may still tell; others are not kept waiting meanwhile
            self._unsettled.append((job, self._desk.monotonic() + self._timing.report_grace_s))

    def _remember(self, job: Job) -> None:
        for reference in job.parts.references:
            if reference is not None:
                self._known.add(reference, job.parts.to)

    def _settle(self, report: StatusReport) -> None:
        """A report of a reference that nobody knows tells that a text was sent after all."""
        if self._known.has(report.reference, report.recipient):
            return
        for job, deadline in self._unsettled:
            if job.parts.may_adopt(report):
                self._unsettled.remove((job, deadline))
                self._fill(job, report.reference)
                return

    def _adopt_late(self, text: str) -> None:
        """The modem answered after all; it sends one text at a time, so it is the oldest that waits."""
        reference = replies.reference((f"+CMGS: {text}",))
        if self._unsettled and reference is not None:
            job, _ = self._unsettled.pop(0)
            self._fill(job, reference)

    def _fill(self, job: Job, reference: int) -> None:
        job.parts.fill(reference)
        self._finish(job)

    def _settle_overdue(self) -> None:
        now = self._desk.monotonic()
        for job, deadline in [waiting for waiting in self._unsettled if waiting[1] <= now]:
            self._unsettled.remove((job, deadline))
            self._count(failed=1)
            job.failed(ModemError("el módem no confirmó el envío", Fault.MODEM, maybe_sent=True))

    # -------------------------------------------------------------------------------------- watching

    def _look_around(self) -> None:
        now = self._desk.monotonic()
        if now >= self._watch_at:
            self._watch()
        if now >= self._sweep_at:
            self._sweep_at = now + self._timing.sweep_s
            self._storage.sweep(self._desk.now())
            used, total = self._storage.filled or (None, None)
            self._show(memory_used=used, memory_total=total)
        if now >= self._balance_at and self.state.registration.is_registered:
            self._balance_at = now + BALANCE_RETRY_S
            self._link.ask(f'AT+CUSD=1,"{self._settings.balance_code}",15', timeout_s=self._timing.network_s)

    def _watch(self) -> None:
        now = self._desk.monotonic()
        self._watch_at = now + self._timing.watch_s
        seen = sample(self._link, self._timing)
        if seen.registration.is_registered:
            self._registered_at = now
        else:
            self._watch_at = now + self._timing.search_s
        self._show(registration=seen.registration, operator=seen.operator, signal_dbm=seen.signal_dbm)
        if not seen.registration.is_registered:
            check_sim(self._link)
        if now - self._registered_at >= self._timing.unregistered_s:
            raise LostNetworkError("el módem no encuentra red; se reinicia su radio")

    def _idle_s(self) -> float:
        due = [self._watch_at, self._sweep_at, *[deadline for _, deadline in self._unsettled]]
        if self.state.registration.is_registered:
            due.append(self._balance_at)
        return max(0.0, min(due) - self._desk.monotonic())

    def _take_balance(self, text: str) -> None:
        if text:
            self._balance_at = self._desk.monotonic() + self._timing.balance_s
            self._show(balance=text, credit=replies.amount(text), balance_at=self._desk.now())

    def _count(self, *, sent: int = 0, failed: int = 0) -> None:
        state = self.state
        self._show(sent_parts=state.sent_parts + sent, failed_texts=state.failed_texts + failed)

    def _show(self, **changes: object) -> None:
        state = replace(self.state, **changes)  # type: ignore[arg-type]  # names of fields, checked when run
        if state != self.state:
            self.state = state
            self._desk.show(state)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the radio."""

    registration: Registration
    operator: str
    signal_dbm: int | None


def sample(link: Link, timing: Timing) -> Sample:
    """Registration, operator and signal. Raises :class:`LineError` for a modem that does not answer."""
    registration = replies.registration(link.ask("AT+CREG?", expects="+CREG").lines)
    if not registration.is_registered:
        lte = replies.registration(link.ask("AT+CEREG?", expects="+CEREG").lines, "+CEREG")
        registration = lte if lte.is_registered else registration
    signal = replies.signal_dbm(link.ask("AT+CSQ", expects="+CSQ").lines)
    operator = ""
    if registration.is_registered:
        operator = replies.operator(link.ask("AT+COPS?", timeout_s=timing.network_s).lines)
    return Sample(registration, operator, signal)
