"""One lane of the intake: messages → one transaction → receipts. The broker hears PUBACK after that.

Everything that the hub concludes from a batch (rows, alerts, queued notifications) commits together or
not at all; only then are gateways told, and whoever sends notifications is woken.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar, cast

import asyncpg
import msgspec

from edge import contract
from edge.contract import Leaf
from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool, persist
from hub.devices.registry import Device, Registry
from hub.intake import store
from hub.intake.clock_offsets import ClockOffsets
from hub.intake.decode import (
    Decoded,
    EventRow,
    Incoming,
    Refused,
    decode,
    event_row,
    group_ids,
    point_value,
)
from hub.intake.presence import Presence
from hub.metrics import Metrics
from hub.rule_work.work import React, RuleWork, Verdict
from hub.rules.model import Happening
from hub.telemetry import Point, TelemetryStore

log = logging.getLogger(__name__)


SendReceipt = Callable[[str, contract.Receipt], None]
MAX_IDS_PER_RECEIPT = 500
MAX_QUANTITY_CHARS = 128
_Row = TypeVar("_Row")


class AtOnce(Protocol):
    """Stores events and what follows from a verdict in one statement: see :mod:`hub.intake.reaction`.

    None says that it could not, and nothing was done.
    """

    async def __call__(
        self, pool: Pool, rows: Sequence[EventRow], verdict: Verdict, now: datetime
    ) -> Callable[[], None] | None: ...


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What the lanes share. ``adopts_unknown`` is for laboratories only."""

    pool: Pool
    registry: Registry
    rules: RuleWork
    react: React
    send_receipt: SendReceipt
    telemetry: TelemetryStore
    offsets: ClockOffsets
    presence: Presence
    metrics: Metrics
    clock: Clock
    adopts_unknown: bool = False
    at_once: AtOnce | None = None
    alarm_pool: Pool | None = None
    """Connections that only alarms use, so that theirs are never cold."""

    async def load(self) -> None:
        """Read what the lanes keep in memory: at the start, and when a shard comes from another hub."""
        await self.telemetry.load(self.pool)
        await self.offsets.load(self.pool)
        await self.rules.load(self.pool)


Handler = Callable[[Sequence[Incoming]], Awaitable[None]]
_Prepared = TypeVar("_Prepared")

YIELD_EVERY = 100
"""Messages of a batch between two chances for another lane: some 0.5 ms."""


@dataclass(frozen=True)
class Lane(Generic[_Prepared]):
    """A handler in two steps, so that a batch can be prepared while the one before it is being committed.

    ``prepare`` neither stores nor tells anything. Commits follow the order of the messages.
    """

    prepare: Callable[[Sequence[Incoming]], Awaitable[_Prepared]]
    commit: Callable[[_Prepared], Awaitable[None]]

    async def __call__(self, messages: Sequence[Incoming]) -> None:
        await self.commit(await self.prepare(messages))


# ------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Events:
    """What a batch of messages came to."""

    rows: list[EventRow] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def event_lane(intake: Intake, leaf: Leaf) -> Lane[Events]:
    """The ``alarm`` or the ``event`` lane."""
    if leaf is Leaf.ALARM and intake.alarm_pool is not None:
        intake = replace(intake, pool=intake.alarm_pool)

    async def prepare(messages: Sequence[Incoming]) -> Events:
        received_at = intake.clock.now()
        intake.metrics.messages.labels(leaf).inc(len(messages))
        batch = Events()
        for index, message in enumerate(messages, 1):
            part = decode(message, leaf, received_at)
            batch.refused.extend(part.refused)
            for event in part.events:
                await _take_event(intake, leaf, part, event, received_at, batch)
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return batch

    async def commit(batch: Events) -> None:
        if batch.rows:
            await persist(
                lambda: _commit_events(intake, leaf, batch.rows), intake.clock.sleep, f"{leaf} lane"
            )
        _send_receipts(intake, [(row.gateway, row.event_id) for row in batch.rows], batch.refused)
        note_refused(intake, batch.refused)

    return Lane(prepare, commit)


