"""The store: a spool on our disk, then the server. What rules need, the newest, stays in PostgreSQL."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from hub.clock import Clock
from hub.database import Connection, Pool, persist
from hub.database.arrays import literal, or_none
from hub.metrics import Metrics
from hub.telemetry import (
    MAX_ROWS,
    Aggregate,
    Health,
    Keep,
    Point,
    Reading,
    Resolution,
    Series,
    TelemetryError,
    resolution_for,
    slots,
)
from hub.telemetry.influx import Access, rollups
from hub.telemetry.influx.delivery import deliver
from hub.telemetry.influx.lines import Batch, batch, instant, joined, milliseconds, prefix, quoted
from hub.telemetry.influx.server import InfluxServer
from hub.telemetry.influx.spool import Record, Spool
from hub.telemetry.quantities import Quantities, latest, newest

log = logging.getLogger(__name__)

STORE = "influxdb"
REQUEST_BYTES = 1_000_000
"""Some 10,000 lines: InfluxDB's own advice for one request."""
PORTION = 12
"""Slots of one round of rollups: two hours of all devices' readings come as one answer each."""
YIELD_EVERY = 500
"""Points between two chances for others: some 0.3 ms."""
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 30.0

_SOURCES = "select device_id, source from devices where device_id = any($1)"
# As in hub.telemetry.postgres: in one order, and never backwards.
_WRITE_LATEST = """
    insert into telemetry_latest as latest (device_id, quantity_id, at, value, text)
    select device_id, quantity_id, at, value, text
    from unnest($1::text::int[], $2::text::int[], $3::text::timestamptz[], $4::text::float8[], $5::text[])
      as p (device_id, quantity_id, at, value, text)
    order by device_id, quantity_id
    on conflict (device_id, quantity_id) do update
    set at = excluded.at, value = excluded.value, text = excluded.text
    where excluded.at > latest.at
"""
_CHANGED = """
    insert into telemetry_changes (store, slot)
    select 'influxdb', timestamptz 'epoch' + ms * interval '1 millisecond' from unnest($1::bigint[]) as s (ms)
"""


