"""The store: a spool on our disk, then the server. What rules need, the newest, stays in PostgreSQL."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
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


_Key = tuple[int, str, str]
"""Device, quantity and unit: a series, with no object of its own for each reading."""


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
        self._starts: dict[_Key, str] = {}
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
        lines, fresh = await self._encoded(points, now)
        newest_ones = asyncio.ensure_future(self._write_latest(executor, fresh))
        try:
            await self._keep(lines)  # while PostgreSQL works
        except BaseException:
            newest_ones.cancel()
            await asyncio.gather(newest_ones, return_exceptions=True)
            raise
        await newest_ones
        return lines.count

    async def _encoded(self, points: Sequence[Point], now: datetime) -> tuple[Batch, dict[_Key, Point]]:
        """Lines of the known series, and the newest of each.

        In turns with everything else: an alarm does not wait for thousands of lines.
        """
        parts: list[Batch] = []
        fresh: dict[_Key, Point] = {}
        for first in range(0, len(points), YIELD_EVERY):
            await asyncio.sleep(0)
            some = points[first : first + YIELD_EVERY]
            keys = [(p.device_id, p.quantity, p.unit) for p in some]
            if unknown := set(keys) - self._starts.keys():
                self._meet(unknown)
                some = [p for key, p in zip(keys, some, strict=True) if key in self._starts]
                keys = [key for key in keys if key in self._starts]
            newest(keys, some, now, fresh)
            parts.append(batch(list(map(self._starts.__getitem__, keys)), some))
        return joined(parts), fresh

    async def _keep(self, lines: Batch) -> None:
        if lines.count:
            async with self._turn:
                await asyncio.to_thread(self.spool.append, lines)
            self._arrived.set()
            self._metrics.telemetry_waiting.set(self.spool.waiting_bytes)

    async def _write_latest(self, executor: Connection | Pool, fresh: Mapping[_Key, Point]) -> None:
        if not fresh:
            return
        points = fresh.values()
        await executor.execute(
            _WRITE_LATEST,
            literal([p.device_id for p in points]),
            literal([self._quantities.ids[p.quantity, p.unit] for p in points]),
            literal([p.at for p in points]),
            literal([p.value for p in points]),
            or_none([p.text for p in points]) or [None] * len(points),
        )

    def _meet(self, keys: Iterable[_Key]) -> None:
        """Series of which device and quantity are known get the start of their lines."""
        for key in keys:
            device_id, quantity, unit = key
            if device_id in self._sources and (quantity, unit) in self._quantities.ids:
                self._starts[key] = prefix(self._sources[device_id], quantity, unit)

    # --------------------------------------------------------------------------------------- send

    async def send_loop(self, pool: Pool, clock: Clock) -> None:
        """Hand the spool to the server, in order, for ever."""
        while True:
            self._arrived.clear()
            await self.send_waiting(pool, clock)
            await self._arrived.wait()

    async def send_waiting(self, pool: Pool, clock: Clock) -> None:
        """All that waits, request by request; returns when the server has it.

        While the server works on one request, the one before is settled and the next one read, so that it
        never waits for our disk or PostgreSQL. Requests themselves follow each other: order matters where
        two values have one key.
        """
        settling: Sequence[Record] = ()
        sending: Sequence[Record] = await asyncio.to_thread(self.spool.peek, REQUEST_BYTES)
        while sending or settling:
            after = (sending or settling)[-1].after
            async with asyncio.TaskGroup() as step:
                step.create_task(self._insist(sending, clock))
                step.create_task(self._settle(settling, pool, clock))
                ahead = step.create_task(asyncio.to_thread(self.spool.peek, REQUEST_BYTES, after))
            settling, sending = sending, ahead.result()

    async def _settle(self, records: Sequence[Record], pool: Pool, clock: Clock) -> None:
        """What the server has leaves the spool. Its slots are noted before that: none is missed."""
        if not records:
            return
        changed = sorted({slot for r in records for slot in r.batch.slots})

        async def note() -> None:
            await pool.execute(_CHANGED, changed)

        await persist(note, clock.sleep, "telemetry for InfluxDB")
        await asyncio.to_thread(self.spool.advance, records[-1].after)
        self._metrics.telemetry_waiting.set(self.spool.waiting_bytes)

    async def _insist(self, records: Sequence[Record], clock: Clock) -> None:
        if not records:
            return
        lines = b"\n".join(r.batch.lines for r in records)
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
