"""Time series: one protocol for every store that keeps them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

import msgspec

from hub.database import Connection, Pool


class TelemetryError(Exception):
    """The store cannot be used as it is; the message (Spanish) says what to do."""


class Point(msgspec.Struct, frozen=True, gc=False):
    """One measurement of a registered device. ``at`` is aware UTC, exact to the millisecond; ``value`` in
    ``unit`` (SenML), or text."""

    device_id: int
    quantity: str
    unit: str
    at: datetime
    value: float | None
    text: str | None = None


class Series(msgspec.Struct, frozen=True, gc=False):
    """What is drawn as one line: a quantity of a device in one unit (SenML, may be empty)."""

    device_id: int
    quantity: str
    unit: str = ""


class Resolution(Enum):
    """How long a row of history is. Days are UTC days."""

    RAW = "raw"
    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def length(self) -> timedelta:
        """Zero for readings as they came."""
        return _LENGTHS[self]


_LENGTHS = {
    Resolution.RAW: timedelta(),
    Resolution.MINUTE: timedelta(minutes=1),
    Resolution.HOUR: timedelta(hours=1),
    Resolution.DAY: timedelta(days=1),
}
# Chosen so that a screen gets some hundred rows, 2,900 at most.
_LONGEST = (
    (timedelta(hours=6), Resolution.RAW),
    (timedelta(days=2), Resolution.MINUTE),
    (timedelta(days=120), Resolution.HOUR),
)
MAX_ROWS = 10_000
"""Of one answer of history: a minute of rows at 150 readings a second."""


def resolution_for(span: timedelta) -> Resolution:
    """The finest resolution that a range of this length is worth."""
    return next((resolution for longest, resolution in _LONGEST if span <= longest), Resolution.DAY)


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """What became of one stretch of time that begins at ``at``; a raw reading is one with ``n`` 1."""

    at: datetime
    n: int
    sum: float
    min: float
    max: float

    @property
    def mean(self) -> float:
        return self.sum / self.n


class Reading(msgspec.Struct, frozen=True, gc=False):
    """The newest value of a series; one from the future is never it."""

    series: Series
    at: datetime
    value: float | None
    text: str | None


@dataclass(frozen=True)
class Keep:
    """For how many days readings and minutes are kept, and for how many hours and days."""

    raw_days: int = 400
    rollup_days: int = 3650


@dataclass(frozen=True)
class Health:
    """``waiting_bytes`` are confirmed and wait on our disk for a server that is away."""

    is_up: bool
    detail: str
    waiting_bytes: int = 0


class TelemetryStore(Protocol):
    name: str
    """The word of the setting, and of rows that belong to this store."""
    portion: int
    """Slots that one round of rollups looks at, at most."""

    async def load(self, pool: Pool) -> None:
        """Read what the store keeps in memory; again whenever another process may have changed it."""
        ...

    async def prepare(self, pool: Pool, points: Iterable[Point]) -> None:
        """What has to be done before a batch, outside of its transaction."""
        ...

    async def write(self, executor: Connection | Pool, points: Sequence[Point], now: datetime) -> int:
        """Store the batch, in the caller's transaction where there is one; returns how many were new, as far
        as the store can tell.

        Afterwards the batch survives any crash. A repeat of (device, quantity, unit, at) is harmless.
        """
        ...

    async def history(
        self,
        pool: Pool,
        series: Series,
        since: datetime,
        until: datetime,
        resolution: Resolution | None = None,
    ) -> list[Aggregate]:
        """Numbers with ``since`` <= at < ``until``, oldest first, at most :data:`MAX_ROWS` of them.

        Without ``resolution`` the range chooses it. Stretches without readings are missing.
        """
        ...

    async def latest(self, pool: Pool, device_ids: Sequence[int]) -> list[Reading]:
        """The newest readings of the devices, by device and quantity."""
        ...

    async def roll_up(self, pool: Pool, now: datetime) -> int:
        """Bring the rollups up to date where readings came, late ones too; returns how many ten minutes it
        looked at; :attr:`portion` of them say that there may be more."""
        ...

    async def retain(self, pool: Pool, now: datetime) -> None:
        """Make room ahead, and let go of what is older than the store is told to keep."""
        ...

    async def health(self, pool: Pool) -> Health: ...
