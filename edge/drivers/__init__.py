"""Drivers: what a gateway can see and do. Each is one file, started by the agent with its settings.

A driver knows its hardware and nothing of brokers or disks: it hands what it saw to an :class:`Outlet`,
which has it on disk before it returns.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from edge.contract import Measurement


class Lane(enum.IntEnum):
    """Urgency; a smaller number always leaves first."""

    ALARM = 0
    EVENT = 1
    TELEMETRY = 2


class Feedback(enum.StrEnum):
    """What the person who pressed may know, in this order; shown by an LED."""

    HEARD = "heard"
    """On this gateway's disk."""
    RECEIVED = "received"
    """In the hub's database."""
    ON_ITS_WAY = "on_its_way"
    """Somebody was dispatched."""
    CLOSED = "closed"


class Outlet(Protocol):
    """Where drivers put what they saw. Both calls return once it is durable on disk.

    Raise :class:`edge.outbox.OutboxFullError` when there is no room even after evicting telemetry.
    """

    async def event(
        self,
        source: str,
        type: str,
        data: Mapping[str, Any] | None = None,
        lane: Lane = Lane.EVENT,
    ) -> str:
        """Record one event that happens now; returns its id."""
        ...

    async def measure(self, measurements: Sequence[Measurement]) -> str:
        """Record measurements (``name`` is ``<source>:<quantity>``) as one pack; returns its id."""
        ...

    def follow(self, source: str, listener: Callable[[str, Feedback], None]) -> None:
        """Call ``listener(event_id, feedback)`` whenever an event of this source gets further."""
        ...


class Driver(Protocol):
    """One thing that the agent runs until it is cancelled."""

    async def run(self, outlet: Outlet) -> None: ...
