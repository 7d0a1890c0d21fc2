"""Time as an argument. Only ``hub.app`` makes a real clock; tests advance a virtual one."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware UTC."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


async def wake_or_sleep(wake: asyncio.Event, clock: Clock, delay_s: float) -> None:
    """Until ``wake`` is set, ``delay_s`` at most."""
    waits = [asyncio.ensure_future(wake.wait()), asyncio.ensure_future(clock.sleep(delay_s))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
