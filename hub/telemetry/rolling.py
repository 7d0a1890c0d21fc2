"""The loop that keeps rollups up to date. Any number of hubs may run it: one works, the others find none."""

import logging

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.telemetry import TelemetryError, TelemetryStore

log = logging.getLogger(__name__)

CADENCE_S = 30.0


async def rollup_loop(store: TelemetryStore, pool: Pool, clock: Clock) -> None:
    while True:
        try:
            while await store.roll_up(pool, clock.now()) >= store.portion:
                await clock.sleep(0)
        except UNAVAILABLE as error:
            log.warning("rollups wait: database away (%s)", type(error).__name__)
        except TelemetryError as error:
            log.warning("rollups wait: %s", error)
        await clock.sleep(CADENCE_S)
