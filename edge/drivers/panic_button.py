"""A panic button on a GPIO pin, with an LED that tells whoever pressed how far the call for help got.

gpiozero only brings edges; what they mean is decided in :mod:`edge.drivers.debounce`. The event is on disk
before the LED blinks for the first time. A silent button says ``duress.pressed`` and shows nothing at all:
whoever threatens its user may be watching.

Settings: ``device``, ``pin`` (BCM number or gpiozero's name), ``hold_s`` (2 s outdoors, where rain and
balls press buttons too; 0 where the first touch counts), ``cancel_window_s``, ``silent``, ``long_hold_s``
and ``long_type``, ``stuck_after_s``, ``led_pin``.
"""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import gpiozero
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.clock import Clock
from edge.contract import ContractError
from edge.drivers import Feedback, Lane, Outlet
from edge.drivers.debounce import Output, PressMachine, Said, Timing
from edge.outbox import OutboxError

log = logging.getLogger(__name__)

_SAMPLE_S = 5.0
"""A level that changed without an edge (a missed interrupt) is noticed after this long."""

BLINKS: Mapping[Feedback, tuple[float, float] | None] = {
    Feedback.HEARD: (0.1, 0.1),
    Feedback.RECEIVED: None,
    Feedback.ON_ITS_WAY: (1.0, 1.0),
}
"""Seconds on and off for each feedback, None for steady light. What is not listed is dark."""


class ButtonError(Exception):
    """The button cannot be used on this machine; the message (Spanish) says what to install or change."""


class Settings(BaseModel):
    """One button. ``device`` is its short name in the registry; durations are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["panic_button"] = "panic_button"
    device: str = Field(min_length=1)
    pin: int | str
    button: str = ""
    active_high: bool = False
    bounce_ms: int = Field(default=30, ge=0, le=1000)
    hold_s: float = Field(default=2.0, ge=0, le=30)
    cancel_window_s: float = Field(default=0.0, ge=0, le=120)
    silent: bool = False
    long_hold_s: float = Field(default=0.0, ge=0, le=60)
    long_type: str = Field(default="duress.pressed", pattern=r"^[a-z]+(\.[a-z_]+)+$")
    stuck_after_s: float = Field(default=60.0, ge=5, le=3600)
    led_pin: int | str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.silent and self.cancel_window_s:
            raise ValueError("un botón silencioso no se puede anular: quite cancel_window_s")
        if self.long_hold_s and self.long_hold_s <= self.hold_s:
            raise ValueError("long_hold_s debe ser mayor que hold_s")
        if self.stuck_after_s <= max(self.hold_s, self.long_hold_s):
            raise ValueError("stuck_after_s debe ser mayor que hold_s y que long_hold_s")
        return self

    def timing(self) -> Timing:
        return Timing(
            bounce_ms=self.bounce_ms,
            hold_ms=round(self.hold_s * 1000),
            long_ms=round(self.long_hold_s * 1000),
            window_ms=round(self.cancel_window_s * 1000),
            stuck_ms=round(self.stuck_after_s * 1000),
        )

    def events(self) -> Mapping[Said, tuple[str, Lane, dict[str, Any]]]:
        """Type, urgency and constant data of the event for each thing that a press may mean."""
        pressed = "duress.pressed" if self.silent else "panic.pressed"
        return {
            Said.PRESSED: (pressed, Lane.ALARM, {}),
            Said.LONG_PRESSED: (self.long_type, Lane.ALARM, {"long": True}),
            Said.CANCELLED: ("panic.cancelled", Lane.EVENT, {}),
            Said.STUCK: ("tamper.detected", Lane.ALARM, {"cause": "stuck"}),
        }


class Light(Protocol):
    """What this driver needs of an LED; ``gpiozero.LED`` fits."""

    def on(self) -> None: ...
    def off(self) -> None: ...
    def blink(self, on_time: float, off_time: float) -> None: ...


class Indicator:
    """Shows the newest feedback on a light; never lets an older event's receipt hide newer news."""

    def __init__(self, light: Light) -> None:
        self._light: Light | None = light
        self._event_id: str | None = None
        self._shown: Feedback | None = None

    def tell(self, event_id: str, feedback: Feedback) -> None:
        """A listener for :meth:`edge.drivers.Outlet.follow`."""
        if feedback is Feedback.HEARD:
            self._event_id = event_id
        elif feedback is Feedback.RECEIVED and not self._is_news(event_id):
            return
        self._shown = feedback
        self._show(feedback)

    def _is_news(self, event_id: str) -> bool:
        """Receipts are repeated and overtaken; only the newest event's first one says something."""
        return self._shown is Feedback.HEARD and event_id == self._event_id

    def _show(self, feedback: Feedback) -> None:
        if self._light is None:
            return
        if feedback not in BLINKS:
            self._light.off()
        elif (blink := BLINKS[feedback]) is None:
            self._light.on()
        else:
            self._light.blink(*blink)

    def retire(self) -> None:
        """The light is gone; the outlet keeps its listeners for ever."""
        self._light = None


