"""Time series: one protocol for every store that keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hub.database import Connection


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of a registered device. ``at`` is aware UTC; ``value`` in ``unit`` (SenML), or text."""

    device_id: int
    quantity: str
    unit: str
    at: datetime
    value: float | None
    text: str | None = None


class TelemetryStore(Protocol):
    async def write(self, connection: Connection, points: Sequence[Point], now: datetime) -> int:
        """Store the batch inside the caller's transaction; returns how many were new.

        A repeat of (device, quantity, at) is harmless: the first one stays.
        """
        ...
