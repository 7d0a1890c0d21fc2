"""Hourly upkeep: partitions ahead, old ones away. What grows has its end here or in its own room."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.intake.partitions import drop_old_event_partitions, ensure_event_partitions
from hub.telemetry import TelemetryError, TelemetryStore

log = logging.getLogger(__name__)

CADENCE_S = 3600.0
COMMAND_DAYS = 400
ANNOTATION_DAYS = 400
"""A case that ends later than this has its end in no annotation."""


async def upkeep_loop(
    pool: Pool, clock: Clock, stores: Sequence[TelemetryStore], telemetry_days: int, event_days: int
) -> None:
    while True:
        try:
            await upkeep(pool, clock.now(), stores, telemetry_days, event_days)
        except UNAVAILABLE as error:
            log.warning("upkeep waits: database away (%s)", type(error).__name__)
        await clock.sleep(CADENCE_S)


async def upkeep(
    pool: Pool, now: datetime, stores: Sequence[TelemetryStore], telemetry_days: int, event_days: int
) -> None:
    """One round; each step stands alone, so the next hour finishes what this one could not."""
    await ensure_event_partitions(pool, now.date())
    for store in stores:
        try:
            await store.retain(pool, now)
        except TelemetryError as error:
            log.warning("the telemetry in %s keeps its old readings for now: %s", store.name, error)
    for name in await drop_old_event_partitions(pool, now.date(), event_days):
        log.info("dropped %s: older than %d days", name, event_days)
    for table, column, days in (
        ("telemetry_default", "at", telemetry_days),
        ("events_default", "received_at", event_days),
        ("commands", "ended_at", COMMAND_DAYS),
        ("clock_offsets", "created_at", COMMAND_DAYS),
        ("grafana_annotations", "claimed_at", ANNOTATION_DAYS),
    ):
        # Table and column are the constants above.
        await pool.execute(f"delete from {table} where {column} < $1", now - timedelta(days=days))  # noqa: S608
