"""A polled thermometer on I2C: TMP102, LM75 and those that speak like them.

Sources: Texas Instruments TMP102 data sheet (SBOS397), tables "12-bit temperature data format" and
"13-bit"; LM75B data sheet (SNIS153), "temperature data format". All keep the temperature in register 0,
most significant byte first, left-justified two's complement.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from edge import contract
from edge.clock import Clock
from edge.contract import Measurement
from edge.drivers import Outlet

log = logging.getLogger(__name__)

_TEMPERATURE_REGISTER = 0
_EXTENDED_FLAG = 0x01
"""Lowest bit of the second byte, TMP102 only: the reading has 13 bits, for up to 150 degrees."""
_WIDTHS = {"tmp102": 12, "lm75": 9, "lm75a": 11}
_STEPS = {"tmp102": 0.0625, "lm75": 0.5, "lm75a": 0.125}
PLAUSIBLE_CEL = (-55.0, 150.0)
"""What these chips can measure; a value beyond it is a broken wire."""

Model = Literal["tmp102", "lm75", "lm75a"]


class Bus(Protocol):
    """The part of ``smbus2.SMBus`` that is used."""

    def read_i2c_block_data(self, i2c_addr: int, register: int, length: int) -> Sequence[int]: ...
    def close(self) -> None: ...


class SensorError(Exception):
    """The sensor gave no usable reading; ``cause`` is a word for the event's data."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause


def decode(raw: Sequence[int], model: Model) -> float:
    """Degrees Celsius from the two bytes of register 0, most significant first."""
    width = _WIDTHS[model]
    if model == "tmp102" and raw[1] & _EXTENDED_FLAG:
        width = 13
    value = ((raw[0] << 8) | raw[1]) >> (16 - width)
    if value & 1 << (width - 1):
        value -= 1 << width
    return value * _STEPS[model]


_CAUSES = {
    errno.ENOENT: "bus_missing",
    errno.ENODEV: "bus_missing",
    errno.EACCES: "no_permission",
    errno.EPERM: "no_permission",
    errno.EREMOTEIO: "no_answer",
    errno.ENXIO: "no_answer",
    errno.ETIMEDOUT: "no_answer",
}


def cause_of(error: OSError) -> str:
    """A word for what the kernel's I2C layer reports."""
    return _CAUSES.get(error.errno or 0, "bus_error")


class Settings(BaseModel):
    """``bus`` 1 is /dev/i2c-1, the one on the Raspberry Pi's header."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["i2c_thermometer"] = "i2c_thermometer"
    device: str = Field(min_length=1)
    model: Model = "tmp102"
    bus: int = Field(default=1, ge=0, le=255)
    address: int = Field(default=0x48, ge=0x08, le=0x77)
    interval_s: float = Field(default=60.0, ge=0.5, le=86_400)


def open_smbus(bus: int) -> Bus:
    """The real bus; raises OSError when it is missing."""
    from smbus2 import SMBus  # Linux only, and nothing else here needs it

    opened: Bus = SMBus(bus)
    return opened


class I2cThermometer:
    """Driver of one thermometer. ``opener`` gives the bus; tests hand in their own."""

    def __init__(self, settings: Settings, clock: Clock, opener: Callable[[int], Bus] = open_smbus) -> None:
        self._settings = settings
        self._clock = clock
        self._opener = opener
        self._bus: Bus | None = None
        self._is_failing = False
        self._name = f"{contract.device_urn(settings.device)}:temperature"

    async def run(self, outlet: Outlet) -> None:
        """Measure every interval, until cancelled; a failure and its end are each told once."""
        due_ms = float(self._clock.boottime_ms())
        try:
            while True:
                await self._measure(outlet)
                now_ms = self._clock.boottime_ms()
                due_ms = max(due_ms + self._settings.interval_s * 1000, now_ms)
                await self._clock.sleep((due_ms - now_ms) / 1000)
        finally:
            self._close()

    async def _measure(self, outlet: Outlet) -> None:
        try:
            # The kernel waits for the wire; the gateway must not.
            celsius = await asyncio.to_thread(self._read)
        except SensorError as error:
            await self._failed(error, outlet)
            return
        if self._is_failing:
            await outlet.event(self._settings.device, "sensor.recovered")
            self._is_failing = False
        at_s = round(self._clock.wall().timestamp(), 3)
        await outlet.measure([Measurement(name=self._name, time=at_s, unit="Cel", value=celsius)])

    async def _failed(self, error: SensorError, outlet: Outlet) -> None:
        if self._is_failing:
            return
        log.warning("sensor %s gives no reading (%s)", self._settings.device, error)
        where = {"bus": self._settings.bus, "address": f"0x{self._settings.address:02x}"}
        await outlet.event(self._settings.device, "sensor.failed", {"cause": error.cause, **where})
        self._is_failing = True

    def _read(self) -> float:
        """One reading; raises :class:`SensorError`. Runs in a thread."""
        try:
            if self._bus is None:
                self._bus = self._opener(self._settings.bus)
            raw = self._bus.read_i2c_block_data(self._settings.address, _TEMPERATURE_REGISTER, 2)
        except OSError as error:
            self._close()  # the next try opens it anew: a bus may come back under the same number
            raise SensorError(cause_of(error), str(error)) from error
        if len(raw) != 2:
            raise SensorError("short_answer", f"{len(raw)} bytes")
        if set(raw) == {0xFF}:  # what a bus reads that nobody drives; no chip leaves its unused bits set
            raise SensorError("bus_stuck", "all bits are set")
        celsius = decode(raw, self._settings.model)
        if not PLAUSIBLE_CEL[0] <= celsius <= PLAUSIBLE_CEL[1]:
            raise SensorError("implausible", f"{celsius} Cel")
        return celsius

    def _close(self) -> None:
        if self._bus is not None:
            self._bus.close()
            self._bus = None


def build(settings: Settings, clock: Clock) -> I2cThermometer:
    """The driver as the agent starts it; the bus is opened by ``run``."""
    return I2cThermometer(settings, clock)
