"""Readings of the last weeks (batteries run down, a river swells) and the ways for texts. From a seed."""

import math
from datetime import datetime, timedelta

from hub.database import Pool
from hub.telemetry import rollups
from hub.telemetry.partitions import ensure_partitions

LENGTH = timedelta(days=40)

# One value for each device and instant, from a hash: the same seed gives the same readings.
_BATTERY = """
insert into telemetry (device_id, quantity_id, at, value)
select d.device_id, $1, t.at, round((0.95 - 0.4 * extract(epoch from t.at - $2::timestamptz) / $4::float8
  * (0.5 + abs(hashint8extended(d.device_id, $5)) % 1000 / 1000.0))::numeric, 3)
from devices d cross join generate_series($2::timestamptz, $3::timestamptz, interval '6 hours') t (at)
where d.kind <> 'camera' and d.created_at < t.at
"""
_LEVEL = """
insert into telemetry (device_id, quantity_id, at, value)
select d.device_id, $1, t.at, round((1.4 + 0.1 * sin(extract(epoch from t.at) / 43200)
  + 1.8 * exp(-power(extract(epoch from t.at - $2::timestamptz) / $4::float8 - 0.7, 2) / 0.002)
  + abs(hashint8extended(extract(epoch from t.at)::bigint + d.device_id, $5)) % 100 / 2000.0)::numeric, 3)
from devices d cross join generate_series($2::timestamptz, $3::timestamptz, interval '10 minutes') t (at)
where d.kind = 'river_level' and d.created_at < t.at
"""
_NEWEST = """
insert into telemetry_latest (device_id, quantity_id, at, value)
select distinct on (device_id, quantity_id) device_id, quantity_id, at, value from telemetry
order by device_id, quantity_id, at desc
"""
_TRANSPORTS = """
insert into transport_states (transport, owner, kind, is_ok, is_open, signal_dbm, queue, credit, credit_min,
  s_per_text, checked_at, since)
values
  ('modem-1', 'ejemplo', 'modem', true, false, -79, 0, 4200, 1000, 4.1, $1, $1),
  ('smpp', 'ejemplo', 'smpp', true, false, null, 0, 18000, 5000, 0.2, $1, $1)
"""


async def write(pool: Pool, until: datetime, seed: int) -> int:
    """How many readings were written; their rollups are made, and the ways for texts have a state."""
    since = until - LENGTH
    await ensure_partitions(pool, since.date(), math.ceil(LENGTH.days) + 1)
    for name, unit, sql in (("battery", "/", _BATTERY), ("level", "m", _LEVEL)):
        quantity = await pool.fetchval(
            "insert into quantities (name, unit) values ($1, $2) returning quantity_id", name, unit
        )
        await pool.execute(sql, quantity, since, until, LENGTH.total_seconds(), seed, timeout=300)
    await pool.execute(_NEWEST, timeout=300)
    await pool.execute(_TRANSPORTS, until)
    await rollups.note_all(pool)
    while await rollups.roll_up(pool, since):
        pass
    count: int = await pool.fetchval("select count(*) from telemetry")
    return count
