"""Stored history as a stream of signals in the order in which they happened; memory stays flat."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from hub.database import Connection
from hub.devices.registry import COLUMNS, Device
from hub.rules.model import Happening, Reading, Signal

PORTION = 5000

_EVENTS = """
    select happened_at, id, type, device_id, time_quality, data from events
    where happened_at >= $1 and happened_at < $2 and type = any($3) order by happened_at, id
"""
_READINGS = """
    select t.at, t.device_id, q.name, t.value from telemetry t join quantities q using (quantity_id)
    where t.at >= $1 and t.at < $2 and q.name = any($3) and t.value is not null order by t.at
"""


@dataclass(frozen=True, slots=True)
class Span:
    """From ``since`` until before ``until``, aware UTC."""

    since: datetime
    until: datetime


async def devices_of(connection: Connection) -> dict[int, Device]:
    records = await connection.fetch(f"select {COLUMNS} from devices")  # noqa: S608 - a constant of ours
    return {record["device_id"]: Device(*record) for record in records}


async def signals(
    connection: Connection,
    devices: Mapping[int, Device],
    span: Span,
    types: Collection[str],
    quantities: Collection[str],
) -> AsyncIterator[Signal]:
    """Events of ``types`` and readings of ``quantities``, merged; inside the caller's transaction.

    What belongs to a device that was deleted is left out.
    """
    events = await _Stream.open(connection, _EVENTS, span, types)
    readings = await _Stream.open(connection, _READINGS, span, quantities)
    while events.head is not None or readings.head is not None:
        is_event = readings.head is None or (events.head is not None and events.head[0] <= readings.head[0])
        stream = events if is_event else readings
        row = stream.head
        assert row is not None  # noqa: S101 - one of the two has one
        signal = _happening(row, devices) if is_event else _reading(row, devices)
        if not stream.advance():
            await stream.fill()
        if signal is not None:
            yield signal


class _Stream:
    """A server-side cursor, read in portions."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._rows: list[asyncpg.Record] = []
        self._next = 0
        self.head: asyncpg.Record | None = None

    @classmethod
    async def open(cls, connection: Connection, sql: str, span: Span, names: Collection[str]) -> "_Stream":
        stream = cls(await connection.cursor(sql, span.since, span.until, sorted(names)) if names else None)
        await stream.fill()
        return stream

    def advance(self) -> bool:
        """To the next row; False where a new portion is needed."""
        self._next += 1
        if self._next < len(self._rows):
            self.head = self._rows[self._next]
            return True
        return False

    async def fill(self) -> None:
        self._rows = [] if self._cursor is None else await self._cursor.fetch(PORTION)
        self._next = 0
        self.head = self._rows[0] if self._rows else None


def _happening(row: asyncpg.Record, devices: Mapping[int, Device]) -> Happening | None:
    device = devices.get(row["device_id"])
    if device is None:
        return None
    data = row["data"]
    happening = Happening(
        row["id"], row["type"], device, row["happened_at"], row["time_quality"], False, data
    )
    if data and '"drill"' in data and happening.fields().get("drill") is True:
        return Happening(row["id"], row["type"], device, row["happened_at"], row["time_quality"], True, data)
    return happening


def _reading(row: asyncpg.Record, devices: Mapping[int, Device]) -> Reading | None:
    device = devices.get(row["device_id"])
    return None if device is None else Reading(device, row["name"], row["at"], row["value"])
