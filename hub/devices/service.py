"""What the console reads about the fleet, and the record of messages that were not accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from hub.alerts.finding import SILENT_BUTTONS
from hub.database import Connection, Pool

MAX_PAGE = 500
SAMPLE_BYTES = 512
MAX_REFUSAL_ROWS = 5_000
"""Beyond this many pairs of gateway and cause, new gateways share one row: names can be made up."""
OTHERS = "*"
_MAX_NAME, _MAX_DETAIL = 128, 500

DeviceState: TypeAlias = Literal["online", "silent", "never"]
StateFilter: TypeAlias = Literal["online", "silent", "never", "adopted"]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One line of the device list. ``battery`` is 0..1; ``gateway_state`` unknown, online or offline."""

    device_id: int
    source: str
    name: str
    kind: str
    place: str
    sector: str
    latitude: float | None
    longitude: float | None
    gateway: str
    gateway_state: str
    silent_after_s: int
    adopted: bool
    last_seen_at: datetime | None
    battery: float | None
    state: DeviceState


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One gateway; ``status_at`` is when the hub heard its newest birth or death."""

    gateway: str
    name: str
    adopted: bool
    state: str
    version: str
    clock: str
    status_at: datetime | None
    device_count: int
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefusalEntry:
    """Messages of one gateway refused for one cause; ``detail`` and ``sample`` are the newest one's."""

    gateway: str
    cause: str
    count: int
    at: datetime
    detail: str = ""
    sample: bytes = b""


@dataclass(frozen=True, slots=True)
class RefusalRow:
    gateway: str
    cause: str
    count: int
    first_at: datetime
    last_at: datetime
    detail: str
    sample: bytes


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """``online + silent + never == devices``; ``adopted`` cuts across them."""

    devices: int
    online: int
    silent: int
    never: int
    adopted: int
    gateways: int
    gateways_online: int


_DEVICES = """
select * from (
  select d.device_id, d.source, d.name, d.kind, d.place, d.sector, d.latitude, d.longitude, d.gateway,
         g.state as gateway_state, d.silent_after_s, d.adopted, s.last_seen_at, s.battery,
         case when s.last_seen_at is null then 'never'
              when s.last_seen_at + make_interval(secs => d.silent_after_s)
                   <= coalesce($1::timestamptz, now()) then 'silent'
              else 'online' end as state
  from devices d join gateways g using (gateway) left join device_state s using (device_id)
) as fleet
"""


async def list_devices(
    pool: Pool,
    *,
    now: datetime | None = None,
    limit: int = 100,
    after: int | None = None,
    sector: str | None = None,
    state: StateFilter | None = None,
) -> list[DeviceRow]:
    """One page in order of ``device_id``; pass the last one as ``after`` for the next.

    ``now`` defaults to the database's clock.
    """
    records = await pool.fetch(
        _DEVICES + " where device_id > $2 and ($3::text is null or sector = $3)"
        " and ($4::text is null or state = $4 or ($4 = 'adopted' and adopted))"
        " order by device_id limit $5",
        now,
        after or 0,
        sector,
        state,
        min(max(limit, 1), MAX_PAGE),
    )
    return [DeviceRow(*record) for record in records]


async def list_some(pool: Pool, ids: Sequence[int], *, now: datetime | None = None) -> list[DeviceRow]:
    """The devices of these ids that there are."""
    if not ids:
        return []
    return [DeviceRow(*row) for row in await pool.fetch(f"{_DEVICES} where device_id = any($2)", now, ids)]


async def find_named(pool: Pool, text: str) -> list[int]:
    """Ids of the devices with this source, or of at most two with this name: two are too many to choose.

    A silent button is found by its source alone: its name may tell whose it is.
    """
    rows = await pool.fetch(
        "select device_id, source = $1 as is_source from devices where source = $1"
        " or (lower(name) = lower($1) and kind <> all($2)) order by is_source desc, device_id limit 2",
        text,
        sorted(SILENT_BUTTONS),
    )
    exact = [row["device_id"] for row in rows if row["is_source"]]
    return exact or [row["device_id"] for row in rows]


async def list_sectors(pool: Pool) -> list[str]:
    """The sectors that devices lie in; as many as a commune has, at most 500."""
    rows = await pool.fetch("select distinct sector from devices where sector <> '' order by 1 limit 500")
    return [row["sector"] for row in rows]