class InfluxTelemetry:
    """Implements :class:`hub.telemetry.TelemetryStore`. Made by :func:`open_influx`."""

    name = STORE

    portion = PORTION

    def __init__(self, server: InfluxServer, spool: Spool, keep: Keep, metrics: Metrics) -> None:
        self.server = server
        self.spool = spool
        self._metrics = metrics
        self._days = keep
        self._quantities = Quantities()
        self._sources: dict[int, str] = {}
        self._prefixes: dict[tuple[int, int], str] = {}
        self._turn = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._problem = ""

    async def load(self, pool: Pool) -> None:
        await self._quantities.load(pool)

    async def prepare(self, pool: Pool, points: Iterable[Point]) -> None:
        await self._quantities.prepare(pool, points)
        missing = {p.device_id for p in points} - self._sources.keys()
        if missing:
            self._sources |= {r[0]: r[1] for r in await pool.fetch(_SOURCES, list(missing))}

    # -------------------------------------------------------------------------------------- write

    async def write(self, executor: Connection | Pool, points: Sequence[Point], now: datetime) -> int:
        """All points count as new: the server does not say which of them it had."""
        known = [pair for pair in self._quantities.known(points) if pair[1].device_id in self._sources]
        if not known:
            return 0
        newest_ones = asyncio.ensure_future(self._write_latest(executor, known, now))
        try:
            await self._keep(await self._encoded(known))  # while PostgreSQL works
        except BaseException:
            newest_ones.cancel()
            await asyncio.gather(newest_ones, return_exceptions=True)
            raise
        await newest_ones
        return len(known)

    async def _encoded(self, known: Sequence[tuple[int, Point]]) -> Batch:
        """In turns with everything else: an alarm does not wait for thousands of lines."""
        parts: list[Batch] = []
        for start in range(0, len(known), YIELD_EVERY):
            await asyncio.sleep(0)
            some = known[start : start + YIELD_EVERY]
            parts.append(batch((self._prefix(quantity_id, p), p) for quantity_id, p in some))
        return joined(parts)

    async def _keep(self, lines: Batch) -> None:
        if lines.count:
            async with self._turn:
                await asyncio.to_thread(self.spool.append, lines)
            self._arrived.set()
            self._metrics.telemetry_waiting.set(self.spool.waiting_bytes)

    async def _write_latest(
        self, executor: Connection | Pool, known: Sequence[tuple[int, Point]], now: datetime
    ) -> None:
        marks = newest(known, now)
        if fresh := [pair for pair, is_newest in zip(known, marks, strict=True) if is_newest]:
            await executor.execute(
                _WRITE_LATEST,
                literal([p.device_id for _, p in fresh]),
                literal([quantity_id for quantity_id, _ in fresh]),
                literal([p.at for _, p in fresh]),
                literal([p.value for _, p in fresh]),
                or_none([p.text for _, p in fresh]) or [None] * len(fresh),
            )

    def _prefix(self, quantity_id: int, p: Point) -> str:
        key = (p.device_id, quantity_id)
        found = self._prefixes.get(key)
        if found is None:
            found = self._prefixes[key] = prefix(self._sources[p.device_id], p.quantity, p.unit)
        return found

    # --------------------------------------------------------------------------------------- send

    async def send_loop(self, pool: Pool, clock: Clock) -> None:
        """Hand the spool to the server, in order, for ever."""
        while True:
            self._arrived.clear()
            if not await self.send_some(pool, clock):
                await self._arrived.wait()

    async def send_some(self, pool: Pool, clock: Clock) -> bool:
        """One request's worth; False when nothing waits. Returns only when the server has it."""
        records = await asyncio.to_thread(self.spool.peek, REQUEST_BYTES)
        if not records:
            return False
        await self._insist(b"\n".join(r.batch.lines for r in records), clock)
        await self._note_slots(pool, records, clock)
        await asyncio.to_thread(self.spool.advance, records[-1].after)
        self._metrics.telemetry_waiting.set(self.spool.waiting_bytes)
        return True

    async def _note_slots(self, pool: Pool, records: Sequence[Record], clock: Clock) -> None:
        """After the server has the readings and before they leave the spool: none is missed."""
        changed = sorted({slot for r in records for slot in r.batch.slots})

        async def note() -> None:
            await pool.execute(_CHANGED, changed)

        await persist(note, clock.sleep, "telemetry for InfluxDB")

    async def _insist(self, lines: bytes, clock: Clock) -> None:
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                await deliver(self.server, Resolution.RAW, lines, self._reject)
            except TelemetryError as error:
                if str(error) != self._problem:
                    log.warning("telemetry waits in the spool: %s", error)
                self._problem = str(error)
                await clock.sleep(delay_s)
                delay_s = min(_LONGEST_DELAY_S, delay_s * 2)
            else:
                if self._problem:
                    log.warning("telemetry goes out again")
                self._problem = ""
                return

    def _reject(self, line: bytes, reason: str) -> None:
        self._metrics.telemetry_rejected.inc()
        series = line.partition(b" ")[0].decode("utf-8", "replace")
        log.error("InfluxDB takes no reading of %s: %s; see rejected.lines", series[:200], reason)
        self.spool.reject(line, reason)

    # --------------------------------------------------------------------------------------- read

    async def history(
        self,
        pool: Pool,
        series: Series,
        since: datetime,
        until: datetime,
        resolution: Resolution | None = None,
    ) -> list[Aggregate]:
        resolution = resolution or resolution_for(until - since)
        is_raw = resolution is Resolution.RAW
        source = await pool.fetchval("select source from devices where device_id = $1", series.device_id)
        fields = '"value"' if is_raw else '"n", "sum", "min", "max"'
        answer = await self.server.query(
            f"select {fields} from {self.server.table(resolution)}"  # noqa: S608 - quoted by its own rules
            f' where "device" = {quoted(source or "")} and "quantity" = {quoted(series.quantity)}'
            f' and "unit" = {quoted(series.unit)}'
            f" and time >= {milliseconds(since)}ms and time < {milliseconds(until)}ms"
            f" order by time asc limit {MAX_ROWS}"
        )
        if not is_raw:
            return [row for found in answer for row in rollups.aggregates(found)]
        return [
            Aggregate(instant(ms), 1, float(value), float(value), float(value))
            for found in answer
            for ms, value in found.values
        ]

    async def latest(self, pool: Pool, device_ids: Sequence[int]) -> list[Reading]:
        return await latest(pool, device_ids)

    # ------------------------------------------------------------------------------------- upkeep

    async def roll_up(self, pool: Pool, now: datetime) -> int:
        oldest = now - timedelta(days=self._days.raw_days - 1)
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            changed = await slots.changed(connection, STORE, PORTION)
            await rollups.refresh(self.server, [slot for slot in changed if slot >= oldest])
            await slots.done(connection, STORE, changed)
        return len(changed)

    async def retain(self, _pool: Pool, _now: datetime) -> None:
        """Nothing to do: buckets let go of their rows by themselves (``almenara-hub telemetry setup``)."""

    async def health(self, _pool: Pool) -> Health:
        waiting = self.spool.waiting_bytes
        try:
            version = await self.server.version()
        except TelemetryError as error:
            return Health(False, str(error), waiting)
        return Health(True, f"InfluxDB {version}", waiting)


@asynccontextmanager
async def open_influx(
    access: Access, folder: Path, spool_bytes: int, keep: Keep, metrics: Metrics
) -> AsyncIterator[InfluxTelemetry]:
    """The store with its spool in ``folder``. Nobody has to answer yet."""
    spool = Spool(folder, spool_bytes, metrics.telemetry_dropped.inc)
    metrics.telemetry_waiting.set(spool.waiting_bytes)
    try:
        async with InfluxServer(access) as server:
            yield InfluxTelemetry(server, spool, keep, metrics)
    finally:
        spool.close()
