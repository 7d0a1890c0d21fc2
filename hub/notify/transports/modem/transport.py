"""The modem as a transport: the asyncio face of its driver. Nothing here ever waits for the port."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from hub.clock import Clock
from hub.notify.transports import Health, Outgoing, TransportError, TransportEvent
from hub.notify.transports.modem.driver import Driver, Listener
from hub.notify.transports.modem.errors import Fault, ModemError
from hub.notify.transports.modem.inbox import Arrived
from hub.notify.transports.modem.sending import Parts, parts_of
from hub.notify.transports.modem.settings import ModemSettings
from hub.notify.transports.modem.state import ModemState
from hub.notify.transports.modem.timing import Timing

STOP_S = 5.0
"""How long an orderly end waits for the thread, which may be in the middle of a text."""

ANSWER_S = 60.0
"""The time that a router should give a text: one of three parts takes up to 20 s, a lost answer 50."""

OnState = Callable[[ModemState], None]


class ModemTransport:
    """One modem. ``on_state`` hears every change of its state, in the loop."""

    def __init__(
        self,
        settings: ModemSettings,
        clock: Clock,
        *,
        on_state: OnState | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._timing = timing
        self._on_state = on_state
        self._loop: asyncio.AbstractEventLoop
        self._driver: Driver | None = None
        self._arrived: deque[Arrived] = deque()
        self._news = asyncio.Event()
        self._change = asyncio.Event()
        self.state = ModemState(name=settings.name, port=settings.port)

    async def run_loop(self) -> None:
        """Run the driver until cancelled; the modem is opened, watched and opened again there."""
        self._loop = asyncio.get_running_loop()
        listener = Listener(
            on_event=lambda arrived: self._in_loop(self._take, arrived),
            on_state=lambda state: self._in_loop(self._show, state),
        )
        self._driver = driver = Driver(self._settings, listener, self._clock, timing=self._timing)
        driver.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._driver = None
            driver.stop()
            await asyncio.shield(asyncio.to_thread(driver.join, STOP_S))

    async def send(self, message: Outgoing) -> tuple[str, ...]:
        """Hand the text to the modem; one reference a part. Raises :class:`ModemError`.

        Of several that wait, priority 1 goes first. A caller that is cancelled before its text has begun
        takes it back; one that has begun is sent to its end.
        """
        if not message.to:
            raise TransportError("no hay teléfono de destino", permanent=True)
        if self._driver is None:
            raise ModemError("el módem no está en marcha", Fault.MODEM)
        parts = parts_of(message.text, message.to, self._settings)
        job = _Job(parts, message.priority, self._in_loop, asyncio.get_running_loop().create_future())
        self._driver.submit(job)
        return await job.outcome

    async def events(self) -> AsyncIterator[TransportEvent]:
        """Delivery reports and texts, for one reader.

        Asking for the next event says that the last one is committed: only then does the modem forget it.
        One that was not is told again, to the next reader or after a restart.
        """
        while True:
            arrived = await self._first()
            yield arrived.event
            self._arrived.popleft()
            self.commit(arrived)

    async def arrivals(self) -> AsyncIterator[Arrived]:
        """As :meth:`events`, for a reader who calls :meth:`commit` himself, or leaves things in the modem."""
        while True:
            yield await self._first()
            self._arrived.popleft()

    def commit(self, arrived: Arrived) -> None:
        """The modem may forget it."""
        if self._driver is not None:
            self._driver.commit(arrived)

    async def changed(self) -> None:
        """Wait for the next change of :attr:`state`."""
        self._change.clear()
        await self._change.wait()

    async def _first(self) -> Arrived:
        while not self._arrived:
            self._news.clear()
            await self._news.wait()
        return self._arrived[0]

    async def health(self) -> Health:
        state = self.state
        return Health(
            is_ok=state.is_ok,
            detail=state.detail(),
            signal_dbm=state.signal_dbm,
            queue=0 if self._driver is None else self._driver.waiting,
            credit=state.credit,
        )

    def _in_loop(self, act: Callable[..., None], *arguments: object) -> None:
        """From the driver's thread into the loop; a loop that has ended needs to hear nothing."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act, *arguments)

    def _take(self, arrived: Arrived) -> None:
        self._arrived.append(arrived)
        self._news.set()

    def _show(self, state: ModemState) -> None:
        self.state = state
        self._change.set()
        if self._on_state is not None:
            self._on_state(state)


@dataclass(slots=True)
class _Job:
    """A text between loop and thread."""

    parts: Parts
    priority: int
    in_loop: Callable[..., None]
    outcome: "asyncio.Future[tuple[str, ...]]" = field(repr=False)

    @property
    def is_abandoned(self) -> bool:
        return self.outcome.done()

    def sent(self, references: tuple[str, ...]) -> None:
        self.in_loop(self._settle, references, None)

    def failed(self, error: ModemError) -> None:
        self.in_loop(self._settle, (), error)

    def _settle(self, references: tuple[str, ...], error: ModemError | None) -> None:
        if self.outcome.done():
            return
        if error is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(references)
