"""Writing a batch of events in the caller's transaction: one statement, repeats stop here."""

import base64
from collections.abc import Sequence
from datetime import datetime

import msgspec

from edge.contract import TimeQuality
from hub.database import Connection, Pool
from hub.database.arrays import bytes_literal, literal, or_none, text_literal
from hub.database.statement import numbered
from hub.intake.decode import EventRow

# One received_at for all. claimed_at comes only where it is another time than happened_at.
_INSERT = """
  insert into events (id, device_id, event_id, gateway, type, happened_at, time_quality, claimed_at,
                      received_at, sequence, boot_id, digest, data)
  select id, device_id, event_id, gateway, type, happened_at, time_quality,
         coalesce(claimed_at, case when time_quality = 'device' then happened_at end),
         :received_at, sequence, boot_id, digest, data
  from unnest(:event_ids::text::uuid[], :event_devices::text::int[], :foreign_ids::text[],
              :event_gateways::text::text[], :event_types::text::text[], :event_times::text::timestamptz[],
              :event_qualities::text::text[], :claimed_times::timestamptz[], :sequences::text::int8[],
              :boot_ids::text::text[], :digests::text::bytea[], :event_data::jsonb[])
    as e (id, device_id, event_id, gateway, type, happened_at, time_quality, claimed_at, sequence, boot_id,
          digest, data)
  on conflict do nothing
"""
_STORE = numbered(_INSERT)
STORING = (
    f"stored as ({_INSERT} returning 1)",
    "all_new as (select must_be_new(count(*) = :event_count) from stored)",
)
"""Parts of a statement that stores a batch, or nothing of it where a part is not new; read ``all_new``, too.

It then raises :class:`asyncpg.UniqueViolationError`.
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
        _STORE.sql, *_STORE.arguments(storing_arguments(rows, rows[0].received_at))
    )
    return int(status.rpartition(" ")[2])


def storing_arguments(rows: Sequence[EventRow], received_at: datetime) -> dict[str, object]:
    return {
        "received_at": received_at,
        "event_ids": literal([row.id for row in rows]),
        "event_devices": literal([row.device.device_id for row in rows]),
        "foreign_ids": or_none([row.foreign_id for row in rows]),
        "event_gateways": literal([row.gateway for row in rows]),
        "event_types": literal([row.type for row in rows]),
        "event_times": literal([row.happened_at for row in rows]),
        "event_qualities": literal([row.time_quality for row in rows]),
        "claimed_times": or_none(
            [None if row.time_quality is TimeQuality.DEVICE else row.claimed_at for row in rows]
        ),
        "sequences": literal([row.sequence for row in rows]),
        "boot_ids": text_literal([row.boot_id for row in rows]),
        "digests": bytes_literal([row.digest for row in rows]),
        "event_data": or_none([row.data for row in rows]),
        "event_count": len(rows),
    }


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
