"""What the outbox holds: entries, their rows in SQLite, and its errors."""

import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edge import contract
from edge.drivers import Lane

ROW_OVERHEAD_BYTES = 320
"""What a row costs on disk besides its payload: ids and indexes, measured over 10,000 rows."""
PAGE_BYTES = 4096
_PAGE_SHARES = (PAGE_BYTES // 3, PAGE_BYTES // 2)
"""Larger rows do not share a page evenly: they count as a third or half of one, or as whole pages."""


class OutboxError(Exception):
    """The outbox could not keep something, or cannot be opened."""


class OutboxFullError(OutboxError):
    """No room, even after giving up everything less urgent. Nothing was stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One message on its way to the hub, with the clocks' readings of the moment it happened.

    ``payload`` is an encoded event or pack without ``age``; ``measurements`` is how many a pack holds;
    ``sequence`` is the device's number in it, made durable together with the row.
    """

    lane: Lane
    message_id: str
    source: str
    payload: bytes
    boot_id: str
    boottime_ms: int
    wall: datetime
    clock: contract.Clock
    measurements: int = 0
    sequence: int | None = None

    @property
    def size_bytes(self) -> int:
        """What it counts against the limit: its room on disk."""
        size = len(self.payload) + ROW_OVERHEAD_BYTES
        if size <= PAGE_BYTES // 4:
            return size
        share = next((share for share in _PAGE_SHARES if size <= share), None)
        return share or -(-size // PAGE_BYTES) * PAGE_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A stored :class:`Entry`; ``row_id`` grows in order of acceptance."""

    row_id: int
    entry: Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """Counts for each lane's name since the file was made; ``size_bytes`` is what is pending."""

    accepted: dict[str, int]
    pending: dict[str, int]
    receipted: dict[str, int]
    refused: dict[str, int]
    evicted: dict[str, int]
    torn: dict[str, int]
    measurements: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TornFile:
    """A damaged file was set aside under ``name``; ``saved`` rows could be read, ``lost`` could not."""

    name: str
    saved: int
    lost: int


COLUMNS = "row_id, lane, message_id, source, payload, crc, measurements, boot_id, boottime_ms, wall_ms, clock"


def row_of(values: Sequence[object]) -> Row | None:
    """A :class:`Row` from the columns of ``rows``; None when the payload is not what was stored."""
    row_id, lane, message_id, source, payload, crc, measurements, boot_id, boottime_ms, wall_ms, clock = (
        values
    )
    if not isinstance(payload, bytes) or zlib.crc32(payload) != crc:
        return None
    entry = Entry(
        lane=Lane(int(str(lane))),
        message_id=str(message_id),
        source=str(source),
        payload=payload,
        boot_id=str(boot_id),
        boottime_ms=int(str(boottime_ms)),
        wall=datetime.fromtimestamp(int(str(wall_ms)) / 1000, UTC),
        clock=contract.Clock(str(clock)),
        measurements=int(str(measurements)),
    )
    return Row(row_id=int(str(row_id)), entry=entry)


def is_full(error: sqlite3.Error) -> bool:
    """The disk, or the file's own limit, is used up."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_FULL"


def is_torn(error: sqlite3.Error) -> bool:
    """The file itself is damaged."""
    name = getattr(error, "sqlite_errorname", "") or ""
    # The second is Python's word, without a code, for a text that SQLite found and that none of ours can be.
    return name.startswith("SQLITE_CORRUPT") or name == "SQLITE_NOTADB" or "decode to UTF-8" in str(error)
