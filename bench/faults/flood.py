"""A driver that floods the agent with numbered events, and keeps its own list of what the outbox took.

A line is written after ``outlet.event`` has returned, so it stands for a promise: this event is on disk.
The list outlives ``kill -9`` at once (one ``write`` a line) and a power cut within :data:`_SYNC_S`. Started
again, the driver counts its lines and goes on until the target is reached; each start is a *life* of its own,
so that a number that was used just before a kill is not mistaken for a repeat.
"""

import asyncio
import itertools
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.faults.ledger import Line, format_line, read_lines
from edge.clock import Clock
from edge.drivers import Driver, Lane, Outlet
from edge.outbox import OutboxError, read_stats

EVENT_TYPE = "bench.counted"
PANIC_TYPE = "panic.pressed"
_SYNC_S = 0.02
_LOOK_S = 0.1
_REFUSED_PAUSE_S = 0.02


class Settings(BaseModel):
    """``[[drivers]]`` with ``driver = "flood"``.

    ``events`` is how many attempts there are in all lives (``stop_at``, if not 0, ends this life sooner);
    each ``panic_every``-th is a press of one of ``buttons`` buttons, the others come from ``sensors``
    sensors. The driver waits while more than ``window`` rows are pending: what it hands over is paced by what
    the hub takes. ``rate`` is events a second, 0 for as many as go; ``pad`` characters make each heavier.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["flood"]
    gateway: str
    ledger: Path
    refusals: Path
    outbox: Path
    events: int = Field(ge=1)
    stop_at: int = Field(default=0, ge=0)
    workers: int = Field(default=32, ge=1)
    sensors: int = Field(default=4, ge=1)
    buttons: int = Field(default=20, ge=1)
    panic_every: int = Field(default=25, ge=2)
    window: int = Field(default=4000, ge=1)
    rate: float = Field(default=0.0, ge=0)
    pad: int = Field(default=0, ge=0)


def build(settings: Settings, clock: Clock) -> Driver:
    return Flood(settings, clock)


class Flood:
    """Runs until the target is reached."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        before = [*read_lines(settings.ledger), *read_lines(settings.refusals)]
        self._left = max(0, (settings.stop_at or settings.events) - len(before))
        self._life = _next_life(settings.ledger.with_name("lives"))
        self._numbers = itertools.count(max((line.n for line in before), default=0) + 1)
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._due_ms = float(clock.boottime_ms())

    async def run(self, outlet: Outlet) -> None:
        ledger, refusals = _open(self._settings.ledger), _open(self._settings.refusals)
        helpers = [asyncio.create_task(self._window_loop()), asyncio.create_task(_sync_loop(ledger))]
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._settings.workers):
                    group.create_task(self._work(outlet, ledger, refusals))
        finally:
            for helper in helpers:
                helper.cancel()
            os.close(ledger)
            os.close(refusals)

    async def _work(self, outlet: Outlet, ledger: int, refusals: int) -> None:
        while self._left:
            self._left -= 1
            await self._may_go_on.wait()
            await self._pace()
            # From here to the outlet's own numbering nothing waits: our numbers rise as its sequence does.
            n = next(self._numbers)
            lane, source = self._author(n)
            type_ = PANIC_TYPE if lane is Lane.ALARM else EVENT_TYPE
            at_ms = self._clock.boottime_ms()
            try:
                data = {"life": self._life, "n": n, "pad": "x" * self._settings.pad}
                id_ = await outlet.event(source, type_, data, lane)
            except OutboxError:
                os.write(refusals, format_line(Line(self._life, n, lane is Lane.ALARM, source, "", at_ms)))
                await self._clock.sleep(_REFUSED_PAUSE_S)
            else:
                os.write(ledger, format_line(Line(self._life, n, lane is Lane.ALARM, source, id_, at_ms)))

    def _author(self, n: int) -> tuple[Lane, str]:
        """Buttons are taken into use one after the other over the whole run: alerts open all the time."""
        s = self._settings
        if n % s.panic_every:
            return Lane.EVENT, f"{s.gateway}-s{n % s.sensors}"
        presses = max(1, s.events // s.panic_every)
        return Lane.ALARM, f"{s.gateway}-b{(n // s.panic_every - 1) * s.buttons // presses % s.buttons}"

    async def _pace(self) -> None:
        if not self._settings.rate:
            return
        now_ms = float(self._clock.boottime_ms())
        self._due_ms = max(self._due_ms, now_ms - 1000) + 1000 / self._settings.rate
        if self._due_ms > now_ms:
            await self._clock.sleep((self._due_ms - now_ms) / 1000)

    async def _window_loop(self) -> None:
        while True:
            try:
                pending = sum((await asyncio.to_thread(read_stats, self._settings.outbox)).pending.values())
            except OutboxError:
                pending = 0  # set aside at this moment; the next look finds the new one
            if pending > self._settings.window:
                self._may_go_on.clear()
            else:
                self._may_go_on.set()
            await self._clock.sleep(_LOOK_S)


def _next_life(path: Path) -> int:
    """Counts starts, also those that ended before the first event was noted."""
    descriptor = _open(path)
    os.write(descriptor, b".")
    os.close(descriptor)
    return path.stat().st_size


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


async def _sync_loop(descriptor: int) -> None:
    while True:
        await asyncio.sleep(_SYNC_S)
        await asyncio.to_thread(os.fdatasync, descriptor)