async def _take_event(
    intake: Intake, leaf: Leaf, part: Decoded, event: contract.Event, received_at: datetime, batch: Events
) -> None:
    device: Device | str
    if (found := intake.registry.device(event.source)) is not None and found.gateway == part.gateway:
        device = found
    else:
        device = await _resolve(intake, part.gateway, event.source, event.type)
    if not isinstance(device, Device):
        batch.refused.append(_not_ours(part, event.source, device))
        return
    batch.rows.append(event_row(event, device, part.gateway, received_at))
    if event.time is not None and event.time > received_at + contract.FUTURE_TOLERANCE:
        intake.metrics.future.labels(leaf).inc()


async def _commit_events(intake: Intake, leaf: Leaf, rows: Sequence[EventRow]) -> None:
    async def rescue(row: EventRow, error: asyncpg.PostgresError) -> None:
        log.warning("event %s: its data cannot be kept as JSON (%s); kept as base64", row.id, error)
        await _store_events(intake, leaf, [store.with_wrapped_data(row)])

    await _commit_halving(rows, lambda part: _store_events(intake, leaf, part), rescue)


async def _commit_halving(
    rows: Sequence[_Row],
    store_all: Callable[[Sequence[_Row]], Awaitable[None]],
    rescue: Callable[[_Row, asyncpg.PostgresError], Awaitable[None]],
) -> None:
    """Store a batch. When PostgreSQL cannot keep a row, halve the batch until that row stands alone."""
    try:
        await store_all(rows)
    except UNAVAILABLE:
        raise
    except asyncpg.PostgresError as error:
        if len(rows) == 1:
            await rescue(rows[0], error)
            return
        middle = len(rows) // 2
        await _commit_halving(rows[:middle], store_all, rescue)
        await _commit_halving(rows[middle:], store_all, rescue)


async def _store_events(intake: Intake, leaf: Leaf, rows: Sequence[EventRow]) -> None:
    with intake.metrics.commit_s.labels(leaf).time():
        if any(intake.rules.rules.knows(row.type) for row in rows):
            stored = await _store_and_react(intake, rows)
        else:
            # Nothing to conclude: one statement is its own transaction, without two more round trips.
            stored = await store.insert_events(intake.pool, rows)
    for row in rows:
        intake.presence.seen(row.device.device_id, row.received_at)
    intake.metrics.stored.labels(leaf).inc(stored)
    unknown = sum(not intake.rules.rules.knows(row.type) for row in rows)
    if unknown:
        intake.metrics.unknown_types.inc(unknown)
    if stored < len(rows):
        intake.metrics.duplicates.labels(leaf).inc(len(rows) - stored)
        await _note_clashes(intake, rows)


async def _store_and_react(intake: Intake, rows: Sequence[EventRow]) -> int:
    """Store a batch and what the rules make of its new events, in one transaction."""
    if await _at_once(intake, rows):
        return len(rows)
    async with intake.pool.acquire() as connection, connection.transaction():
        stored = await store.insert_events(connection, rows)
        fresh = rows if stored == len(rows) else await store.fresh_rows(connection, rows)
        happenings = [_happening(row) for row in fresh if intake.rules.rules.knows(row.type)]
        received_at = rows[0].received_at
        verdict = await intake.rules.judge(connection, happenings, received_at)
        findings = verdict.findings
        tell = await intake.react(connection, findings, received_at) if findings else None
    intake.rules.committed(verdict)
    if tell:
        tell()
    return stored


async def _at_once(intake: Intake, rows: Sequence[EventRow]) -> bool:
    """The short way of presses; False where it does not hold, and nothing was done."""
    if intake.at_once is None:
        return False
    happenings = [_happening(row) for row in rows if intake.rules.rules.knows(row.type)]
    received_at = rows[0].received_at
    verdict = intake.rules.foresee(happenings, received_at)
    if verdict is None:
        return False
    tell = await intake.at_once(intake.pool, rows, verdict, received_at)
    if tell is None:
        return False
    intake.rules.committed(verdict)
    tell()
    # The texts go out before the receipts: what wakes the broker makes this process wait for its turn.
    await asyncio.sleep(0)
    return True