@dataclass(frozen=True, slots=True)
class _Edge:
    is_down: bool
    at_ms: int


class PanicButton:
    """Driver of one button."""

    def __init__(self, settings: Settings, clock: Clock, factory: gpiozero.Factory | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._factory = factory
        self._machine = PressMachine(settings.timing())
        self._events = settings.events()
        self._label = settings.button or f"GPIO{settings.pin}"
        self._indicator: Indicator | None = None
        self._pressed_id: str | None = None

    async def run(self, outlet: Outlet) -> None:
        """Watch the button until cancelled. Raises :class:`ButtonError` when the pin cannot be used."""
        edges: asyncio.Queue[_Edge] = asyncio.Queue()
        with contextlib.ExitStack() as stack:
            button = stack.enter_context(_gpio(gpiozero.Button, self._settings.pin, **self._button_options()))
            self._light_up(stack, outlet)
            self._watch(button, edges)
            await self._press_loop(button, edges, outlet)

    async def _press_loop(
        self, button: gpiozero.Button, edges: "asyncio.Queue[_Edge]", outlet: Outlet
    ) -> None:
        while True:
            edge = await self._next_edge(edges) or _Edge(button.is_pressed, self._clock.boottime_ms())
            for output in self._machine.edge(edge.is_down, edge.at_ms):
                await self._say(output, outlet)

    async def _next_edge(self, edges: "asyncio.Queue[_Edge]") -> _Edge | None:
        """The next edge; None when time alone has something to decide first."""
        due_ms = self._machine.due_ms
        wait_s = _SAMPLE_S if due_ms is None else max(0.0, (due_ms - self._clock.boottime_ms()) / 1000)
        waiting = asyncio.create_task(edges.get())
        sleeping = asyncio.create_task(self._clock.sleep(min(_SAMPLE_S, wait_s)))
        try:
            await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()
            sleeping.cancel()

    async def _say(self, output: Output, outlet: Outlet) -> None:
        type_, lane, constants = self._events[output.said]
        data = {"held_s": output.held_ms / 1000, "button": self._label, **constants}
        if output.said is Said.CANCELLED:
            data["cancels"] = self._pressed_id
        try:
            event_id = await outlet.event(self._settings.device, type_, data, lane)
        except (OutboxError, ContractError) as error:
            # The outlet has raised the alarm past the disk; this loop must be there for the next press.
            log.critical("%s of %s was not stored (%s)", type_, self._settings.device, type(error).__name__)
            return
        if output.said is Said.PRESSED:
            self._pressed_id = event_id
        if output.said is Said.CANCELLED and self._indicator is not None:
            self._indicator.tell(event_id, Feedback.CLOSED)
        log.info("%s of %s is event %s", type_, self._settings.device, event_id)

    # ---------------------------------------------------------------------------------- hardware

    def _button_options(self) -> dict[str, Any]:
        # bounce_time stays off: one debouncer, the one that is tested.
        return {"pull_up": not self._settings.active_high, "bounce_time": None, "pin_factory": self._factory}

    def _watch(self, button: gpiozero.Button, edges: "asyncio.Queue[_Edge]") -> None:
        loop = asyncio.get_running_loop()

        def changed(is_down: bool) -> None:  # called in gpiozero's thread
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(edges.put_nowait, _Edge(is_down, self._clock.boottime_ms()))

        button.when_pressed = lambda: changed(True)
        button.when_released = lambda: changed(False)
        changed(bool(button.is_pressed))  # whoever presses while the gateway starts is heard too

    def _light_up(self, stack: contextlib.ExitStack, outlet: Outlet) -> None:
        if self._settings.led_pin is None or self._settings.silent:
            return
        led = stack.enter_context(_gpio(gpiozero.LED, self._settings.led_pin, pin_factory=self._factory))
        self._indicator = Indicator(led)
        stack.callback(self._indicator.retire)
        outlet.follow(self._settings.device, self._indicator.tell)


@contextlib.contextmanager
def _gpio(kind: Any, pin: int | str, **options: Any) -> Iterator[Any]:
    """A gpiozero device, closed on leaving; raises :class:`ButtonError` with what to do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gpiozero.PinFactoryFallback)  # told in our error instead
            device = kind(pin, **options)
    except gpiozero.BadPinFactory as error:
        raise ButtonError(
            "No hay acceso a los pines GPIO de este equipo: en una Raspberry Pi instale el paquete "
            "python3-lgpio (apt install python3-lgpio); en otro equipo quite el driver panic_button."
        ) from error
    except gpiozero.GPIOZeroError as error:
        raise ButtonError(
            f"El pin {pin} no se puede usar ({error}): revise pin y led_pin en los ajustes."
        ) from error
    try:
        yield device
    finally:
        device.close()


def build(settings: Settings, clock: Clock) -> PanicButton:
    """The driver as the agent starts it; the pins are opened by ``run``."""
    return PanicButton(settings, clock)
