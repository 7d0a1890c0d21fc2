"""What transports hear: reports go into the ledger, replies to whoever takes them. And its upkeep."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool, persist
from hub.notify import ledger
from hub.notify.router import Router
from hub.notify.transports import DeliveryReport, Inbound, Transport, TransportEvent

log = logging.getLogger(__name__)

AGAIN_S = 1.0
TIDY_S = 1.0
_SWEEP_EVERY = 3600

OnInbound: TypeAlias = Callable[[str, Inbound], Awaitable[None]]
"""``on_inbound(transport, inbound)``; has committed what it keeps when it returns."""


async def nobody_reads(transport: str, inbound: Inbound) -> None:
    """For a hub where nobody takes replies; neither number nor text goes to the log."""
    del inbound
    log.warning("%s: a reply came in and nobody takes replies", transport)


async def events_loop(
    pool: Pool, name: str, transport: Transport, clock: Clock, on_inbound: OnInbound = nobody_reads
) -> None:
    """Take what a transport hears, for ever. It is committed before the next event is asked for."""
    is_over = False
    while not is_over:
        try:
            async for event in transport.events():
                await _take(pool, name, event, clock, on_inbound)
            is_over = True
        except Exception as error:  # noqa: BLE001  a defect in one transport must not silence the hub
            log.error("%s: what it hears was cut off (%s)", name, type(error).__name__)  # noqa: TRY400
            await clock.sleep(AGAIN_S)


async def _take(pool: Pool, name: str, event: TransportEvent, clock: Clock, on_inbound: OnInbound) -> None:
    async def keep() -> None:
        if isinstance(event, DeliveryReport):
            await ledger.record_report(pool, name, event, clock.now())
        else:
            await on_inbound(name, event)

    try:
        await persist(keep, clock.sleep, f"{name} events")
    except Exception as error:  # noqa: BLE001  one bad event must not stop the others
        log.error("%s: an event could not be kept (%s)", name, type(error).__name__)  # noqa: TRY400


async def tidy_loop(pool: Pool, router: Router, clock: Clock) -> None:
    """What nobody else comes back to: early reports, texts of hubs that died, ways that are gone."""
    rounds = 0
    while True:
        await clock.sleep(TIDY_S)
        try:
            await tidy(pool, router, clock)
            if rounds % _SWEEP_EVERY == 0:
                await ledger.sweep_early(pool, clock.now())
            rounds += 1
        except UNAVAILABLE as error:
            log.warning("the ledger waits: database away (%s)", type(error).__name__)


async def tidy(pool: Pool, router: Router, clock: Clock) -> None:
    """One round."""
    await ledger.match_early(pool, clock.now())
    await ledger.give_up_unsure(pool, clock.now())
    await ledger.adopt_strays(pool, router.ways(), clock.now())
