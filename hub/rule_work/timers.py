"""Timers of rules are rows with a due time: any hub fires them, each once, none early.

A row is claimed with SKIP LOCKED, judged by the pure engine, and changed in the transaction in which its
alert opens. What happens in between, a kill included, happens not at all or as a whole.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool
from hub.devices.registry import COLUMNS, Device
from hub.metrics import Metrics
from hub.rule_work.health import REFRESH_S
from hub.rule_work.memories import CHANNEL, memory_of
from hub.rule_work.work import React, RuleWork
from hub.rules.evaluate import Decision
from hub.rules.model import Key, Memory

log = logging.getLogger(__name__)

CADENCE_S = 0.25
"""How late a timer may be at most, besides the work itself."""
BATCH = 500
DEAF_RETRY_S = 5.0
_DEVICE = COLUMNS.split(", ")

# A device that was deleted leaves its memory without one.
_DUE = """
    select s.rule, s.scope, s.state, s.due_at, s.device_id, s.version, d.device_id is not null as has_device,
           d.source, d.gateway, d.kind, d.name, d.place, d.sector, d.latitude, d.longitude, d.watch_group,
           d.silent_after_s, d.adopted
    from rule_states s left join devices d using (device_id)
    where s.due_at <= $1 and s.rule = any($2) order by s.due_at limit $3
    for update of s skip locked
"""
_EVENTS_SEEN = """
    select device_id, max(happened_at) as at from events
    where device_id = any($1) and type = any($2) and happened_at >= $3 group by device_id
"""
_READINGS_SEEN = """
    select l.device_id, max(l.at) as at from telemetry_latest l join quantities q using (quantity_id)
    where l.device_id = any($1) and q.name = any($2) group by l.device_id
"""


@dataclass(frozen=True, kw_only=True)
class Timers:
    """``listening_since``: silence counts only while the hubs heard everything; None while they do not."""

    pool: Pool
    work: RuleWork
    react: React
    clock: Clock
    listening_since: Callable[[], datetime | None]
    metrics: Metrics | None = None

    async def count_loop(self) -> None:
        """Keep the breakers of all hubs together, to the minute."""
        health, rules = self.work.health, self.work
        while True:
            try:
                await health.count_opened(self.pool, rules.rules.rules, self.clock.now())
            except UNAVAILABLE as error:
                log.warning("breakers count alone: database away (%s)", type(error).__name__)
            await self.clock.sleep(REFRESH_S)

    async def run_loop(self) -> None:
        while True:
            try:
                while await self.fire_due() == BATCH:
                    pass
            except UNAVAILABLE as error:
                log.warning("timers wait: database away (%s)", type(error).__name__)
            await self.clock.sleep(CADENCE_S)

    async def fire_due(self) -> int:
        """One batch of what is due; returns how many rows it had."""
        now = self.clock.now()
        rules = self.work.rules
        async with self.pool.acquire() as connection, connection.transaction():
            records = await connection.fetch(_DUE, now, list(rules.rules), BATCH)
            if not records:
                return 0
            decision = await self._decide(connection, records, now)
            await self.work.memories.save(connection, decision.memories, now)
            verdict = await self.work.conclude(connection, rules, decision, now)
            tell = await self.react(connection, verdict.findings, now) if verdict.findings else None
            devices = _devices(decision.memories.values())
            await connection.execute(
                "select pg_notify($1, d::text) from unnest($2::int[]) as d", CHANNEL, devices
            )
        for device_id in devices:
            self.work.memories.forget(device_id)
        self.work.committed(verdict)
        if self.metrics is not None:
            self.metrics.timers.inc(len(records))
        if tell:
            tell()
        return len(records)

    async def _decide(
        self, connection: Connection, records: Sequence[asyncpg.Record], now: datetime
    ) -> Decision:
        since = self.listening_since()
        seen = await self._seen(connection, records)
        whole = Decision()
        for record in records:
            key, memory = (record["rule"], record["scope"]), memory_of(record)
            if self.work.rules.heartbeats(key[0]) is not None and since is None:
                # Nobody could be heard meanwhile: ask again once the hubs listen.
                again_at = now + timedelta(seconds=DEAF_RETRY_S)
                whole.memories[key] = Memory(memory.state, again_at, memory.device_id, memory.version)
                continue
            heard_at = max((at for at in (seen.get(key), since) if at is not None), default=None)
            _merge(whole, self.work.rules.due(key, memory, _device(record), now, heard_at))
        return whole

    async def _seen(self, connection: Connection, records: Sequence[asyncpg.Record]) -> dict[Key, datetime]:
        """When the devices of absence rules were last heard."""
        by_rule: dict[str, list[asyncpg.Record]] = {}
        for record in records:
            if self.work.rules.heartbeats(record["rule"]) is not None:
                by_rule.setdefault(record["rule"], []).append(record)
        seen: dict[Key, datetime] = {}
        for rule, group in by_rule.items():
            events, quantities = self.work.rules.heartbeats(rule) or (frozenset(), frozenset())
            ids = _devices(memory_of(record) for record in group)
            oldest_at = min(record["due_at"] for record in group) - timedelta(days=400)
            rows = await connection.fetch(_EVENTS_SEEN, ids, list(events), oldest_at) if events else []
            rows += await connection.fetch(_READINGS_SEEN, ids, list(quantities)) if quantities else []
            at = _newest(rows)
            seen.update({(rule, r["scope"]): at[r["device_id"]] for r in group if r["device_id"] in at})
        return seen


def _newest(rows: Iterable[asyncpg.Record]) -> dict[int, datetime]:
    newest: dict[int, datetime] = {}
    for row in rows:
        device_id, at = row["device_id"], row["at"]
        assert isinstance(device_id, int)  # noqa: S101 - columns of our own statements
        assert isinstance(at, datetime)  # noqa: S101
        newest[device_id] = max(at, newest.get(device_id, at))
    return newest


def _merge(whole: Decision, part: Decision) -> None:
    whole.findings.extend(part.findings)
    whole.late.extend(part.late)
    whole.failures.extend(part.failures)
    whole.memories.update(part.memories)


def _devices(memories: Iterable[Memory]) -> list[int]:
    return sorted({m.device_id for m in memories if m.device_id is not None})


def _device(record: asyncpg.Record) -> Device | None:
    if not record["has_device"]:
        return None
    return Device(*(record[name] for name in _DEVICE))
