"""One modem in one thread: opens it, keeps it working, and opens it again, for ever.

The thread is the only one that touches the port, so a modem that hangs holds up nobody else. Others call
:meth:`Driver.submit`, :meth:`Driver.commit` and :meth:`Driver.stop`; what the driver has to tell goes through
callbacks, in its own thread.
"""

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from hub.clock import Clock
from hub.notify.transports.modem.assemble import Assembler
from hub.notify.transports.modem.bucket import full
from hub.notify.transports.modem.errors import (
    NO_ANSWER,
    PORT_LOST,
    Fault,
    LineError,
    ModemError,
    PortError,
    Problem,
    UnusableError,
)
from hub.notify.transports.modem.inbox import Arrived, Inbox
from hub.notify.transports.modem.link import Link
from hub.notify.transports.modem.references import ConcatReferences, KnownReferences
from hub.notify.transports.modem.remedy import Remedy, is_dead, remedy
from hub.notify.transports.modem.replies import Registration
from hub.notify.transports.modem.session import Desk, Job, Lasting, LostNetworkError, Session
from hub.notify.transports.modem.settings import ModemSettings
from hub.notify.transports.modem.setup import Patience, PinGuard, bring_up, identify
from hub.notify.transports.modem.state import ModemState
from hub.notify.transports.modem.timing import Timing

log = logging.getLogger(__name__)

PROVEN_WATCHES = 2
"""After so many looks without trouble a modem counts as recovered."""
_RESET_S = 3.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of this modem; called in its thread, must not block."""

    on_event: Callable[[Arrived], None]
    on_state: Callable[[ModemState], None]


class Driver:
    """:meth:`start` it once. Texts are taken by priority, then in the order of their coming."""

    def __init__(
        self,
        settings: ModemSettings,
        listener: Listener,
        clock: Clock,
        *,
        timing: Timing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._timing = timing or Timing()
        self._jobs: queue.PriorityQueue[tuple[int, int, Job]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._committed: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._link: Link | None = None
        self._failures = 0
        self._guard = PinGuard()
        self._lasting = Lasting(
            inbox=Inbox(settings.name, Assembler(self._timing.parts_s)),
            bucket=full(settings.per_hour, settings.burst, monotonic()),
            concat=ConcatReferences(),
            known=KnownReferences(),
        )
        self._desk = Desk(
            next_job=self._next_job,
            arrived=listener.on_event,
            show=self._show,
            take_committed=self._take_committed,
            monotonic=monotonic,
            now=clock.now,
        )
        self.state = ModemState(name=settings.name, port=settings.port)
        self._thread = threading.Thread(target=self._run, name=f"modem-{settings.name}", daemon=True)

    # ------------------------------------------------------------------------------ for other threads

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a text; ``job`` is told once how it went."""
        self._jobs.put((job.priority, next(self._order), job))
        self._rouse()

    def commit(self, arrived: Arrived) -> None:
        """The hub has this event: the modem may forget it."""
        self._committed.put(arrived)
        self._rouse()

    @property
    def waiting(self) -> int:
        """Texts that have not begun."""
        return self._jobs.qsize()

    def stop(self) -> None:
        """Ask the thread to end after what it is doing."""
        self._stopping.set()
        self._rouse()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _rouse(self) -> None:
        self._wake.set()
        link = self._link
        if link is not None:
            link.wake()

    # ------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._one_session()
            except Exception as error:
                log.exception("%s: defect in the driver", self._settings.name)
                self._fail(NO_ANSWER, type(error).__name__)
        self._refuse_waiting("el hub se detiene")

    def _one_session(self) -> None:
        """From opening the port to whatever ended it; returns when the next attempt is due."""
        try:
            link = Link(self._settings.port, self._timing)
        except PortError as error:
            return self._wait_with(error.problem, self._timing.reopen_s)
        self._link = link
        try:
            self._work(link)
        except UnusableError as error:
            link.close()
            self._wait_with(error.problem, self._timing.problem_s)
        except PortError as error:
            link.close()
            self._wait_with(error.problem, self._timing.reopen_s)
        except LostNetworkError as error:
            self._tell(str(error))
            self._reset(link)
        except LineError as error:
            self._recover(link, error)
        finally:
            self._link = None
            link.close()

    def _work(self, link: Link) -> None:
        settings, timing = self._settings, self._timing
        identity = identify(link)
        self._show(replace(self.state, identity=identity))
        setup = bring_up(
            link,
            identity,
            settings.pin_file,
            settings.smsc,
            self._guard,
            Patience(timing.sim_s, self._stopping.wait),
        )
        session = Session(
            link,
            setup,
            self.state,
            settings,
            timing,
            self._desk,
            self._lasting,
        )
        log.info("%s: %s is ready", settings.name, setup.identity.model or "modem")
        try:
            self._serve(session)
        finally:
            session.end()

    def _serve(self, session: Session) -> None:
        # a modem that answers its set-up and hangs at work has not recovered
        proven_at = time.monotonic() + PROVEN_WATCHES * self._timing.watch_s
        while not self._stopping.is_set():
            session.turn()
            if self._failures and time.monotonic() >= proven_at:
                self._failures = 0
        session.tidy_up()

    # ------------------------------------------------------------------------------ after a failure

    def _recover(self, link: Link, error: LineError) -> None:
        self._failures += 1
        self._fail(NO_ANSWER, str(error))
        if remedy(self._failures) is Remedy.RESET:
            self._reset(link)
        else:
            link.close()
            self._pause(self._timing.reopen_s)

    def _reset(self, link: Link) -> None:
        """Restart the modem; over USB its port goes away and comes back."""
        log.warning("%s: resetting the modem", self._settings.name)
        with contextlib.suppress(LineError):
            link.ask("AT+CFUN=1,1", timeout_s=_RESET_S)
        link.close()
        self._show(replace(self.state, resets=self.state.resets + 1))
        self._pause(self._timing.boot_s)

    def _wait_with(self, problem: Problem, seconds: float) -> None:
        self._fail(problem, problem.cause)
        self._pause(seconds)

    def _fail(self, problem: Problem, told: str) -> None:
        if self.state.problem is not problem:
            self._tell(told)
        has_worked = self.state.is_ready
        self._show(
            replace(
                self.state,
                is_ready=False,
                is_dead=is_dead(self._failures),
                problem=problem,
                registration=Registration.UNKNOWN,
                operator="",
                signal_dbm=None,
                restarts=self.state.restarts + has_worked,
            )
        )

    def _tell(self, told: str) -> None:
        log.warning("%s: %s", self._settings.name, told)

    def _pause(self, seconds: float) -> None:
        """Wait for the next attempt; texts that come meanwhile are refused, so that another way is tried."""
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set():
            self._wake.clear()
            self._refuse_waiting((self.state.problem or PORT_LOST).cause)
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._wake.wait(left)

    def _refuse_waiting(self, cause: str) -> None:
        while (job := self._next_job()) is not None:
            job.failed(ModemError(cause, Fault.MODEM))

    # ------------------------------------------------------------------------------------ the desk

    def _next_job(self) -> Job | None:
        with contextlib.suppress(queue.Empty):
            return self._jobs.get_nowait()[2]
        return None

    def _take_committed(self) -> None:
        while not self._committed.empty():
            self._lasting.inbox.committed(self._committed.get())

    def _show(self, state: ModemState) -> None:
        self.state = state
        self._listener.on_state(state)
