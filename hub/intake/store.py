"""Writing a batch of events in the caller's transaction: one statement, repeats stop here."""

import base64
import dataclasses
import uuid
from collections.abc import Sequence

import msgspec

from hub.database import Connection, Pool
from hub.intake.decode import EventRow

_INSERT = """
    insert into events (id, device_id, event_id, gateway, type, happened_at, time_quality, claimed_at,
                        received_at, sequence, boot_id, digest, data)
    select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                         $7::text[], $8::timestamptz[], $9::timestamptz[], $10::int8[], $11::text[],
                         $12::bytea[], $13::jsonb[])
    on conflict do nothing
    returning id, device_id
"""
_DIGESTS = """
    select e.id, e.device_id, e.digest from events e
    join unnest($1::uuid[], $2::int[]) as wanted(id, device_id) using (id, device_id)
"""

Key = tuple[uuid.UUID, int]


def key(row: EventRow) -> Key:
    return row.id, row.device.device_id


async def insert_events(connection: Connection, rows: Sequence[EventRow]) -> set[Key]:
    """Store what is new; returns the keys that were."""
    columns = zip(*(_values(row) for row in rows), strict=True)
    stored = await connection.fetch(_INSERT, *(list(column) for column in columns))
    return {(uuid.UUID(bytes=r[0].bytes), r[1]) for r in stored}


def _values(row: EventRow) -> tuple[object, ...]:
    return (
        row.id,
        row.device.device_id,
        row.foreign_id,
        row.gateway,
        row.type,
        row.happened_at,
        row.time_quality.value,
        row.claimed_at,
        row.received_at,
        row.sequence,
        row.boot_id,
        row.digest,
        row.data,
    )


async def clashing(pool: Pool, repeats: Sequence[EventRow]) -> list[EventRow]:
    """Those repeats whose content differs from what is stored under their key."""
    found = await pool.fetch(_DIGESTS, [r.id for r in repeats], [r.device.device_id for r in repeats])
    stored = {(uuid.UUID(bytes=r["id"].bytes), r["device_id"]): bytes(r["digest"]) for r in found}
    return [row for row in repeats if stored.get(key(row), row.digest) != row.digest]


def with_wrapped_data(row: EventRow) -> EventRow:
    """The same event with its data as base64: for JSON that PostgreSQL cannot keep as jsonb.

    An alarm with odd data still is an alarm.
    """
    raw = base64.b64encode((row.data or "").encode()).decode()
    return dataclasses.replace(row, data=msgspec.json.encode({"unreadable_base64": raw}).decode())
