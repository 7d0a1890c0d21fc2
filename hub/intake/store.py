"""Writing a batch of events in the caller's transaction: one statement, repeats stop here."""

import base64
from collections.abc import Sequence

import msgspec

from edge.contract import TimeQuality
from hub.database import Connection, Pool
from hub.database.arrays import bytes_literal, literal, or_none, text_literal
from hub.intake.decode import EventRow

# One received_at for all. claimed_at comes only where it is another time than happened_at.
_INSERT = """
    insert into events (id, device_id, event_id, gateway, type, happened_at, time_quality, claimed_at,
                        received_at, sequence, boot_id, digest, data)
    select id, device_id, event_id, gateway, type, happened_at, time_quality,
           coalesce(claimed_at, case when time_quality = 'device' then happened_at end),
           $1, sequence, boot_id, digest, data
    from unnest($2::text::uuid[], $3::text::int[], $4::text[], $5::text::text[], $6::text::text[],
                $7::text::timestamptz[], $8::text::text[], $9::timestamptz[], $10::text::int8[],
                $11::text::text[], $12::text::bytea[], $13::jsonb[])
      as e (id, device_id, event_id, gateway, type, happened_at, time_quality, claimed_at, sequence, boot_id,
            digest, data)
    on conflict do nothing
"""
# Rows of this very transaction: those that the insert above has made.
_FRESH = """
    select e.id, e.device_id from events e
    join unnest($1::uuid[], $2::int[]) as wanted (id, device_id) using (id, device_id)
    where e.xmin = pg_current_xact_id()::xid
"""
_DIGESTS = """
    select e.id, e.device_id, e.digest from events e
    join unnest($1::uuid[], $2::int[]) as wanted(id, device_id) using (id, device_id)
"""

Key = tuple[str, int]


def key(row: EventRow) -> Key:
    return row.id, row.device.device_id


async def insert_events(executor: Connection | Pool, rows: Sequence[EventRow]) -> int:
    """Store what is new of a batch that was received at one moment; returns how many rows that were."""
    status = await executor.execute(
        _INSERT,
        rows[0].received_at,
        literal([row.id for row in rows]),
        literal([row.device.device_id for row in rows]),
        or_none([row.foreign_id for row in rows]),
        literal([row.gateway for row in rows]),
        literal([row.type for row in rows]),
        literal([row.happened_at for row in rows]),
        literal([row.time_quality for row in rows]),
        or_none([None if row.time_quality is TimeQuality.DEVICE else row.claimed_at for row in rows]),
        literal([row.sequence for row in rows]),
        text_literal([row.boot_id for row in rows]),
        bytes_literal([row.digest for row in rows]),
        or_none([row.data for row in rows]),
    )
    return int(status.rpartition(" ")[2])


async def fresh_rows(connection: Connection, rows: Sequence[EventRow]) -> list[EventRow]:
    """Those that this transaction has stored, each once: a batch may hold one event twice."""
    found = await connection.fetch(_FRESH, [r.id for r in rows], [r.device.device_id for r in rows])
    stored = {(str(r["id"]), r["device_id"]) for r in found}
    first = {key(row): row for row in reversed(rows)}
    return [row for row in rows if key(row) in stored and first[key(row)] is row]


async def clashing(pool: Pool, rows: Sequence[EventRow]) -> list[EventRow]:
    """Those rows whose content differs from what is stored under their key."""
    found = await pool.fetch(_DIGESTS, [r.id for r in rows], [r.device.device_id for r in rows])
    stored = {(str(r["id"]), r["device_id"]): bytes(r["digest"]) for r in found}
    return [row for row in rows if stored.get(key(row), row.digest) != row.digest]


def with_wrapped_data(row: EventRow) -> EventRow:
    """The same event with its data as base64: for JSON that PostgreSQL cannot keep as jsonb.

    An alarm with odd data still is an alarm.
    """
    raw = base64.b64encode((row.data or "").encode()).decode()
    return msgspec.structs.replace(row, data=msgspec.json.encode({"unreadable_base64": raw}).decode())
