"""Stand-ins that tests hand in where the real part would make them wait."""

import asyncio
import heapq
import itertools
import logging
import os
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.notify.transports import Outgoing

log = logging.getLogger(__name__)

_PASSES = 25  # turns of the loop that let a chain of woken tasks run to its next wait
_POLL_S = 0.002


class VirtualClock:
    """A ``hub.clock.Clock`` whose time moves only by :meth:`advance`.

    Sleepers wake in the order of their instants, each at exactly its own ``now()``, and each may sleep
    again before the time moves on: a loop that sleeps 1 s runs ten times in ``await advance(10)``.
    A task that does real I/O after waking needs real time; wait for what it does with :func:`eventually`,
    or until it sleeps again with :meth:`sleeping`.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)) -> None:
        # 21:04 in Santiago
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, delay_s: float) -> None:
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        due = self._now + timedelta(seconds=delay_s)
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due, next(self._order), woken))
        await woken

    async def advance(self, delay_s: float) -> None:
        """Move the time on by ``delay_s`` and let everything that was due run."""
        await settle()
        target = self._now + timedelta(seconds=delay_s)
        while (due := self.next_due_at()) is not None and due <= target:
            self._now = max(self._now, due)
            _, _, woken = heapq.heappop(self._sleepers)
            woken.set_result(None)
            await settle()
        self._now = target

    def next_due_at(self) -> datetime | None:
        """When the next sleeper wakes; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled
        return self._sleepers[0][0] if self._sleepers else None

    @property
    def sleeper_count(self) -> int:
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def sleeping(self, count: int = 1, limit_s: float = 60.0) -> None:
        """Wait (in real time) until at least ``count`` tasks sleep on this clock."""
        await eventually(lambda: self.sleeper_count >= count, limit_s)


async def settle() -> None:
    """Let every task that can go on without I/O run until it waits."""
    for _ in range(_PASSES):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], Awaitable[Any] | Any], limit_s: float = 60.0) -> Any:
    """Poll ``condition`` (plain or async) in real time until it is true, and return its value.

    Fails the test after ``limit_s``.
    """
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {limit_s} s: {condition!r}")
        await asyncio.sleep(_POLL_S)


def assert_in_time(took_s: float, limit_s: float) -> None:
    """A demand on speed: asserted by ``make speed`` on a quiet machine, logged by any other run."""
    log.info("took %.2f s of %.2f s", took_s, limit_s)
    if "ALMENARA_SPEED" in os.environ:
        assert took_s <= limit_s


def outgoing(text: str = "ALERTA K7 PANICO ¿Los Ñires 12?", **changes: Any) -> Outgoing:
    """A text of one alert for one phone, each with an id of its own."""
    values: dict[str, Any] = {
        "notification_id": uuid.uuid4(),
        "at": datetime(2026, 11, 24, 0, 4, tzinfo=UTC),
        "to": "+56987650001",
        "recipient": "Ana",
        "text": text,
        "priority": 1,
        "alert_id": uuid.UUID(int=7),
    }
    return Outgoing(**(values | changes))