def _happening(row: EventRow) -> Happening:
    return Happening(
        uuid.UUID(row.id),
        row.type,
        row.device,
        row.happened_at,
        row.time_quality.value,
        row.is_drill,
        row.data,
    )


async def _note_clashes(intake: Intake, rows: Sequence[EventRow]) -> None:
    """Tell of events that came under an id which was stored before with another content."""
    for row in await store.clashing(intake.pool, rows):
        intake.metrics.clashes.inc()
        detail = f"id: {row.event_id[:64]} was stored before with another content; the first one stays"
        note_refused(intake, [Refused(row.gateway, "id_clash", detail, (row.data or "").encode()[:512])])


# --------------------------------------------------------------------------------------- telemetry


class _Sample(msgspec.Struct, frozen=True, gc=False):
    """A point, and the device that rules want to know beside it."""

    point: Point
    device: Device


@dataclass(frozen=True, slots=True)
class _Packs:
    """What a batch of packs came to."""

    received_at: datetime
    samples: list[_Sample] = field(default_factory=list)
    receipts: list[tuple[str, str]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def telemetry_lane(intake: Intake) -> Lane[_Packs]:
    """The ``telemetry`` lane."""

    async def prepare(messages: Sequence[Incoming]) -> _Packs:
        packs = _Packs(intake.clock.now())
        intake.metrics.messages.labels(Leaf.TELEMETRY).inc(len(messages))
        taken = 0
        for message in messages:
            part = decode(message, Leaf.TELEMETRY, packs.received_at)
            packs.refused.extend(part.refused)
            if part.pack is not None:
                await _take_pack(intake, part, part.pack, packs)
            if len(packs.samples) - taken >= YIELD_EVERY:
                taken = len(packs.samples)
                await asyncio.sleep(0)
        return packs

    async def commit(packs: _Packs) -> None:
        if packs.samples:
            await persist(
                lambda: _commit_samples(intake, packs.samples, packs.received_at),
                intake.clock.sleep,
                "telemetry lane",
            )
        _send_receipts(intake, packs.receipts, packs.refused)
        note_refused(intake, packs.refused)

    return Lane(prepare, commit)


async def _take_pack(intake: Intake, part: Decoded, pack: contract.Pack, packs: _Packs) -> None:
    """Resolve a pack's devices and times; a pack is confirmed only when all of it was taken in."""
    shift_s = await intake.offsets.shift(intake.pool, part.gateway, pack, packs.received_at)
    refused_before = len(packs.refused)
    source, device = "", cast("Device | str", "")
    for m in pack.measurements:
        its_source, _, quantity = m.name.rpartition(":")
        if its_source != source or not source:
            source, device = its_source, await _resolve(intake, part.gateway, its_source, quantity)
        at = _instant(m.time + shift_s)
        if not isinstance(device, Device):
            packs.refused.append(_not_ours(part, source, device))
        elif at is None or len(quantity) > MAX_QUANTITY_CHARS:
            detail = f"n or t: {quantity[:40]!r} at {m.time!r} is no quantity or no time"
            packs.refused.append(Refused(part.gateway, "malformed", detail, b"", pack.id))
        else:
            value, text = point_value(m)
            point = Point(device.device_id, quantity, m.unit or "", at, value, text)
            packs.samples.append(_Sample(point, device))
    if pack.id is not None and len(packs.refused) == refused_before:
        packs.receipts.append((part.gateway, pack.id))


_EPOCH = datetime.fromtimestamp(0, UTC)


def _instant(seconds: float) -> datetime | None:
    try:
        # SenML times are exact to the millisecond in our packs; floats carry noise below it.
        return _EPOCH + timedelta(0, 0, 0, round(seconds * 1000))
    except (OverflowError, ValueError):
        return None


async def _commit_samples(intake: Intake, samples: Sequence[_Sample], received_at: datetime) -> None:
    await intake.telemetry.prepare(intake.pool, [s.point for s in samples])

    async def rescue(sample: _Sample, error: asyncpg.PostgresError) -> None:
        gateway, quantity = sample.device.gateway, sample.point.quantity
        note_refused(intake, [Refused(gateway, "unstorable", f"{quantity[:40]}: {error}", b"")])

    await _commit_halving(samples, lambda part: _store_samples(intake, part, received_at), rescue)


async def _store_samples(intake: Intake, samples: Sequence[_Sample], received_at: datetime) -> None:
    points = [s.point for s in samples]
    current = [s for s in samples if s.point.at <= received_at + contract.FUTURE_TOLERANCE]
    with intake.metrics.commit_s.labels(Leaf.TELEMETRY).time():
        judged = [(s.point, s.device) for s in current]
        if intake.rules.sees_nothing(judged):
            # Nothing to conclude: one statement is its own transaction, without two more round trips.
            new = await intake.telemetry.write(intake.pool, points, received_at)
        else:
            new = await _write_and_react(intake, points, judged, received_at)
    for s in current:
        intake.presence.seen(s.device.device_id, received_at)
        if s.point.quantity == "battery" and s.point.value is not None:
            intake.presence.battery(s.device.device_id, s.point.value)
    intake.metrics.future.labels(Leaf.TELEMETRY).inc(len(samples) - len(current))
    intake.metrics.stored.labels(Leaf.TELEMETRY).inc(new)
    intake.metrics.duplicates.labels(Leaf.TELEMETRY).inc(len(points) - new)


async def _write_and_react(
    intake: Intake, points: Sequence[Point], judged: Sequence[tuple[Point, Device]], received_at: datetime
) -> int:
    """Store a batch and what the rules make of it, in one transaction."""
    async with intake.pool.acquire() as connection, connection.transaction():
        new = await intake.telemetry.write(connection, points, received_at)
        verdict = await intake.rules.judge_points(connection, judged, received_at)
        findings = verdict.findings
        tell = await intake.react(connection, findings, received_at) if findings else None
    intake.rules.committed(verdict)
    if tell:
        tell()
    return new


# ------------------------------------------------------------------------------------------ common


async def _resolve(intake: Intake, gateway: str, source: str, hint: str) -> Device | str:
    """The device that the gateway may speak for, or the cause why not.

    ``hint`` is the event type or quantity; an adopted device gets its kind from it.
    """
    registry = intake.registry
    device = registry.device(source)
    if device is not None and device.gateway == gateway:
        return device
    if device is not None:
        return "foreign_device"
    if intake.adopts_unknown:
        return await registry.adopt(intake.pool, gateway, source, hint)
    return "unknown_device" if registry.knows_gateway(gateway) else "unknown_gateway"


_ADVICE = {
    "unknown_gateway": "the gateway is not registered; import it with: almenara-hub devices import FILE.csv",
    "unknown_device": "the device is not registered; import it with: almenara-hub devices import FILE.csv",
    "foreign_device": "the device belongs to another gateway",
}


def _not_ours(part: Decoded, source: str, cause: str) -> Refused:
    return Refused(part.gateway, cause, f"source: {source[:255]}: {_ADVICE[cause]}", b"")


def _send_receipts(intake: Intake, stored: Sequence[tuple[str, str]], refused: Sequence[Refused]) -> None:
    for gateway, ids in group_ids(stored).items():
        intake.metrics.receipts.inc(len(ids))
        for start in range(0, len(ids), MAX_IDS_PER_RECEIPT):
            intake.send_receipt(gateway, contract.Receipt(ids=ids[start : start + MAX_IDS_PER_RECEIPT]))
    for r in refused:
        # Only what can never become right is refused for good; an unknown device may be registered tomorrow.
        if r.id is not None and intake.registry.knows_gateway(r.gateway):
            intake.send_receipt(
                r.gateway, contract.Receipt(refused=[contract.Refusal(id=r.id, reason=r.detail[:200])])
            )


def note_refused(intake: Intake, refused: Sequence[Refused]) -> None:
    """Count, log and show what was not taken in."""
    for r in refused:
        intake.metrics.refused.labels(r.cause).inc()
    if refused:
        intake.presence.refused(refused, intake.clock.now())
