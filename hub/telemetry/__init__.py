"""Time series: one protocol for every store that keeps them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from hub.database import Connection, Pool


class Point(msgspec.Struct, frozen=True, gc=False):
    """One measurement of a registered device. ``at`` is aware UTC; ``value`` in ``unit`` (SenML), or text."""

    device_id: int
    quantity: str
    unit: str
    at: datetime
    value: float | None
    text: str | None = None


class TelemetryStore(Protocol):
    async def write(self, executor: Connection | Pool, points: Sequence[Point], now: datetime) -> int:
        """Store the batch, in the caller's transaction where there is one; returns how many were new.

        A repeat of (device, quantity, at) is harmless: the first one stays.
        """
        ...