async def count_fleet(pool: Pool, *, now: datetime | None = None) -> FleetCounts:
    records = await pool.fetch(
        "select count(*),"  # noqa: S608  a constant of ours
        " count(*) filter (where state = 'online'), count(*) filter (where state = 'silent'),"
        " count(*) filter (where state = 'never'), count(*) filter (where adopted),"
        " (select count(*) from gateways), (select count(*) from gateways where state = 'online')"
        f" from ({_DEVICES}) as fleet",
        now,
    )
    return FleetCounts(*records[0])


async def list_gateways(pool: Pool, *, limit: int = 100, after: str = "") -> list[GatewayRow]:
    """One page in order of the gateway's identity; pass the last one as ``after`` for the next."""
    records = await pool.fetch(
        "select g.gateway, g.name, g.adopted, g.state, g.version, g.clock, g.status_at,"
        " count(d.device_id), max(s.last_seen_at)"
        " from (select * from gateways where gateway > $1 order by gateway limit $2) g"
        " left join devices d using (gateway) left join device_state s using (device_id)"
        " group by g.gateway, g.name, g.adopted, g.state, g.version, g.clock, g.status_at"
        " order by g.gateway",
        after,
        min(max(limit, 1), MAX_PAGE),
    )
    return [GatewayRow(*record) for record in records]


async def list_refusals(pool: Pool, *, limit: int = 100) -> list[RefusalRow]:
    """The newest first; the table is small by construction (:data:`MAX_REFUSAL_ROWS`)."""
    records = await pool.fetch(
        "select gateway, cause, count, first_at, last_at, detail, sample from refusals"
        " order by last_at desc, gateway, cause limit $1",
        min(max(limit, 1), MAX_PAGE),
    )
    return [RefusalRow(*record) for record in records]


async def record_refusals(executor: Pool | Connection, entries: Sequence[RefusalEntry]) -> None:
    """Add to the count of each (gateway, cause); keeps the newest detail and sample."""
    if not entries:
        return
    folded = _fold(await _within_bounds(executor, [_clean(entry) for entry in entries]))
    await executor.execute(
        "insert into refusals (gateway, cause, count, first_at, last_at, detail, sample)"
        " select gateway, cause, count, at, at, detail, sample"
        " from unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::bytea[])"
        " as n (gateway, cause, count, at, detail, sample)"
        " on conflict (gateway, cause) do update set count = refusals.count + excluded.count,"
        " last_at = greatest(refusals.last_at, excluded.last_at),"
        " detail = excluded.detail, sample = excluded.sample",
        [e.gateway for e in folded],
        [e.cause for e in folded],
        [e.count for e in folded],
        [e.at for e in folded],
        [e.detail for e in folded],
        [e.sample for e in folded],
    )


def _text(text: str, limit: int) -> str:
    """What a text column can hold: neither U+0000 nor half a surrogate pair."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:limit]


def _clean(entry: RefusalEntry) -> RefusalEntry:
    return RefusalEntry(
        _text(entry.gateway, _MAX_NAME),
        _text(entry.cause, _MAX_NAME),
        entry.count,
        entry.at,
        _text(entry.detail, _MAX_DETAIL),
        entry.sample[:SAMPLE_BYTES],
    )


def _fold(entries: Sequence[RefusalEntry]) -> list[RefusalEntry]:
    """One entry for each pair (a statement may touch a row once), sorted: locks are taken in one order."""
    folded: dict[tuple[str, str], RefusalEntry] = {}
    for entry in sorted(entries, key=lambda e: (e.gateway, e.cause, e.at)):
        before = folded.get((entry.gateway, entry.cause))
        count = entry.count + (before.count if before else 0)
        folded[entry.gateway, entry.cause] = RefusalEntry(
            entry.gateway, entry.cause, count, entry.at, entry.detail, entry.sample
        )
    return list(folded.values())


async def _within_bounds(
    executor: Pool | Connection, entries: Sequence[RefusalEntry]
) -> Sequence[RefusalEntry]:
    total = await executor.fetchval("select count(*) from refusals")
    if total + len(entries) <= MAX_REFUSAL_ROWS:
        return entries
    records = await executor.fetch(
        "select gateway, cause from refusals where gateway = any($1)", [e.gateway for e in entries]
    )
    known = {(r["gateway"], r["cause"]) for r in records}
    return [
        e
        if (e.gateway, e.cause) in known
        else RefusalEntry(OTHERS, e.cause, e.count, e.at, e.detail, e.sample)
        for e in entries
    ]
